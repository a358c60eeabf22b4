"""What is said reaches the peer as it was said, until the socket closes; then nothing does."""

from edge.shell.stream.frames import text_frame
from edge.shell.stream.speaking import WireLimits
from tests.fakes_frames import PONG, client_frame, closing
from tests.fakes_wire import Port, connect, play


def test_what_is_said_leaves_in_order_whoever_made_its_frame() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        assert peer.wire.send(b"one")
        assert peer.wire.send_wire(text_frame("zwei €".encode()))
        peer.wire.ping()
        peer.wire.send(b"x" * 70_000)
        await peer.until(lambda: len(peer.frames.texts) == 3)
        assert peer.frames.texts == [b"one", "zwei €".encode(), b"x" * 70_000]
        assert peer.frames.pings == [b""]
        await peer.send(client_frame(b"", PONG) + closing(1000))
        await peer.end()

    play(story)


def test_what_the_peer_has_not_taken_is_counted() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port, limits=WireLimits())
        assert peer.wire.write_buffer_bytes == 0
        peer.wire.send(b"x" * 4_000_000)
        assert peer.wire.write_buffer_bytes > 1_000_000
        await peer.until(lambda: peer.frames.texts)
        assert peer.wire.write_buffer_bytes == 0
        peer.wire.abort()
        await peer.end()
        assert peer.talk.lost_codes == [1006]

    play(story)


def test_after_its_end_nothing_can_be_said_or_goes_wrong() -> None:
    async def story(port: Port) -> None:
        peer = await connect(port)
        await peer.send(closing(1000))
        await peer.end()
        wire = peer.wire
        assert not wire.send(b"x")
        assert not wire.send_wire(b"x")
        wire.ping()
        wire.pause()
        wire.resume()
        wire.stop_hearing()
        wire.close(4001, "x")
        wire.abort()
        wire.shutdown()
        wire.fail()
        assert wire.write_buffer_bytes == 0

    play(story)
