"""A handshake's connection goes to whoever follows, with all that came behind it; or it ends."""

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from typing import Final

import pytest
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from edge.shell.doorkeeper import Doorkeeper
from edge.shell.governed import SLICE_BYTES
from edge.shell.governor import HELD_BYTES_MAX
from edge.shell.upgrade import EXTENSION, Berth
from tests.shell.test_governed import Port, post, said, statuses
from tests.shell.test_wire import body, start

HANDSHAKE: Final = (
    b"GET /%b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
)
SHAKE: Final = HANDSHAKE % b"a"
FRAMES: Final = b"\x81\x80GET / HTTP/1.1\r\n\r\n"
"""Would be a request, if anybody read it as one."""


class Follower(asyncio.Protocol):
    """Takes a connection over.

    Attributes:
        unread: What it was given; ``None``: nothing yet.
        berth: Where it is known.
    """

    def __init__(self) -> None:
        self.unread: bytes | None = None
        self.transport: asyncio.Transport | None = None
        self.berth: Berth | None = None

    def follow(self, transport: asyncio.Transport, berth: Berth, unread: bytes) -> None:
        """Take it."""
        self.transport, self.berth, self.unread = transport, berth, unread


class SwitchingPort(Port):
    """Its application switches what asks for it; paths that begin with ``no`` are refused.

    Attributes:
        followers: One per handshake that came so far.
        switched: What it was told of each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.followers: list[Follower] = []
        self.switched: list[bool] = []

    @override
    async def _echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        if EXTENSION not in scope.get("extensions", ()):
            await super()._echo(scope, receive, send)
            return
        self.begun.append(scope["path"])
        await self.release.wait()
        if scope["path"].startswith("/no"):
            await send(start((b"content-length", b"2"), status=403))
            await send(body())
            return
        self.followers.append(Follower())
        switch = scope["extensions"][EXTENSION]["switch"]
        self.switched.append(switch([(b"x-a", b"b")], self.followers[-1]))

    @property
    def unread(self) -> bytes | None:
        """What the first follower was given."""
        return self.followers[0].unread if self.followers else None


def play(story: Callable[[SwitchingPort], Awaitable[None]]) -> None:
    """Have *story* played, and see that nothing is held behind it."""

    async def played() -> None:
        port = SwitchingPort()
        await story(port)
        await port.rest()
        assert port.governor.waiting == 0
        assert port.governor.held_bytes == 0

    asyncio.run(played())


def test_a_handshake_is_answered_and_its_connection_handed_over() -> None:
    async def story(port: SwitchingPort) -> None:
        wire, connection = port.connect()
        connection.data_received(SHAKE)
        await port.rest()
        head = b"".join(wire.writes)
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        assert head.endswith(b"upgrade: websocket\r\nconnection: upgrade\r\nx-a: b\r\n\r\n")
        assert (port.switched, port.unread) == ([True], b"")
        assert wire.protocol is port.followers[0]
        assert not wire.is_closed

    play(story)


@pytest.mark.parametrize("size", [1, 50, len(SHAKE), len(SHAKE) + 3, 8_000])
def test_what_comes_behind_a_handshake_is_handed_over_whole(size: int) -> None:
    async def story(port: SwitchingPort) -> None:
        port.release.clear()
        wire, connection = port.connect()
        sent = SHAKE + FRAMES * 500
        came = 0
        while came < (4 * SLICE_BYTES if size > 1 else 200):
            connection.data_received(sent[came : came + size])
            came += size
            await asyncio.sleep(0)
        port.release.set()
        await port.rest()
        assert port.unread == sent[len(SHAKE) : came]
        assert statuses(wire) == [101]
        assert not wire.is_paused
        assert port.begun == ["/a"]

    play(story)


def test_a_handshake_behind_other_requests_is_begun_behind_their_answers() -> None:
    async def story(port: SwitchingPort) -> None:
        port.release.clear()
        wire, connection = port.connect()
        connection.data_received(post("first") + SHAKE + FRAMES)
        await port.rest()
        assert port.begun == ["/first"]
        connection.data_received(b"more")
        port.release.set()
        await port.rest()
        assert said(wire) == [b"/first:{}"]
        assert statuses(wire) == [200, 101]
        assert port.unread == FRAMES + b"more"

    play(story)


def test_a_handshake_that_is_parked_is_begun_in_its_turn() -> None:
    async def story(port: SwitchingPort) -> None:
        wire, connection = port.connect()
        port.busy()
        connection.data_received(SHAKE + FRAMES)
        assert port.governor.waiting == 1
        await port.rest()
        assert statuses(wire) == [101]
        assert port.unread == FRAMES

    play(story)


def test_a_handshake_whose_turn_does_not_come_is_refused_and_its_connection_ends() -> None:
    async def story(port: SwitchingPort) -> None:
        wire, connection = port.connect()
        await port.refuse(connection, SHAKE + FRAMES)
        assert statuses(wire) == [503]
        assert wire.is_closed
        assert port.begun == []

    play(story)


def test_a_handshake_behind_an_answer_whose_turn_does_not_come_is_refused_too() -> None:
    async def story(port: SwitchingPort) -> None:
        wire, connection = port.connect()
        port.followed_late = "/first"
        connection.data_received(post("first") + SHAKE + FRAMES)
        await port.rest()
        assert statuses(wire) == [200, 503]
        assert wire.is_closed
        assert port.followers == []
        connection.connection_lost(None)

    play(story)


def test_a_handshake_that_is_refused_is_its_connections_last() -> None:
    async def story(port: SwitchingPort) -> None:
        wire, connection = port.connect()
        connection.data_received(HANDSHAKE % b"no" + FRAMES)
        await port.rest()
        assert statuses(wire) == [403]
        assert b"\r\nconnection: close\r\n" in b"".join(wire.writes)
        assert wire.is_closed
        assert port.begun == ["/no"]
        connection.connection_lost(None)

    play(story)


def test_a_client_that_left_is_not_switched() -> None:
    async def story(port: SwitchingPort) -> None:
        port.release.clear()
        wire, connection = port.connect()
        connection.data_received(SHAKE + FRAMES)
        connection.connection_lost(ConnectionResetError())
        port.release.set()
        await port.rest()
        assert port.switched == [False]
        assert (port.unread, wire.writes) == (None, [])

    play(story)


def test_a_client_that_is_about_to_leave_is_no_error_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story(port: SwitchingPort) -> None:
        port.release.clear()
        wire, connection = port.connect()
        connection.data_received(SHAKE)
        wire.close()  # its loss is told a turn later
        port.release.set()
        await port.rest()
        assert port.switched == [False]
        connection.connection_lost(None)

    play(story)
    assert caplog.messages == []


def test_without_room_for_what_is_behind_a_handshake_the_connection_ends() -> None:
    async def story(port: SwitchingPort) -> None:
        port.release.clear()
        wire, connection = port.connect()
        connection.data_received(SHAKE)
        port.governor.hold(HELD_BYTES_MAX)
        connection.data_received(FRAMES)
        assert wire.is_closed
        port.governor.release(HELD_BYTES_MAX)
        port.release.set()
        await port.rest()
        assert (port.switched, port.unread) == ([False], None)
        connection.connection_lost(None)

    play(story)


def test_the_follower_takes_the_connections_place_with_the_server_and_the_doorkeeper() -> None:
    async def story(port: SwitchingPort) -> None:
        doorkeeper = Doorkeeper(lambda _: False, port.meters.requests_refused)
        doorkeeper.let_in()
        _, connection = port.connect(doorkeeper)
        connection.data_received(SHAKE)
        await port.rest()
        follower = port.followers[0]
        assert list[object](port.state.connections) == [follower]
        assert port.state.total_requests == 1
        assert follower.berth is not None
        follower.berth.leave(follower)
        assert (port.state.connections, doorkeeper.connections) == (set(), 0)
        Berth({follower}, None).leave(follower)

    play(story)


def test_a_switched_connection_is_no_work_for_the_collector() -> None:
    async def story(port: SwitchingPort) -> None:
        wire, connection = port.connect()
        gone = weakref.ref(connection)
        gc.collect()
        gc.disable()
        try:
            connection.data_received(SHAKE + FRAMES)
            await port.rest()
            assert statuses(wire) == [101]
            del connection
            await port.rest()
            assert gone() is None
        finally:
            gc.enable()

    play(story)
