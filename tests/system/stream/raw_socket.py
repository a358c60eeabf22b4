"""A socket spoken by hand: the handshake and each frame are whatever bytes a test wants."""

import contextlib
import json
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self, cast

from edge.demo.payloads import Visit
from tests.fakes_frames import ServerFrames, client_frame
from tests.system.raw import READ_BYTES, TIMEOUT_S
from tests.system.stream.sockets import BOTH, Frame
from tests.system.world import World

STUCK_S: Final = 2.0
"""Who takes nothing for so long does not read: a turn of the gateway's is far shorter."""

TARGET: Final = "/v1/stream"
FIELDS: Final[Mapping[str, str]] = {
    "host": "localhost",
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def handshake(
    fields: Mapping[str, str | Sequence[str]],
    *,
    method: str = "GET",
    target: str = TARGET,
    version: str = "1.1",
) -> bytes:
    """Write a handshake with these fields; one that is given several values comes as often."""
    lines = [f"{method} {target} HTTP/{version}"]
    for name, value in {**FIELDS, **fields}.items():
        values = (value,) if isinstance(value, str) else value
        lines += [f"{name}: {each}" for each in values]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def offer(here: World, speaker: Visit | str) -> dict[str, str]:
    """The field that carries our subprotocol and a player's token, or this one."""
    token = speaker if isinstance(speaker, str) else here.issuer.player(speaker, scope=BOTH)
    return {"sec-websocket-protocol": f"edge.v1.json, bearer.{token}"}


def op(name: str, **members: object) -> bytes:
    """Write a frame of a client."""
    return client_frame(json.dumps({"op": name} | members).encode())


def events(*each: object) -> bytes:
    """Write a frame of events, or of whatever stands in their place."""
    return op("events", events=each)


class RawSocket:
    """One connection, first HTTP, then frames; a context manager.

    Args:
        here: Whose public port.
        receive_bytes: Of the system's buffer for what is not read; ``None``: its own choice.

    Attributes:
        frames: What came, by kind.
        was_reset: The gateway cut the connection.
        answered: Pings, by :meth:`read_and_answer`.
    """

    def __init__(self, here: World, *, receive_bytes: int | None = None) -> None:
        self.frames = ServerFrames()
        self.was_reset = False
        self.answered = 0
        self._socket = socket.socket()
        self._socket.settimeout(TIMEOUT_S)
        if receive_bytes is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self._socket.connect(here.gateway.public)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    @staticmethod
    def refused(verdicts: Frame) -> list[Frame]:
        """What a frame of verdicts refuses, entry by entry."""
        return cast("list[Frame]", verdicts["refused"])

    @property
    def said(self) -> list[Frame]:
        """The texts that came, read."""
        return [cast("Frame", json.loads(text)) for text in self.frames.texts]

    def send(self, octets: bytes) -> None:
        """Send *octets*, or as many as the gateway takes before it hangs up."""
        try:
            self._socket.sendall(octets)
        except (BrokenPipeError, ConnectionResetError):
            self.was_reset = True

    def stuff(self, octets: bytes) -> bytes:
        """Send as much of *octets* as the gateway takes; return the rest."""
        unsent = memoryview(octets)
        self._socket.settimeout(STUCK_S)
        with contextlib.suppress(TimeoutError):
            while unsent:
                unsent = unsent[self._socket.send(unsent) :]
        self._socket.settimeout(TIMEOUT_S)
        return bytes(unsent)

    def widen(self) -> None:
        """Have the system keep more from now on: what comes byte by byte takes minutes."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, READ_BYTES)

    def answer(self) -> tuple[int, str]:
        """Read an answer's head; return its status, and all of the head in lower case.

        What comes behind a 101 is read as frames.
        """
        head = b""
        while b"\r\n\r\n" not in head:
            octets = self._socket.recv(READ_BYTES)
            assert octets, "hung up before the answer"
            head += octets
        head, _, rest = head.partition(b"\r\n\r\n")
        status = int(head[9:12])
        if status == 101 and rest:
            self.frames.feed(rest)
        return status, head.decode("latin-1").lower()

    def shake(self, here: World, speaker: Visit | str, behind: bytes = b"") -> None:
        """Open the socket, and hear the welcome; *behind* is sent with the handshake."""
        self.send(handshake(offer(here, speaker)) + behind)
        status, _ = self.answer()
        assert status == 101
        self.hear(1)

    def ask(self, frame: bytes) -> Frame:
        """Send *frame*; return the next text, which is about it."""
        self.send(frame)
        self.hear(len(self.frames.texts) + 1)
        return self.said[-1]

    def hear(self, count: int) -> None:
        """Read until so many texts have come in all."""
        while len(self.frames.texts) < count:
            assert self.read(), "hung up"

    def read(self) -> bool:
        """Read once; return whether the gateway may say more."""
        try:
            octets = self._socket.recv(READ_BYTES)
        except ConnectionResetError:
            octets, self.was_reset = b"", True
        if octets:
            self.frames.feed(octets)
        return bool(octets)

    def read_and_answer(self, pong: bytes) -> None:
        """Read once, and send *pong* for each further ping."""
        assert self.read(), "cut"
        count = len(self.frames.pings)
        self.send(pong * (count - self.answered))
        self.answered = count

    def end(self) -> tuple[int, str] | None:
        """Read until the gateway hangs up; return what its close frame said.

        Raises:
            TimeoutError: It does not hang up.
        """
        limit_s = time.monotonic() + TIMEOUT_S
        while self.read():
            assert time.monotonic() < limit_s, "it goes on and on"
        return self.frames.close

    def wait_for_hangup(self) -> None:
        """Read what comes, frames or not, until the gateway hangs up.

        Raises:
            TimeoutError: It does not.
        """
        try:
            while self._socket.recv(READ_BYTES):
                pass
        except ConnectionResetError:
            self.was_reset = True

    def half_close(self) -> None:
        """Say no more, and still read."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Vanish: what was not read is thrown away, and the gateway's is reset."""
        linger = struct.pack("ii", 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()
