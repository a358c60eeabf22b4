"""One real connection each, with raw bytes: what is heard, what is sent, and how it ends."""

import asyncio
import contextlib
import gc
import itertools
import logging
import socket
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Self, cast

import pytest
import uvloop
from typing_extensions import override

from edge.core.instant import NS_PER_S
from edge.core.waiting_line import CALM_TURN_NS, PACE_NS_AT_FIRST, WAIT_NS_MAX
from edge.shell.doorkeeper import Doorkeeper
from edge.shell.governor import HELD_BYTES_MAX, REFUSED_AS, Connection, Governor
from edge.shell.meters import Meters
from edge.shell.stream.socket_wire import FLOOD, SocketProtocol, WireLimits, text_frame
from edge.shell.upgrade import Berth
from tests.fakes import FakeClock
from tests.fakes_frames import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    ServerFrames,
    client_frame,
    closing,
)

PATIENCE_S: Final = 10.0
SOON: Final = WireLimits(close_s=0.05, write_buffer_s=0.05)
"""For tests that wait for one of these to be over."""

LARGE: Final = b"x" * 65_536


@dataclass
class FakeTalk:
    """Says back what it hears, and good-bye when it has to.

    Attributes:
        heard: Texts.
        pongs: How many.
        ends: What it was told to end with.
        lost_codes: What it was told when it was over.
        is_mute: It says nothing back.
        is_tardy: It has verdicts to wait for, and takes its time to say good-bye.
        halts_at: The text at which it has enough, until told otherwise.
    """

    heard: list[bytes] = field(default_factory=list[bytes])
    pongs: int = 0
    ends: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    lost_codes: list[int] = field(default_factory=list[int])
    is_mute: bool = False
    is_tardy: bool = False
    halts_at: bytes | None = None
    wire: SocketProtocol | None = None
    is_lost: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, wire: SocketProtocol) -> None:
        """Say welcome."""
        self.wire = wire
        wire.send(b"welcome")

    def hear(self, text: bytes) -> None:
        """Say it back; it is heard when all that it calls for is done."""
        assert self.wire is not None
        if not self.is_mute:
            self.wire.send(text)
        if text == self.halts_at:
            self.wire.pause()
        if text == b"resume":
            self.wire.resume()
        if text == b"close":
            self.wire.close(4001, "as asked")
        self.heard.append(text)

    def pong(self) -> None:
        """Count."""
        self.pongs += 1

    def end(self, code: int, reason: str) -> None:
        """Say bye, and close."""
        assert self.wire is not None
        self.ends.append((code, reason))
        self.wire.stop_hearing()
        if not self.is_tardy:
            self.wire.send(b"bye")
            self.wire.close(code, reason)

    def lost(self, code: int) -> None:
        """It is over."""
        self.lost_codes.append(code)
        self.wire = None
        self.is_lost.set()


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


def test_a_text_is_heard_and_answered_and_a_ping_is_ponged() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        await peer.send(client_frame(b"one") + client_frame(b"?", PING) + client_frame(b"two"))
        await peer.until(lambda: len(peer.frames.texts) == 2)
        peer.wire.send_wire(text_frame(b"pushed"))
        await peer.until(lambda: len(peer.frames.texts) == 3)
        assert peer.frames.texts == [b"one", b"two", b"pushed"]
        assert peer.frames.pongs == [b"?"]
        await peer.send(closing(1000, "done"))
        await peer.end()
        assert peer.frames.close == (1000, "done")
        assert peer.talk.lost_codes == [1000]
        assert not peer.was_reset

    play(story)


def test_what_came_behind_the_handshake_is_heard_after_the_welcome() -> None:
    async def story(port: Port) -> None:
        frame = client_frame(b"early bird")
        peer = await connect(port, frame[:9])
        await peer.send(frame[9:])
        await peer.until(lambda: peer.frames.texts)
        assert peer.frames.texts == [b"early bird"]
        await peer.send(client_frame(b"", CLOSE))
        await peer.end()
        assert peer.talk.lost_codes == [1005]

    play(story)


def test_a_frame_that_comes_octet_by_octet_is_heard_once() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        for octet in client_frame(b"slowly"):
            await peer.send(bytes((octet,)))
            await asyncio.sleep(0)
        await peer.until(lambda: peer.frames.texts)
        assert peer.talk.heard == [b"slowly"]
        peer.wire.abort()
        await peer.end()
        assert peer.talk.lost_codes == [1006]

    play(story)


