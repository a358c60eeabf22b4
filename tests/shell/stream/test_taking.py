"""Whatever a peer sends is heard once, in order, in its turn and within its bounds."""

import asyncio
import contextlib
from functools import partial

import pytest

from edge.core.closing import FLOOD, OVERLOADED
from edge.core.instant import NS_PER_S
from edge.core.waiting_line import WAIT_NS_MAX
from edge.shell.governor import HELD_BYTES_MAX, HELD_FRAMES_BYTES_MAX
from edge.shell.stream.speaking import WireLimits
from tests.fakes_frames import PING, PONG, client_frame, closing
from tests.fakes_wire import (
    LARGE,
    FakeTalk,
    Generous,
    Port,
    Unmoving,
    connect,
    has_heard,
    play,
    turn,
)


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


def test_49_a_flood_is_told_so_with_a_bye_and_most_of_it_is_never_looked_at() -> None:
    async def story(port: Port) -> None:
        port.governor = Generous(port.clock, port.meters)
        peer = await connect(port)
        await peer.send(client_frame(b"!") * 20_000)
        await peer.end()
        assert peer.talk.ends == [FLOOD]
        assert peer.frames.close == FLOOD
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
        assert peer.frames.close == FLOOD
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
        assert peer.talk.ends == [(1001, "")]

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


def test_who_is_halted_by_each_text_is_not_read_in_between() -> None:
    """Else each that is heard lets as much come in as a read takes."""

    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.talk.halts_at = b"halt"
        peer.wire.data_received(client_frame(b"halt") * 6)
        peer.wire.data_received(client_frame(b"the last that is read"))
        held_bytes = port.governor.held_bytes
        await peer.send(client_frame(LARGE))
        for heard in range(2, 7):
            peer.wire.resume()
            await turn()
            assert peer.talk.heard == [b"halt"] * heard
            assert port.governor.held_bytes < held_bytes
        peer.wire.resume()
        await peer.until(lambda: peer.talk.heard[-1] == LARGE)
        await peer.send(closing(1000))
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


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(client_frame(b"", PONG), id="a pong"),
        pytest.param(client_frame(LARGE)[:1], id="one octet of a frame"),
    ],
)
def test_any_byte_is_a_sign_of_life_after_a_ping(octets: bytes) -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        await peer.send(client_frame(b"before"))
        await peer.until(lambda: peer.frames.texts)
        stirred = [peer.wire.has_stirred]
        peer.wire.ping()
        stirred.append(peer.wire.has_stirred)
        await peer.until(lambda: peer.frames.pings)
        assert peer.frames.pings == [b""]
        await peer.send(octets)
        await turn()
        assert [*stirred, peer.wire.has_stirred] == [True, False, True]
        peer.wire.abort()
        await peer.end()

    play(story)


def test_who_is_pinged_while_nothing_is_read_of_it_is_not_taken_for_gone() -> None:
    """Its pong lies unread; the time for it may be over before the loop looks."""

    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.wire.pause()
        for _ in range(2):  # what comes, and the read that is the last
            peer.wire.data_received(client_frame(b"waits"))
        peer.wire.ping()
        assert (peer.wire.has_stirred, peer.wire.is_halted) == (False, True)
        peer.wire.resume()
        assert (peer.wire.has_stirred, peer.wire.is_halted) == (True, False)
        peer.wire.ping()
        assert not peer.wire.has_stirred, "from now on it is read"
        await peer.send(closing(1000))
        await peer.end()

    play(story)


def test_3_who_takes_too_long_for_one_message_is_cut_whatever_it_pings_meanwhile() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        await peer.send(client_frame(b"whole") + client_frame(b"a", 0x01))
        await turn()
        for _ in range(3):
            port.clock.advance(20)
            await peer.send(client_frame(b"a", 0x00) + client_frame(b"?", PING))
            await turn()
        await peer.until(lambda: len(peer.frames.pongs) == 3)
        port.clock.advance(5)
        await peer.send(client_frame(b"a", 0x00))
        await peer.end()
        assert (peer.talk.heard, peer.talk.lost_codes) == ([b"whole"], [1006])

    play(story)


def test_3_a_message_has_a_time_and_so_has_the_next() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        octets = b"".join(client_frame(b"%d" % number) for number in range(5))
        for at in range(0, len(octets), 5):  # each read ends within a frame, but the last
            peer.wire.data_received(octets[at : at + 5])
            port.clock.advance(25)
        assert peer.talk.heard == [b"0", b"1", b"2", b"3", b"4"]
        await peer.send(closing(1000))
        await peer.end()
        assert peer.talk.lost_codes == [1000], "it was not cut"

    play(story)


