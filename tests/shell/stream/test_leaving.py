"""A socket ends for one reason, behind all it was owed, and in time."""

import asyncio
import contextlib
import logging
import socket

import pytest
from typing_extensions import override

from edge.shell.stream.frames import text_frame
from edge.shell.stream.speaking import WireLimits
from tests.fakes_frames import BINARY, CLOSE, PING, PONG, client_frame, closing
from tests.fakes_wire import (
    LARGE,
    PATIENCE_S,
    FakeTalk,
    Peer,
    Port,
    connect,
    play,
    stuff,
    turn,
)


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
        peer.talk.is_tardy = True  # it waits for a sync
        await peer.send(client_frame(b"before") + octets + client_frame(b"behind") * 9_000)
        await peer.until(lambda: peer.talk.ends)
        await turn()
        assert (peer.frames.close, peer.has_ended) == (None, False)
        assert peer.wire.send(b"a verdict of before")
        peer.talk.part()
        await peer.end()
        assert peer.frames.close is not None
        assert peer.frames.close[0] == code
        assert peer.frames.texts == [b"before", b"a verdict of before", b"bye"]
        assert peer.talk.heard == [b"before"]
        assert (peer.talk.ends, peer.talk.lost_codes) == ([peer.frames.close], [code])
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


def test_a_peer_that_says_no_more_is_lost_and_gets_what_was_on_its_way() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        await peer.send(client_frame(b"last"))
        peer.socket.shutdown(socket.SHUT_WR)
        await peer.end()
        assert peer.frames.texts == [b"last"]
        assert peer.talk.lost_codes == [1006]

    play(story)


@pytest.mark.parametrize(
    ("octets", "close", "code"),
    [
        pytest.param(closing(1000, "done"), (1000, "done"), 1000, id="a close frame"),
        pytest.param(client_frame(b"", CLOSE), (1005, ""), 1005, id="one without a code"),
        pytest.param(b"", None, 1006, id="no close frame"),
    ],
)
def test_who_leaves_gets_what_it_waits_for_before_it_is_closed_on_in_its_own_words(
    octets: bytes, close: tuple[int, str] | None, code: int
) -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, talk=FakeTalk(is_tardy=True))
        await peer.send(client_frame(b"last") + octets)
        if octets:
            await peer.send(client_frame(b"unheard"))
        else:
            peer.socket.shutdown(socket.SHUT_WR)
        await peer.until(lambda: peer.talk.ends)
        await turn()
        assert (peer.frames.close, peer.has_ended) == (None, False)
        assert peer.wire.send(b"its verdict")
        peer.talk.part()
        await peer.end()
        assert peer.frames.close == close
        assert peer.frames.texts[:2] == [b"last", b"its verdict"]
        assert peer.talk.lost_codes == [code]
        assert not peer.was_reset

    play(story)


def test_who_says_no_more_while_it_waits_for_its_turn_is_heard_all_the_same() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        port.busy()
        peer.wire.data_received(client_frame(b"parked") + client_frame(b"behind"))
        peer.wire.eof_received()
        assert (peer.talk.heard, peer.talk.ends) == ([], [])
        await peer.end()
        assert peer.frames.texts == [b"parked", b"behind"]
        assert (peer.talk.ends, peer.talk.lost_codes) == ([(1006, "")], [1006])

    play(story)


@pytest.mark.parametrize("octets", [closing(1000), b""], ids=["a close frame", "no more"])
def test_who_leaves_while_it_is_ended_is_ended_all_the_same(octets: bytes) -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, talk=FakeTalk(is_tardy=True))
        peer.talk.end(4401, "token_expired")
        await peer.send(octets)
        if not octets:
            peer.socket.shutdown(socket.SHUT_WR)
        await turn()
        peer.talk.part()
        await peer.end()
        assert peer.frames.texts == [b"bye"]
        assert peer.frames.close == (4401, "token_expired")
        assert (peer.talk.ends, peer.talk.lost_codes) == ([(4401, "token_expired")], [4401])

    play(story)