@pytest.mark.parametrize(
    ("octets", "code"),
    [
        pytest.param(client_frame(b"\x00", BINARY), 1003, id="17: binary"),
        pytest.param(client_frame(b"\xff"), 1007, id="21: no UTF-8"),
        pytest.param(client_frame(b"x" * 65_537)[:4], 1009, id="14: too long"),
        pytest.param(
            client_frame(b"a", 0x01) + client_frame(b"a", 0x00) * 64, 1009, id="15: fragments"
        ),
        pytest.param(client_frame(b"", 0xF1), 1002, id="48: reserved bits"),
        pytest.param(b"\x81\x01x", 1002, id="48: not masked"),
        pytest.param(client_frame(b"x" * 126, PING), 1002, id="48: long ping"),
        pytest.param(client_frame(b"x", CLOSE), 1002, id="48: half a close code"),
        pytest.param(client_frame(b"", PING) * 52, 1008, id="49: pings"),
        pytest.param(client_frame(b"", PONG) * 52, 1008, id="49: pongs"),
    ],
)
def test_who_breaks_a_rule_is_told_the_code_and_heard_no_more_without_a_word_in_the_log(
    octets: bytes, code: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        await peer.send(client_frame(b"before") + octets + client_frame(b"behind") * 9_000)
        await peer.end()
        assert peer.frames.close is not None
        assert peer.frames.close[0] == code
        assert peer.frames.texts == [b"before"]
        assert peer.talk.heard == [b"before"]
        assert (peer.talk.ends, peer.talk.lost_codes) == ([], [code])
        assert len(peer.frames.pongs) <= 51

    with caplog.at_level(logging.INFO):
        play(story)
    assert caplog.records == []


def test_who_goes_on_after_it_was_closed_is_not_reset_before_it_could_read_why() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, limits=WireLimits(close_s=PATIENCE_S))
        await peer.send(client_frame(b"", BINARY))
        await turn()
        for _ in range(5):
            await peer.send(client_frame(b"unheard", PING) * 1_000)
            await asyncio.sleep(0)
        await peer.until(lambda: peer.frames.close)
        assert peer.frames.close == (1003, "binary")
        assert (peer.talk.heard, peer.frames.pongs) == ([], [])
        peer.socket.shutdown(socket.SHUT_WR)
        await peer.end()
        assert not peer.was_reset

    play(story)


def test_49_a_flood_is_told_so_with_a_bye_and_most_of_it_is_never_looked_at() -> None:
    async def story(port: Port) -> None:
        port.governor = Generous(port.clock, port.meters)
        peer = await connect(port)
        await peer.send(client_frame(b"!") * 20_000)
        await peer.end()
        assert peer.talk.ends == [(FLOOD, "flood")]
        assert peer.frames.close == (FLOOD, "flood")
        assert peer.frames.texts[-1] == b"bye"
        assert len(peer.talk.heard) == 251

    play(story)


def test_49_silence_saves_up_no_more_than_one_burst() -> None:
    async def story(port: Port) -> None:
        port.governor = Generous(port.clock, port.meters)
        peer = await connect(port)
        await peer.send(client_frame(b"!") + client_frame(b"", PING))
        await peer.until(lambda: peer.frames.pongs)
        port.clock.advance(3_600)
        await peer.send(client_frame(b"!") * 20_000)
        await peer.end()
        assert peer.frames.close == (FLOOD, "flood")
        assert len(peer.talk.heard) == 1 + 251

    play(story)


def test_49_as_many_texts_as_the_rate_allows_go_on_for_ever() -> None:
    async def story(port: Port) -> None:
        port.governor = Generous(port.clock, port.meters)
        peer = await connect(port)
        for count in range(1, 6):
            await peer.send(client_frame(b"!") * 250 + client_frame(b"", PING) * 50)
            await peer.until(partial(has_heard, peer, count * 250))
            port.clock.advance(5)
        await peer.until(lambda: len(peer.frames.pongs) == 250)
        await peer.send(closing(1001))
        await peer.end()
        assert peer.talk.ends == []

    play(story)


def test_a_peer_that_vanishes_without_a_close_frame_is_lost_abnormally() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.socket.close()
        await peer.is_lost()
        assert peer.talk.lost_codes == [1006]

    play(story)


def test_a_peer_that_says_no_more_is_lost_and_gets_what_was_on_its_way() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        await peer.send(client_frame(b"last"))
        peer.socket.shutdown(socket.SHUT_WR)
        await peer.end()
        assert peer.frames.texts == [b"last"]
        assert peer.talk.lost_codes == [1006]

    play(story)


