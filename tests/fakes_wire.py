"""One real connection for a socket, and its peer with raw bytes; the talk behind it is a fake."""

import asyncio
import itertools
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Self, cast

import uvloop
from typing_extensions import override

from edge.core.closing import BUG
from edge.core.instant import NS_PER_S
from edge.core.waiting_line import CALM_TURN_NS, PACE_NS_AT_FIRST, WAIT_NS_MAX
from edge.shell.doorkeeper import Doorkeeper
from edge.shell.governor import Connection, Governor
from edge.shell.meters import Meters
from edge.shell.stream.host import Wire
from edge.shell.stream.socket_wire import SocketProtocol
from edge.shell.stream.speaking import WireLimits
from edge.shell.upgrade import Berth
from tests.fakes import FakeClock
from tests.fakes_frames import ServerFrames

PATIENCE_S: Final = 10.0
SOON: Final = WireLimits(close_s=0.05, write_buffer_s=0.05)
"""For tests that wait for one of these to be over."""

LARGE: Final = b"x" * 65_536


@dataclass
class FakeTalk:
    """Says back what it hears, and good-bye when it has to.

    Attributes:
        heard: Texts.
        noticed: How many were parked.
        ends: What it was told to end with.
        fails: How often it was told of a bug.
        lost_codes: What it was told when it was over.
        is_mute: It says nothing back.
        is_tardy: It has verdicts to wait for, and says good-bye when it is told to.
        halts_at: The text at which it has enough, until told otherwise.
        breaks_at: Where it has a bug: a text, or the name of a call.
    """

    heard: list[bytes] = field(default_factory=list[bytes])
    noticed: int = 0
    ends: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    fails: int = 0
    lost_codes: list[int] = field(default_factory=list[int])
    is_mute: bool = False
    is_tardy: bool = False
    halts_at: bytes | None = None
    breaks_at: bytes = b""
    wire: SocketProtocol | None = None
    is_lost: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, wire: Wire) -> None:
        """Say welcome."""
        self.wire = cast("SocketProtocol", wire)
        wire.send(b"welcome")
        self._break(b"begin")

    def notice(self) -> None:
        """Count."""
        self.noticed += 1

    def hear(self, text: bytes) -> None:
        """Say it back; it is heard when all that it calls for is done."""
        assert self.wire is not None
        self._break(text)
        if not self.is_mute:
            self.wire.send(text)
        if text == self.halts_at:
            self.wire.pause()
        if text == b"resume":
            self.wire.resume()
        if text == b"close":
            self.wire.close(4001, "as asked")
        self.heard.append(text)

    def end(self, code: int, reason: str) -> None:
        """Say bye, and close."""
        assert self.wire is not None
        self.ends.append((code, reason))
        self.wire.stop_hearing()
        self._break(b"end")
        if not self.is_tardy:
            self.part()

    def part(self) -> None:
        """Say bye to whom we end it with, and close."""
        assert self.wire is not None
        code, reason = self.ends[0]
        if reason:
            self.wire.send(b"bye")
        self.wire.close(code, reason)

    def fail(self) -> None:
        """Close at once."""
        assert self.wire is not None
        self.fails += 1
        self._break(b"fail")
        self.wire.close(*BUG)

    def lost(self, code: int) -> None:
        """It is over."""
        self.lost_codes.append(code)
        self.wire = None
        self.is_lost.set()
        self._break(b"lost")

    def _break(self, place: bytes) -> None:
        if place == self.breaks_at:
            raise ZeroDivisionError


class Generous(Governor):
    """Lets everybody begin."""

    @override
    def line_up(self, connection: Connection) -> bool:
        """Say yes."""
        return True


class Unmoving(Governor):
    """No turn comes."""

    @override
    def _turn_soon(self) -> None:
        pass


