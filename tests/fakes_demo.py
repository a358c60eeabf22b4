"""A gateway that answers as scripted, for the demo's clients."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast

from typing_extensions import override
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from edge.demo.ledger import Event


def answer(status: int, body: object, **headers: str) -> bytes:
    """One answer on the wire."""
    payload = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(payload)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + payload


def verdicts(accepted: int, duplicate: int = 0, *refused: Event) -> Event:
    """The body of an answer to a batch."""
    return {
        "accepted": accepted,
        "duplicate": duplicate,
        "refused": list(refused),
        "retry_after_ms": None,
    }


def refusal(index: int, code: str, *, retryable: bool = False) -> Event:
    """One refused event."""
    return {"index": index, "code": code, "pointer": None, "retryable": retryable}


def welcome(next_seq: int = 1) -> Event:
    """The first word on a socket; what the demo's client reads of it."""
    return {"op": "welcome", "known": next_seq > 1, "next_seq": next_seq}


def settled(seq: int, *refused: Event, **members: object) -> Event:
    """Everything up to here is done, and of that these are refused."""
    told: Event = {"settled": seq, "highest": seq, "missing": [], "retry_after_ms": None}
    return {"op": "verdicts", "refused": refused} | told | members


@dataclass
class ScriptedGateway:
    """Answers the n-th request with the n-th of *replies*.

    Attributes:
        replies: In order; ``b""`` hangs up instead, ``None`` says nothing at all. A request
            beyond the last is hung up on.
        hangs_up: After each reply.
        requests: Heads and bodies, in order.
        connections: How many were opened.
        asked: Set by the first request.
        words: What is said on sockets: on each, first when it is opened, then after each frame.
        sockets: The handshakes, in order.
        frames: What was heard on them.
    """

    replies: Sequence[bytes | None]
    hangs_up: bool = False
    requests: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    connections: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    words: list[Sequence[Event] | None] = field(default_factory=list[Sequence[Event] | None])
    sockets: list[Request] = field(default_factory=list[Request])
    frames: list[Event] = field(default_factory=list[Event])
    _server: asyncio.Server | None = None
    _visits: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()
        return str(host), int(port)

    @property
    def batches(self) -> list[object]:
        """The bodies, read."""
        return [json.loads(body) for _, body in self.requests]

    def word(self, frame: Event | None) -> Sequence[Event] | None:
        """What is said on a socket: the next of *words*; ``None`` hangs up.

        Args:
            frame: What was heard last; ``None``: nothing yet.
        """
        del frame
        return self.words.pop(0) if self.words else None

    def reply(self) -> bytes | None:
        """Answer the last request."""
        at = len(self.requests) - 1
        return self.replies[at] if at < len(self.replies) else b""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._welcome, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        await asyncio.gather(*self._visits)

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._visits.append(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        # A client that gives up hangs up in the middle, or resets: both are its right.
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while await self._answer(reader, writer):
                pass
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _converse(
        self, head: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Be the other end of a socket, until there is nothing more to say on it."""
        wire = ServerProtocol(subprotocols=[Subprotocol("edge.v1.json")])
        wire.receive_data(head.encode())
        (request,) = wire.events_received()
        assert isinstance(request, Request)
        self.sockets.append(request)
        wire.send_response(wire.accept(request))
        is_open = self._say(wire, self.word(None))
        while is_open:
            writer.write(b"".join(wire.data_to_send()))
            heard = await reader.read(1 << 16)
            wire.receive_data(heard) if heard else wire.receive_eof()
            for frame in wire.events_received():
                assert isinstance(frame, Frame)
                if frame.opcode is Opcode.TEXT:
                    self.frames.append(json.loads(bytes(frame.data)))
                    is_open = is_open and self._say(wire, self.word(self.frames[-1]))
            is_open = is_open and bool(heard)
        writer.write(b"".join(wire.data_to_send()))

    @staticmethod
    def _say(wire: ServerProtocol, words: Sequence[Event] | None) -> bool:
        """Send *words*; return whether the socket goes on."""
        for word in words or ():
            wire.send_text(json.dumps(word).encode())
        return words is not None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        if "\r\nUpgrade: websocket\r\n" in head:
            await self._converse(head, reader, writer)
            return False
        length = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        self.requests.append((head, await reader.readexactly(length)))
        self.asked.set()
        reply = self.reply()
        if reply is None:
            return True
        writer.write(reply)
        return bool(reply) and not self.hangs_up


@dataclass
class AgreeableGateway(ScriptedGateway):
    """Accepts every event once, and knows it again by its id."""

    replies: Sequence[bytes | None] = ()
    events: list[Event] = field(default_factory=list[Event])

    @override
    def reply(self) -> bytes | None:
        """Accept all events of the last request, if it has any."""
        try:
            batch = cast("list[Event]", json.loads(self.requests[-1][1]))
        except ValueError:
            return answer(400, {"code": "body_malformed"})
        fresh = self._take(batch)
        return answer(202, verdicts(fresh, len(batch) - fresh))

    @override
    def word(self, frame: Event | None) -> Sequence[Event]:
        """Welcome everybody, and accept everything."""
        if frame is None:
            return [welcome()]
        self._take(cast("list[Event]", frame["events"]))
        return [settled(1 << 30)]

    def _take(self, batch: list[Event]) -> int:
        known = {event["id"] for event in self.events}
        fresh = [event for event in batch if event["id"] not in known]
        self.events += fresh
        return len(fresh)