def test_a_peer_that_says_no_more_and_does_not_read_is_cut_though_it_read_a_little() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, limits=WireLimits(close_s=0.5, write_buffer_s=60))
        await stuff(peer)
        peer.socket.shutdown(socket.SHUT_WR)
        await turn()
        peer.wire.resume_writing()
        await peer.is_lost()
        assert peer.talk.lost_codes == [1006]
        peer.socket.close()

    play(story)


def test_a_peer_that_says_no_more_and_reads_nothing_is_cut() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, limits=WireLimits(close_s=0.05, write_buffer_s=60))
        await stuff(peer)
        peer.socket.shutdown(socket.SHUT_WR)
        await peer.is_lost()
        assert peer.talk.lost_codes == [1006]
        peer.socket.close()

    play(story)


def test_our_close_is_behind_what_was_sent_and_the_connection_ends_with_theirs() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, limits=WireLimits())  # 0.5 s would be noticed
        await peer.send(client_frame(b"close") + client_frame(b"unheard"))
        await peer.until(lambda: peer.frames.close)
        assert peer.frames.texts == [b"close"]
        assert peer.frames.close == (4001, "as asked")
        peer.wire.send(b"too late")
        peer.wire.ping()
        peer.wire.send_wire(text_frame(b"too late"))
        peer.wire.close(4002, "again")
        peer.wire.stop_hearing()
        await peer.send(client_frame(b"?", PING) + client_frame(b"") + closing(4001))
        await peer.end()
        assert (peer.frames.texts, peer.frames.pongs) == ([b"close"], [])
        assert peer.talk.heard == [b"close"]
        assert peer.talk.lost_codes == [4001]

    play(story)


def test_who_does_not_answer_our_close_is_cut() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.wire.close(4001, "as asked")
        await peer.send(client_frame(b"what?") * 3)
        await peer.end()
        assert peer.talk.lost_codes == [4001]

    play(story)


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(client_frame(b"!") * 9_000, id="texts"),
        pytest.param(client_frame(b"", PING) * 9_000, id="pings"),
        pytest.param(client_frame(b"", BINARY), id="no rule kept"),
        pytest.param(client_frame(b"x", CLOSE), id="a wrong close"),
    ],
)
def test_whatever_answers_our_close_is_not_worth_a_second_one(octets: bytes) -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.wire.close(4001, "as asked")
        await peer.send(octets)
        await peer.end()
        assert peer.frames.close == (4001, "as asked")
        assert (peer.frames.texts, peer.frames.pongs) == ([], [])
        assert peer.talk.lost_codes == [4001]

    play(story)


def test_a_talk_that_ends_still_speaks_and_hears_nothing_but_is_still_asked_and_closed() -> (
    None
):
    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.wire.stop_hearing()
        peer.wire.send(b"pending verdict")
        await peer.send(client_frame(b"unheard") + client_frame(b"?", PING) + closing(1000))
        await peer.end()
        assert peer.frames.texts == [b"pending verdict"]
        assert peer.frames.pongs == [b"?"]
        assert peer.talk.heard == []
        assert peer.talk.lost_codes == [1000]

    play(story)


def test_a_flood_into_a_talk_that_ends_is_not_read() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.wire.stop_hearing()
        await peer.send(client_frame(b"!") * 9_000)
        await turn()
        assert peer.wire.is_halted
        peer.wire.close(4401, "token_expired")
        await peer.end()
        assert peer.frames.close == (4401, "token_expired")
        assert peer.talk.ends == []

    play(story)


def test_a_talk_that_has_enough_hears_the_rest_in_order_when_it_goes_on() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, talk=FakeTalk(halts_at=b"2"))
        await peer.send(b"".join(client_frame(b"%d" % number) for number in range(5)))
        await peer.until(lambda: len(peer.frames.texts) == 3)
        await peer.send(client_frame(b"5"))
        await turn()
        await peer.send(client_frame(b"6"))
        await turn()
        assert (peer.talk.heard, peer.wire.is_halted) == ([b"0", b"1", b"2"], True)
        peer.wire.resume()
        await peer.until(lambda: len(peer.frames.texts) == 7)
        expected = [b"%d" % number for number in range(7)]
        assert (peer.talk.heard, peer.wire.is_halted) == (expected, False)
        await peer.send(closing(1000))
        await peer.end()

    play(story)


