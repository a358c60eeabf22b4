"""An answer leaves in one write, and nothing about it differs from uvicorn's own."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final, cast

import pytest
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from edge.shell.doorkeeper import Doorkeeper
from edge.shell.wire import LINGER_S, WireProtocol

GET: Final = b"GET /v1/time?zone=%7A HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD: Final = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"
OLD: Final = b"GET / HTTP/1.0\r\nHost: x\r\n\r\n"
KEPT: Final = b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n"
LAST: Final = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
LENGTH_2: Final = (b"content-length", b"2")


class Wire(asyncio.Transport):
    """A connection to nobody: keeps what is written, write by write."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.is_closed = False
        self.is_paused = False
        self.protocol: asyncio.BaseProtocol | None = None

    @override
    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.is_closed
        self.writes.append(bytes(data))

    @override
    def close(self) -> None:
        self.is_closed = True

    @override
    def is_closing(self) -> bool:
        return self.is_closed

    @override
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    @override
    def pause_reading(self) -> None:
        self.is_paused = True

    @override
    def resume_reading(self) -> None:
        self.is_paused = False


class Played:
    """An application that sends the given messages, and keeps the scopes it was called with."""

    def __init__(self, *messages: Message) -> None:
        self.messages = messages
        self.scopes: list[Scope] = []

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Be called."""
        self.scopes.append(scope)
        for message in self.messages:
            await asyncio.sleep(0)
            await send(dict(message))


def start(*headers: tuple[bytes, bytes], status: int = 202) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(content: bytes = b"{}", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": content, "more_body": more}


def open_connection(
    app: ASGIApp, protocol: type[HttpToolsProtocol] = WireProtocol
) -> tuple[HttpToolsProtocol, Wire, ServerState]:
    """Connect to *app*; within a loop."""
    config = uvicorn.Config(app, http=protocol, ws="none", lifespan="off", log_config=None)
    config.load()
    state = ServerState()
    state.default_headers = [(b"date", b"Sun, 22 Nov 2026 19:00:00 GMT")]
    wire, connection = Wire(), protocol(config, state, {})
    connection.connection_made(wire)
    return connection, wire, state


def converse(
    app: ASGIApp, *requests: bytes, protocol: type[HttpToolsProtocol] = WireProtocol
) -> Wire:
    """Have the requests answered, in one connection."""

    async def play() -> Wire:
        connection, wire, state = open_connection(app, protocol)
        connection.data_received(b"".join(requests))
        while state.tasks:
            await asyncio.gather(*state.tasks)
        connection.connection_lost(ConnectionResetError())
        return wire

    return asyncio.run(play())


def kept(connections: list[WireProtocol]) -> type[WireProtocol]:
    """A protocol whose connections an application can get hold of."""

    class Kept(WireProtocol):
        @override
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            connections.append(self)

    return Kept


@pytest.mark.parametrize(
    ("request_", "messages"),
    [
        pytest.param(GET, (start(LENGTH_2), body()), id="whole"),
        pytest.param(GET, (start((b"content-length", b"0")), body(b"")), id="empty"),
        pytest.param(GET, (start(), body()), id="no length: chunked"),
        pytest.param(GET, (start(), body(b"{", more=True), body(b"}")), id="in two parts"),
        pytest.param(GET, (start(LENGTH_2, (b"connection", b"close")), body()), id="the last"),
        pytest.param(GET, (start(LENGTH_2, (b"connection", b"Close")), body()), id="The Last"),
        pytest.param(LAST, (start(LENGTH_2), body()), id="the client's last"),
        pytest.param(OLD, (start(LENGTH_2), body()), id="HTTP/1.0"),
        pytest.param(KEPT, (start(LENGTH_2), body()), id="HTTP/1.0 that would be kept"),
        pytest.param(HEAD, (start(LENGTH_2), body()), id="HEAD"),
        pytest.param(GET, (start(LENGTH_2, (b"x-a", b"b\r\nc: d")), body()), id="forged line"),
        pytest.param(GET, (start(LENGTH_2), body(b"{}{}")), id="longer than it says"),
        pytest.param(GET, (), id="nothing"),
        pytest.param(b"GET ? HTTP/1.1\r\nHost: x\r\n\r\n", (), id="no path"),
        pytest.param(GET, (body(),), id="no head"),
        pytest.param(GET, (start(LENGTH_2), body(), body()), id="a second body"),
    ],
)
def test_what_leaves_is_what_uvicorn_would_have_sent(
    request_: bytes, messages: Sequence[Message]
) -> None:
    ours = converse(Played(*messages), request_)
    theirs = converse(Played(*messages), request_, protocol=HttpToolsProtocol)

    assert b"".join(ours.writes).lower() == b"".join(theirs.writes).lower()
    assert ours.is_closed == theirs.is_closed


def test_a_whole_answer_is_one_write() -> None:
    wire = converse(Played(start(LENGTH_2), body()), GET)

    assert len(wire.writes) == 1


def test_pipelined_requests_are_answered_in_order() -> None:
    async def echo(scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start((b"content-length", b"2")))
        await send(body(scope["path"].encode()))

    paths = (b"/1", b"/2", b"/3")
    wire = converse(echo, *(GET.replace(b"/v1/time?zone=%7A", path) for path in paths))

    assert [answer[-2:] for answer in wire.writes] == list(paths)


def test_an_application_is_told_what_uvicorn_would_tell_it() -> None:
    ours, theirs = Played(start(LENGTH_2), body()), Played(start(LENGTH_2), body())
    escaped = GET.replace(b"time", b"%74ime")

    converse(ours, GET, escaped, OLD)
    converse(theirs, GET, escaped, OLD, protocol=HttpToolsProtocol)

    assert ours.scopes == theirs.scopes
    assert [scope["path"] for scope in ours.scopes] == ["/v1/time", "/v1/time", "/"]


def test_an_application_that_dies_behind_its_head_is_an_error_to_the_client() -> None:
    wire = converse(Played(start(LENGTH_2)), GET)

    assert wire.writes[0].startswith(b"HTTP/1.1 500 ")


def test_a_client_that_left_is_sent_nothing() -> None:
    async def leave(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(start(LENGTH_2))
        left.append(connections[0])
        connections[0].connection_lost(ConnectionResetError())
        await send(body())

    connections: list[WireProtocol] = []
    left: list[WireProtocol] = []

    wire = converse(leave, GET, protocol=kept(connections))

    assert left
    assert wire.writes == []


def test_a_client_that_does_not_read_is_waited_for() -> None:
    async def answer(_scope: Scope, _receive: Receive, send: Send) -> None:
        connections[0].pause_writing()
        asyncio.get_running_loop().call_soon(read_again)
        await send(start(LENGTH_2))
        await send(body())
        order.append("sent")

    def read_again() -> None:
        order.append("reads again")
        connections[0].resume_writing()

    connections: list[WireProtocol] = []
    order: list[str] = []

    wire = converse(answer, GET, protocol=kept(connections))

    assert order[:2] == ["reads again", "sent"]
    assert b"".join(wire.writes).endswith(b"\r\n\r\n{}")


def test_an_answer_before_its_body_was_asked_for_is_followed_by_nothing() -> None:
    async def hasty(_scope: Scope, receive: Receive, send: Send) -> None:
        await send(start(LENGTH_2))
        await send(body())
        await receive()

    expecting = (
        b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n"
    )
    wire = converse(hasty, expecting)

    assert len(wire.writes) == 1


def test_nothing_more_is_read_while_a_request_waits_for_its_turn() -> None:
    async def watch(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.sleep(0)
        wire = cast("Wire", connections[0].transport)
        paused.append(wire.is_paused)
        await send(start(LENGTH_2))
        await send(body(scope["path"].encode()[:2]))

    connections: list[WireProtocol] = []
    paused: list[bool] = []

    converse(watch, GET, GET, GET, protocol=kept(connections))

    assert paused == [True, True, False]


def test_an_answer_is_not_written_to_a_connection_that_was_given_up() -> None:
    wire = converse(Played(start(LENGTH_2), body()), GET, GET, b"GARBAGE\r\n\r\n")

    assert len(wire.writes) == 1
    assert wire.writes[0].startswith(b"HTTP/1.1 400 ")


def test_who_leaves_makes_room_for_another_even_after_a_broken_request() -> None:
    doorkeeper = Doorkeeper(lambda _: False, Counter())

    async def play(*octets: bytes) -> None:
        config = uvicorn.Config(Played(), http=WireProtocol, ws="none", lifespan="off")
        config.load()
        doorkeeper.let_in()
        connection = WireProtocol(config, ServerState(), {}, doorkeeper=doorkeeper)
        connection.connection_made(Wire())
        for part in octets:
            connection.data_received(part)
        connection.connection_lost(None)

    for octets in ((), (GET[:9],), (b"\x00no HTTP",)):
        asyncio.run(play(*octets))

    assert doorkeeper.connections == 0


@pytest.mark.parametrize("is_first", [True, False])
def test_what_was_on_its_way_when_the_process_left_is_answered(*, is_first: bool) -> None:
    async def story() -> None:
        connection, wire, state = open_connection(Played(start(LENGTH_2), body()))
        if not is_first:
            connection.data_received(GET)
            await asyncio.gather(*state.tasks)
        connection.shutdown()
        assert not wire.is_closed
        connection.data_received(GET)
        await asyncio.gather(*state.tasks)
        assert len(wire.writes) == 2 - is_first
        await asyncio.sleep(2 * LINGER_S)
        assert wire.is_closing()
        connection.connection_lost(None)

    asyncio.run(story())


def test_what_is_under_way_when_the_process_leaves_is_its_connections_last() -> None:
    async def story() -> None:
        connection, wire, state = open_connection(Played(start(LENGTH_2), body()))
        connection.data_received(GET)
        connection.shutdown()
        await asyncio.gather(*state.tasks)
        assert b"connection: close" in wire.writes[0]
        assert wire.is_closed
        connection.connection_lost(None)

    asyncio.run(story())


H2C: Final = (
    b"POST /%b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\n"
    b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: %d\r\n\r\n%b"
)


async def tell(scope: Scope, receive: Receive, send: Send) -> None:
    """Say back path and body."""
    content, more = b"", True
    while more:
        message = await receive()
        content, more = content + message["body"], message["more_body"]
    said = scope["path"].encode() + b":" + content
    await send(start((b"content-length", b"%d" % len(said)), status=200))
    await send(body(said))


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_an_upgrade_that_is_not_ours_is_as_if_it_was_not_asked_for(size: int) -> None:
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    sent = H2C % (b"a", len(smuggled), smuggled) + H2C % (b"b", 0, b"")
    sent += GET.replace(b"/v1/time?zone=%7A", b"/c")

    async def play() -> Wire:
        connection, wire, state = open_connection(tell)
        for at in range(0, len(sent), size):
            connection.data_received(sent[at : at + size])
            await asyncio.sleep(0)
        while state.tasks:
            await asyncio.gather(*state.tasks)
        connection.connection_lost(None)
        return wire

    wire = asyncio.run(play())

    told = [each.partition(b"\r\n\r\n")[2] for each in wire.writes]
    assert told == [b"/a:" + smuggled, b"/b:", b"/c:"]
    assert not any(b"connection: close" in each for each in wire.writes)


def test_a_thousand_upgrades_in_one_read_are_read_one_after_the_other() -> None:
    wire = converse(tell, H2C % (b"a", 2, b"{}") * 1_000)

    assert len(wire.writes) == 1_000


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            id="websocket",
        ),
        pytest.param(
            b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c, WebSocket\r\n"
            b"Content-Length: 40\r\n\r\n",
            id="either, with a body",
        ),
    ],
)
def test_an_answer_to_a_websocket_is_the_last_and_what_is_behind_is_nobodys(
    request_: bytes,
) -> None:
    wire = converse(Played(start(LENGTH_2), body()), request_, GET)

    assert len(wire.writes) == 1
    assert b"\r\nconnection: close\r\n" in wire.writes[0]
    assert wire.is_closed