class Port:
    """What all sockets share.

    Attributes:
        connections: As the server knows them.
    """

    def __init__(self) -> None:
        self.clock, self.meters = FakeClock(), Meters()
        self.governor = Governor(self.clock, self.meters)
        self.doorkeeper = Doorkeeper(lambda _: False, self.meters.requests_refused)
        self.connections: set[object] = set()

    def busy(self) -> None:
        """Use up what this turn may begin."""
        for _ in range(CALM_TURN_NS // PACE_NS_AT_FIRST):
            self.governor.begin_beside()

    async def let_late_ones_be_refused(self) -> None:
        """Have a turn, longer after the last than anybody waits, in which others wait too."""
        self.clock.advance(WAIT_NS_MAX / NS_PER_S)
        self.busy()
        others = [Nobody() for _ in range(3)]
        for other in others:
            assert not self.governor.line_up(other)
        await asyncio.sleep(0)
        for other in others:
            self.governor.leave(other)


class Nobody:
    """Waits, and wants nothing."""

    def begin(self) -> None:
        """Be served."""

    def refuse(self) -> None:
        """Be refused."""

    def fail(self) -> None:
        """Never happens."""


class Entrance(asyncio.Protocol):
    """A connection until it is handed over."""

    def __init__(self, port: Port, protocol: SocketProtocol, unread: bytes) -> None:
        self._port, self._protocol, self._unread = port, protocol, unread

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hand it over at once."""
        stream = cast("asyncio.Transport", transport)
        self._port.doorkeeper.let_in()
        self._port.connections.add(self._protocol)
        stream.set_protocol(self._protocol)
        berth = Berth(self._port.connections, self._port.doorkeeper)
        self._protocol.follow(stream, berth, self._unread)


class Peer:
    """A client with raw bytes; a context manager.

    Attributes:
        frames: What the server sent.
        talk: What it speaks with there.
        has_ended: The server sends no more.
        was_reset: It cut the connection.
    """

    def __init__(self, port: Port, limits: WireLimits, talk: FakeTalk | None) -> None:
        self.frames = ServerFrames()
        self.talk = talk or FakeTalk()
        self.wire = SocketProtocol(self.talk, port.governor, port.clock, limits)
        self.has_ended = self.was_reset = False
        self._port = port
        self.socket, self._theirs = socket.socketpair()

    async def open(self, unread: bytes = b"") -> Self:
        """Connect."""
        self.socket.setblocking(False)
        await asyncio.get_running_loop().create_connection(
            lambda: Entrance(self._port, self.wire, unread), sock=self._theirs
        )
        return self

    async def send(self, octets: bytes) -> None:
        """Send *octets* as they are, or as many as the server takes before it hangs up."""
        try:
            await asyncio.get_running_loop().sock_sendall(self.socket, octets)
        except (BrokenPipeError, ConnectionResetError):
            self.was_reset = True

    async def until(self, is_so: Callable[[], object]) -> None:
        """Read until it is so."""
        async with asyncio.timeout(PATIENCE_S):
            while not is_so() and not self.has_ended:
                await self.read()
            while not is_so():
                await turn()

    async def end(self) -> None:
        """Read until the server has nothing more to say; then it knows that all is over."""
        await self.until(lambda: self.has_ended)
        self.socket.close()
        await self.is_lost()

    async def is_lost(self) -> None:
        """Wait, without reading, until the server knows that it is over."""
        async with asyncio.timeout(PATIENCE_S):
            await self.talk.is_lost.wait()

    async def read(self) -> None:
        """Read once."""
        try:
            octets = await asyncio.get_running_loop().sock_recv(self.socket, 1 << 20)
        except ConnectionResetError:
            octets, self.was_reset = b"", True
        self.has_ended = not octets
        if octets:
            self.frames.feed(octets)


Story = Callable[[Port], Awaitable[None]]


def play(story: Story) -> None:
    """Have *story* played on the loop that we serve with; nothing may be held behind it."""

    async def played() -> None:
        port = Port()
        try:
            await story(port)
        finally:  # or the loop would wait for them for ever
            for connection in port.connections:
                cast("SocketProtocol", connection).abort()
            await turn()
        assert port.governor.waiting == 0
        assert port.governor.held_bytes == 0
        assert port.doorkeeper.connections == 0
        assert port.connections == set()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(played())


def has_heard(peer: "Peer", count: int) -> bool:
    return len(peer.talk.heard) == count


async def turn() -> None:
    """Let happen what can."""
    for _ in range(10):
        await asyncio.sleep(0.001)


async def stuff(peer: Peer) -> int:
    """Say large texts until more waits than may; return how many."""
    for sent in itertools.count(1):
        peer.wire.send(LARGE)
        if peer.wire.is_halted:
            return sent
        await asyncio.sleep(0)
    raise AssertionError


async def connect(
    port: Port,
    unread: bytes = b"",
    *,
    limits: WireLimits = SOON,
    talk: FakeTalk | None = None,
) -> Peer:
    """Connect, and read the welcome."""
    peer = await Peer(port, limits, talk).open(unread)
    await peer.until(lambda: peer.frames.texts)
    assert peer.frames.texts.pop(0) == b"welcome"
    return peer