def test_a_talk_that_has_enough_leaves_the_rest_with_the_peer() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.wire.pause()
        sent = 0
        for _ in range(40):
            with contextlib.suppress(BlockingIOError):
                sent += peer.socket.send(b"x" * 100_000)
            await turn()
        assert sent < 2_000_000  # a read of 256 kB, one more, and what the system keeps
        peer.wire.abort()
        await peer.end()

    play(story)


def test_a_talk_may_go_on_within_what_it_hears_and_nothing_overtakes() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        await peer.send(client_frame(b"resume") + client_frame(b"2") + client_frame(b"resume"))
        await peer.until(lambda: len(peer.frames.texts) == 3)
        assert peer.talk.heard == [b"resume", b"2", b"resume"]
        await peer.send(closing(1000))
        await peer.end()

    play(story)


def test_a_pong_is_told() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.wire.ping()
        await peer.until(lambda: peer.frames.pings)
        assert peer.frames.pings == [b""]
        await peer.send(client_frame(b"", PONG) + closing(1000))
        await peer.end()
        assert peer.talk.pongs == 1

    play(story)


def test_50_a_peer_that_never_reads_is_heard_no_more_and_cut() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        await stuff(peer)
        assert peer.wire.write_buffer_bytes > SOON.write_buffer_bytes
        await peer.send(client_frame(b"unheard"))
        await peer.is_lost()
        assert peer.talk.lost_codes == [1006]
        assert peer.talk.heard == []
        assert peer.wire.write_buffer_bytes == 0
        peer.socket.close()

    play(story)


def test_50_a_peer_that_reads_late_is_not_cut_and_heard_again() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, limits=WireLimits(write_buffer_s=PATIENCE_S))
        sent = await stuff(peer)
        await peer.send(client_frame(b"patient"))
        await turn()
        assert peer.talk.heard == []
        await peer.until(lambda: len(peer.frames.texts) == sent + 1)
        assert peer.frames.texts[-1] == b"patient"
        await peer.send(closing(1000))
        await peer.end()
        assert peer.talk.lost_codes == [1000]

    play(story)


def test_50_who_has_read_late_is_not_cut_after_all() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.wire.pause_writing()
        peer.wire.resume_writing()
        await asyncio.sleep(4 * SOON.write_buffer_s)
        await peer.send(client_frame(b"here still"))
        await peer.until(lambda: peer.frames.texts)
        await peer.send(closing(1000))
        await peer.end()
        assert peer.talk.heard == [b"here still"]
        assert peer.talk.lost_codes == [1000]

    play(story)


def test_a_close_that_a_peer_never_reads_is_no_reason_to_wait_for_it() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, limits=WireLimits(close_s=0.05, write_buffer_s=PATIENCE_S))
        await stuff(peer)
        peer.wire.close(4001, "as asked")
        await peer.is_lost()
        assert peer.talk.lost_codes == [4001]
        peer.socket.close()

    play(story)


def test_a_close_is_as_patient_with_a_full_buffer_as_with_an_empty_one() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, limits=WireLimits(close_s=0.05, write_buffer_s=PATIENCE_S))
        peer.wire.close(4001, "as asked")
        peer.wire.pause_writing()
        peer.wire.resume_writing()
        await peer.is_lost()
        assert peer.talk.lost_codes == [4001]
        peer.socket.close()

    play(story)


def test_who_comes_while_the_turn_is_full_is_parked_and_heard_in_its_turn() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        port.busy()
        peer.wire.data_received(
            client_frame(b"1") + client_frame(b"2") + client_frame(b"3")[:4]
        )
        assert peer.talk.heard == []
        assert port.governor.waiting == 1
        assert port.governor.held_bytes == len(b"1" + client_frame(b"2")) + 4
        assert peer.wire.is_halted
        peer.wire.data_received(client_frame(b"3")[4:6])
        peer.wire.data_received(client_frame(b"3")[6:])
        assert port.governor.held_bytes == len(b"1" + client_frame(b"2") + client_frame(b"3"))
        await peer.until(lambda: len(peer.frames.texts) == 3)
        assert peer.frames.texts == [b"1", b"2", b"3"]
        await peer.send(closing(1000))
        await peer.end()

    play(story)


def test_who_is_refused_its_turn_lines_up_again_until_it_has_waited_too_long() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        port.busy()
        peer.wire.data_received(client_frame(b"unheard"))
        for _ in range(4):
            await port.let_late_ones_be_refused()
            assert (port.governor.waiting, peer.talk.ends) == (1, [])
        await port.let_late_ones_be_refused()
        assert port.governor.waiting == 0
        await peer.send(closing(1013))
        await peer.end()
        assert peer.talk.ends == [(1013, "overloaded")]
        assert peer.frames.texts == [b"bye"]
        assert peer.frames.close == (1013, "overloaded")
        assert peer.talk.heard == []
        assert port.meters.requests_refused[REFUSED_AS] == 1

    play(story)