def test_3_what_we_make_a_peer_wait_for_does_not_count_against_its_message() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        frame = client_frame(b"patient")
        peer.wire.data_received(frame[:3])
        peer.wire.pause()
        port.clock.advance(100)
        peer.wire.data_received(frame[3:5])
        peer.wire.resume()
        port.clock.advance(50)
        peer.wire.data_received(frame[5:])
        assert peer.talk.heard == [b"patient"]
        await peer.send(closing(1000))
        await peer.end()
        assert peer.talk.lost_codes == [1000], "it was not cut"

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
        assert peer.talk.noticed == 1
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
        assert peer.talk.ends == [OVERLOADED]
        assert peer.frames.texts == [b"bye"]
        assert peer.frames.close == OVERLOADED
        assert peer.talk.heard == []
        assert port.meters.requests_refused == {"overloaded": 1}, "no request was"

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
        assert port.governor.hold(HELD_FRAMES_BYTES_MAX - 10)
        port.busy()
        first.wire.data_received(client_frame(b"x" * 11))
        assert first.talk.ends == [OVERLOADED]
        second.wire.data_received(client_frame(b"x"))
        assert second.talk.ends == []
        second.wire.data_received(client_frame(b"x" * 10))
        assert second.talk.ends == [OVERLOADED]
        assert port.governor.hold(HELD_BYTES_MAX - HELD_FRAMES_BYTES_MAX), (
            "of requests there may"
        )
        port.governor.release(HELD_BYTES_MAX - 10)
        assert port.meters.requests_refused == {"overloaded": 2}
        for peer in (first, second):
            await peer.end()
            assert peer.frames.texts == [b"bye"]
            assert peer.talk.heard == []

    play(story)


@pytest.mark.parametrize("halt", ["talk", "peer"])
def test_what_waits_at_a_socket_is_held_by_the_governor_whatever_halts_it(halt: str) -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, limits=WireLimits(write_buffer_s=60))
        frame = client_frame(b"?" * 1_000)
        peer.wire.data_received(client_frame(b"0") + frame[:9])
        assert port.governor.held_bytes == 0, "of what is on its way"
        if halt == "talk":
            peer.talk.halts_at = b"1"
            peer.wire.data_received(frame[9:] + client_frame(b"1") + frame)
        else:
            peer.wire.pause_writing()
            peer.wire.data_received(frame[9:])
        assert peer.wire.is_halted
        assert port.governor.held_bytes == len(frame)
        peer.wire.data_received(frame)
        assert port.governor.held_bytes == 2 * len(frame)
        assert peer.talk.ends == []
        if halt == "talk":
            peer.wire.resume()
        else:
            peer.wire.resume_writing()
        assert port.governor.held_bytes == 0
        peer.wire.pause()
        peer.wire.data_received(frame)
        peer.wire.close(4001, "as asked")
        assert port.governor.held_bytes == 0
        await peer.send(closing(4001))
        await peer.end()

    play(story)


def test_who_is_halted_while_there_is_no_room_is_told_so_and_nothing_of_it_is_kept() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.wire.pause()
        assert port.governor.hold(HELD_FRAMES_BYTES_MAX)
        peer.wire.data_received(client_frame(b"unheard"))
        port.governor.release(HELD_FRAMES_BYTES_MAX)
        assert peer.talk.ends == [OVERLOADED]
        await peer.end()
        assert peer.frames.close == OVERLOADED
        assert peer.talk.heard == []

    play(story)


def test_who_is_ended_already_is_not_refused_as_well() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, talk=FakeTalk(is_tardy=True))
        peer.talk.end(4401, "token_expired")
        peer.wire.pause_writing()
        assert port.governor.hold(HELD_FRAMES_BYTES_MAX)
        peer.wire.data_received(client_frame(b"unheard"))
        port.governor.release(HELD_FRAMES_BYTES_MAX)
        assert port.meters.requests_refused == {}
        peer.talk.part()
        await peer.end()
        assert peer.frames.close == (4401, "token_expired")

    play(story)


def test_who_finds_no_room_stands_in_no_line_while_its_talk_takes_its_time_to_end() -> None:
    async def story(port: Port) -> None:
        port.governor = Unmoving(port.clock, port.meters)
        peer = await connect(port, talk=FakeTalk(is_tardy=True))
        assert port.governor.hold(HELD_BYTES_MAX)
        port.busy()
        peer.wire.data_received(client_frame(b"unheard"))
        port.governor.release(HELD_BYTES_MAX)
        assert peer.talk.ends == [OVERLOADED]
        assert (port.governor.waiting, port.governor.held_bytes) == (0, 0)
        peer.wire.shutdown()
        assert len(peer.talk.ends) == 1
        await peer.send(client_frame(b"unheard") + closing(1000))
        await turn()
        peer.talk.part()
        await peer.end()
        assert peer.talk.heard == []
        assert peer.frames.close == OVERLOADED

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
                peer.wire.close(4001, "as asked")
            case _:
                peer.wire.close(4001, "as asked")
                assert port.governor.waiting == 0
        await peer.end()
        peer.wire.begin()  # by a turn that had begun
        peer.wire.refuse()
        assert peer.talk.heard == []

    play(story)