def test_who_says_no_more_after_our_close_is_closed_on_at_once() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, limits=WireLimits())  # 0.5 s would be noticed
        peer.wire.close(4001, "as asked")
        await peer.until(lambda: peer.frames.close)
        peer.socket.shutdown(socket.SHUT_WR)
        await peer.end()
        assert peer.talk.lost_codes == [4001]

    play(story)


class Talkative(FakeTalk):
    """Says more than a peer may leave unread when it hears anything."""

    @override
    def hear(self, text: bytes) -> None:
        assert self.wire is not None
        self.heard.append(text)
        while not self.wire.is_halted:
            self.wire.send(LARGE)


async def say_no_more(port: Port, limits: WireLimits) -> Peer:
    """Have a peer say three texts and no more, of which the first stops the reading of them."""
    peer = await connect(port, limits=limits, talk=Talkative())
    await peer.send(b"".join(map(client_frame, (b"1", b"2", b"3"))))
    peer.socket.shutdown(socket.SHUT_WR)
    await turn()
    assert (peer.talk.heard, peer.talk.ends) == ([b"1"], [])
    assert port.governor.held_bytes == len(client_frame(b"2") + client_frame(b"3"))
    return peer


def test_what_came_before_a_peer_said_no_more_is_heard_when_it_has_read() -> None:
    async def story(port: Port) -> None:
        peer = await say_no_more(port, WireLimits(write_buffer_s=PATIENCE_S))
        await peer.end()
        assert peer.talk.heard == [b"1", b"2", b"3"]
        assert (peer.talk.ends, peer.talk.lost_codes) == ([(1006, "")], [1006])

    play(story)


def test_what_a_peer_that_never_reads_has_said_is_not_kept_for_ever() -> None:
    async def story(port: Port) -> None:
        peer = await say_no_more(port, WireLimits(close_s=60, write_buffer_s=0.05))
        await peer.is_lost()
        assert (peer.talk.heard, peer.talk.ends) == ([b"1"], [])
        assert port.governor.held_bytes == 0
        peer.socket.close()

    play(story)


def test_who_says_no_more_and_reads_nothing_is_closed_on_as_soon_as_any_other() -> None:
    async def story(port: Port) -> None:
        peer = await say_no_more(port, WireLimits(close_s=0.05, write_buffer_s=PATIENCE_S))
        peer.talk.end(1012, "draining")
        await peer.is_lost()
        assert (peer.talk.heard, peer.talk.lost_codes) == ([b"1"], [1012])
        peer.socket.close()

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
        peer = await connect(port, limits=WireLimits(close_s=60, write_buffer_s=0.05))
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
        await peer.send(client_frame(b"unheard") + client_frame(b"?", PING))
        await peer.until(lambda: peer.frames.pongs)
        peer.wire.close(4001, "as asked")
        await peer.send(closing(1000))
        await peer.end()
        assert peer.frames.texts == [b"pending verdict"]
        assert peer.frames.pongs == [b"?"]
        assert peer.talk.heard == []
        assert peer.talk.lost_codes == [4001]

    play(story)


def test_a_flood_into_a_talk_that_ends_is_not_read() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.wire.stop_hearing()
        sent = 0
        for _ in range(40):
            with contextlib.suppress(BlockingIOError):
                sent += peer.socket.send(client_frame(b"!") * 10_000)
            await turn()
        assert sent < 2_000_000  # a read of 256 kB, and what the system keeps
        peer.wire.close(4401, "token_expired")
        await peer.end()
        assert peer.frames.close == (4401, "token_expired")
        assert peer.talk.ends == []

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


def test_a_bug_in_its_turn_ends_the_socket() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.wire.fail()
        await peer.end()
        assert peer.frames.close == (1011, "internal_error")
        assert peer.talk.lost_codes == [1011]

    play(story)


class Oblivious(FakeTalk):
    """Does not end, whatever it is told."""

    @override
    def fail(self) -> None:
        self.fails += 1


def test_who_cannot_be_ended_after_a_bug_is_cut() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, talk=Oblivious())
        peer.wire.fail()
        await peer.end()
        assert (peer.talk.fails, peer.talk.lost_codes) == (1, [1006])

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