def test_who_is_refused_its_turn_while_there_is_another_is_heard_at_once() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        port.busy()
        peer.wire.data_received(client_frame(b"heard"))
        port.clock.advance(WAIT_NS_MAX / NS_PER_S)
        await asyncio.sleep(0)
        assert peer.talk.heard == [b"heard"]
        await peer.send(closing(1000))
        await peer.end()

    play(story)


def test_where_there_is_no_room_to_wait_nobody_waits() -> None:
    async def story(port: Port) -> None:
        first, second = await connect(port), await connect(port)
        assert port.governor.hold(HELD_BYTES_MAX - 10)
        port.busy()
        first.wire.data_received(client_frame(b"x" * 11))
        assert first.talk.ends == [(1013, "overloaded")]
        second.wire.data_received(client_frame(b"x"))
        assert second.talk.ends == []
        second.wire.data_received(client_frame(b"x" * 10))
        assert second.talk.ends == [(1013, "overloaded")]
        port.governor.release(HELD_BYTES_MAX - 10)
        for peer in (first, second):
            await peer.end()
            assert peer.frames.texts == [b"bye"]
            assert peer.talk.heard == []

    play(story)


def test_who_finds_no_room_stands_in_no_line_while_its_talk_takes_its_time_to_end() -> None:
    async def story(port: Port) -> None:
        port.governor = Unmoving(port.clock, port.meters)
        peer = await connect(port, talk=FakeTalk(is_tardy=True))
        assert port.governor.hold(HELD_BYTES_MAX)
        port.busy()
        peer.wire.data_received(client_frame(b"unheard"))
        port.governor.release(HELD_BYTES_MAX)
        assert peer.talk.ends == [(1013, "overloaded")]
        assert (port.governor.waiting, port.governor.held_bytes) == (0, 0)
        peer.wire.shutdown()
        assert len(peer.talk.ends) == 1
        await peer.send(client_frame(b"unheard") + closing(1000))
        await peer.end()
        assert peer.talk.heard == []

    play(story)


@pytest.mark.parametrize("how", ["lost", "ended", "closed"])
def test_who_leaves_while_parked_leaves_the_line(how: str) -> None:
    async def story(port: Port) -> None:
        port.governor = Unmoving(port.clock, port.meters)
        peer = await connect(port)
        port.busy()
        peer.wire.data_received(client_frame(b"unheard"))
        assert port.governor.waiting == 1
        match how:
            case "lost":
                peer.wire.abort()
            case "ended":
                peer.wire.stop_hearing()
                assert port.governor.waiting == 0
                await peer.send(closing(1000))
            case _:
                peer.wire.close(4001, "as asked")
                assert port.governor.waiting == 0
        await peer.end()
        peer.wire.begin()  # by a turn that had begun
        peer.wire.refuse()
        assert peer.talk.heard == []

    play(story)


def test_a_bug_in_its_turn_ends_the_socket() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.wire.fail()
        await peer.end()
        assert peer.frames.close == (1011, "internal_error")
        assert peer.talk.lost_codes == [1011]

    play(story)


def test_who_is_cut_already_can_still_fail() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.wire.abort()
        peer.wire.fail()
        await peer.end()
        assert peer.frames.close is None
        assert len(peer.talk.lost_codes) == 1

    play(story)


def test_the_server_has_it_leave_once() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        for connection in list(port.connections):
            cast("SocketProtocol", connection).shutdown()
            cast("SocketProtocol", connection).shutdown()
        await peer.until(lambda: peer.frames.close)
        await peer.send(closing(1012))
        await peer.end()
        assert peer.talk.ends == [(1012, "draining")]
        assert peer.frames.texts == [b"bye"]
        assert peer.frames.close == (1012, "draining")

    play(story)


def test_a_socket_that_is_gone_leaves_the_collector_no_work() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        await peer.send(client_frame(b"hello"))
        await peer.until(lambda: peer.frames.texts)
        gone = weakref.ref(peer.talk)
        gc.collect()
        gc.disable()
        try:
            await peer.send(closing(1000))
            await peer.end()
            del peer.talk
            assert gone() is None
        finally:
            gc.enable()

    play(story)
