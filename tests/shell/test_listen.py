"""A port is taken before anything else is touched, or the operator learns what to do."""

import asyncio
import socket
from collections import Counter
from typing import cast

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from edge.config import ConfigError
from edge.shell.doorkeeper import Doorkeeper
from edge.shell.listen import PortTaken, Server, address, listen


async def nobody(scope: object, receive: object, send: object) -> None:
    """An application that is never called."""


def test_port_0_takes_a_free_one_and_says_which() -> None:
    with listen("http", "127.0.0.1", 0) as sock:
        host, _, port = address(sock).rpartition(":")

    assert host == "127.0.0.1"
    assert int(port) > 0


def test_an_ipv6_address_is_written_in_brackets() -> None:
    try:
        sock = listen("http", "::1", 0)
    except ConfigError:
        pytest.skip("this machine has no IPv6 loopback")
    with sock:
        assert address(sock).startswith("[::1]:")


def test_a_taken_port_is_named_with_its_setting() -> None:
    with listen("http", "127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(PortTaken, match=r"http: port \d+ on 127.0.0.1 is taken.*http.port"):
            listen("http", "127.0.0.1", port)


def test_an_address_of_another_machine_is_a_wrong_setting() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on 192\.0\.2\.1") as wrong:
        listen("admin", "192.0.2.1", 0)
    assert wrong.value.path == "admin.host"


def test_connections_wait_in_the_kernel_before_anybody_accepts_them() -> None:
    with listen("http", "127.0.0.1", 0) as sock, socket.create_connection(sock.getsockname()):
        pass


def test_the_server_leaves_signals_alone() -> None:
    server = Server(nobody, Doorkeeper(lambda _: False, Counter()), grace_s=1)

    with server.capture_signals():
        assert not server.should_exit


def test_a_port_can_be_taken_without_listening() -> None:
    with (
        listen("http", "127.0.0.1", 0, backlog=None) as sock,
        pytest.raises(ConnectionRefusedError),
    ):
        socket.create_connection(sock.getsockname())


async def hello(_: Scope, __: Receive, send: Send) -> None:
    """Answer everybody."""
    headers = [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"hi"})


def test_the_server_serves_as_many_as_are_let_in_until_it_leaves() -> None:
    doorkeeper = Doorkeeper(lambda connections: connections >= 1, Counter())

    async def ask(place: tuple[str, int]) -> tuple[bytes, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*place)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return await reader.readline(), writer

    async def story() -> list[bytes]:
        server = Server(hello, doorkeeper, grace_s=1)
        sock = listen("http", "127.0.0.1", 0)
        place = sock.getsockname()
        serving = asyncio.create_task(server.serve([sock]))
        first, writer = await ask(place)
        second, other = await ask(place)
        server.should_exit = True
        writer.close()
        other.close()
        await serving
        with pytest.raises(ConnectionRefusedError):
            await ask(place)
        return [first, second]

    answers = asyncio.run(story())

    assert answers == [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 503 Service Unavailable\r\n"]
    assert doorkeeper.connections == 0


class Guest:
    """A socket that waits for its sync before it says good-bye."""

    def __init__(self, connections: set[object]) -> None:
        self.connections = connections
        self.has_said_goodbye = False
        connections.add(self)

    def shutdown(self) -> None:
        """Be told that the server leaves."""
        asyncio.get_running_loop().call_later(0.6, self.leave)

    def leave(self) -> None:
        """Be gone."""
        self.has_said_goodbye = True
        self.connections.remove(self)


def test_what_has_begun_may_end_however_little_grace_there_is() -> None:
    async def story() -> Guest:
        server = Server(hello, Doorkeeper(lambda _: False, Counter()), grace_s=0)
        with listen("http", "127.0.0.1", 0) as sock:
            serving = asyncio.create_task(server.serve([sock]))
            while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
                await asyncio.sleep(0.01)
            guest = Guest(cast("set[object]", server.server_state.connections))
            server.should_exit = True
            await serving
        return guest

    assert asyncio.run(story()).has_said_goodbye


def test_who_comes_as_the_server_leaves_is_answered_or_told_to_go() -> None:
    """They wait in the kernel until the end: neither has a protocol then."""
    doorkeeper = Doorkeeper(lambda _: False, Counter())

    async def story() -> list[bytes]:
        server = Server(hello, doorkeeper, grace_s=3600)
        sock = listen("http", "127.0.0.1", 0)
        place = sock.getsockname()
        server.config.load()  # these two as uvicorn's serve does
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup([sock])
        idle, asking = (socket.create_connection(place) for _ in range(2))
        asking.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await server.shutdown([sock])
        with idle, asking:
            return [await asyncio.to_thread(each.recv, 15) for each in (idle, asking)]

    def serve() -> list[bytes]:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(story())

    assert serve() == [b"", b"HTTP/1.1 200 OK"]
    assert doorkeeper.connections == 0
