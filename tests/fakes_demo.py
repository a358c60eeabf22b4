"""A gateway that answers as scripted, for the demo's clients."""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, cast

from typing_extensions import override

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
    """

    replies: Sequence[bytes | None]
    hangs_up: bool = False
    requests: list[tuple[str, bytes]] = field(default_factory=list[tuple[str, bytes]])
    connections: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
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

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; return whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
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
    def reply(self) -> bytes:
        """Accept all events of the last request, if it has any."""
        try:
            batch = cast("list[Event]", json.loads(self.requests[-1][1]))
        except ValueError:
            return answer(400, {"code": "body_malformed"})
        known = {event["id"] for event in self.events}
        fresh = [event for event in batch if event["id"] not in known]
        self.events += fresh
        return answer(202, verdicts(len(fresh), len(batch) - len(fresh)))
