"""One real connection each, with raw bytes: what is heard, what is sent, and how it ends."""

import asyncio
import gc
import logging
import weakref
from typing import TYPE_CHECKING, cast

import pytest

from edge.core.closing import BUG
from edge.shell.stream.frames import text_frame
from edge.shell.stream.speaking import WireLimits
from tests.fakes_frames import BINARY, CLOSE, PING, client_frame, closing
from tests.fakes_wire import (
    PATIENCE_S,
    SOON,
    FakeTalk,
    Port,
    connect,
    play,
    stuff,
    turn,
)

if TYPE_CHECKING:
    from edge.shell.stream.socket_wire import SocketProtocol


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


def test_a_peer_that_vanishes_without_a_close_frame_is_lost_abnormally() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        peer.socket.close()
        await peer.is_lost()
        assert peer.talk.lost_codes == [1006]

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


def test_a_bug_before_anything_is_read_ends_the_socket_like_any_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, limits=WireLimits(write_buffer_bytes=-1))  # uvloop raises
        await peer.end()
        assert peer.frames.close == BUG
        assert (peer.talk.fails, peer.talk.lost_codes) == (1, [1011])

    with caplog.at_level(logging.ERROR, "edge.stream"):
        play(story)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("breaks_at", "log_lines"),
    [
        pytest.param(b"begin", 1, id="at its beginning"),
        pytest.param(b"text", 1, id="in what it hears"),
        pytest.param(b"end", 1, id="while it ends"),
        pytest.param(b"lost", 1, id="when it is over"),
        pytest.param(b"parked", 1, id="in its turn"),
    ],
)
def test_a_bug_of_whatever_is_called_ends_the_socket_as_politely_as_may_be(
    breaks_at: bytes, log_lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, talk=FakeTalk(breaks_at=breaks_at))
        if breaks_at == b"parked":
            port.busy()
            peer.wire.data_received(client_frame(b"parked"))
        await peer.send(client_frame(b"text") + client_frame(b"", BINARY))
        await peer.end()
        if breaks_at == b"lost":
            assert peer.frames.close == (1003, "binary")
        else:
            assert peer.frames.close == BUG
            assert (peer.talk.fails, peer.talk.lost_codes) == (1, [1011])

    with caplog.at_level(logging.ERROR, "edge.stream"):
        play(story)
    assert [each.name for each in caplog.records] == ["edge.stream"] * log_lines
