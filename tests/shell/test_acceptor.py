"""Who comes is handed on, who is too many is told, and a system without descriptors is waited for."""

import asyncio
import errno
import gc
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
import uvloop
from typing_extensions import override

from edge.shell.acceptor import PER_TURN, Acceptor
from edge.shell.doorkeeper import Doorkeeper


class Echo(asyncio.Protocol):
    """Says back what it hears, and tells the doorkeeper when it ends."""

    def __init__(self, doorkeeper: Doorkeeper) -> None:
        self._doorkeeper = doorkeeper

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self._transport.write(data)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._doorkeeper.let_out()


class Failing(socket.socket):
    """A listening socket whose accept fails as told before it works."""

    errors: list[int]
    asked: int

    @override
    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        self.asked += 1
        if self.errors:
            raise OSError(self.errors.pop(0), "as told")
        return super().accept()


@dataclass
class Place:
    """A listening socket with an acceptor, for at most *connections_max*."""

    connections_max: int = 100
    errors: list[int] = field(default_factory=list[int])
    afterwards_s: float = 0

    def __post_init__(self) -> None:
        self.sock = Failing()
        self.sock.errors, self.sock.asked = self.errors, 0
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(64)
        self.address: tuple[str, int] = self.sock.getsockname()
        self.asked_before_the_end = 0
        self.refused = Counter[str]()
        self.doorkeeper = Doorkeeper(lambda n: n >= self.connections_max, self.refused)

    def run(self, story: Callable[[], Awaitable[None]]) -> None:
        """Accept while *story* is told."""

        async def told() -> None:
            acceptor = Acceptor(self.sock, self.doorkeeper, lambda: Echo(self.doorkeeper))
            acceptor.start()
            try:
                await story()
            finally:
                self.asked_before_the_end = self.sock.asked
                await acceptor.stop()
                await asyncio.sleep(self.afterwards_s)

        with self.sock:
            asyncio.run(told())

    async def heard(self) -> tuple[bytes, asyncio.StreamWriter]:
        """Connect, say something, and listen to what comes back first."""
        reader, writer = await asyncio.open_connection(*self.sock.getsockname())
        writer.write(b"hello")
        return await reader.read(5), writer


async def settled(until: Callable[[], bool]) -> None:
    """Give the loop turns until it is so."""
    while not until():  # noqa: ASYNC110  # what is waited for sets no event
        await asyncio.sleep(0.001)


def test_who_is_let_in_is_served_and_makes_room_when_it_leaves() -> None:
    place = Place(connections_max=1)

    async def story() -> None:
        for _ in range(3):
            heard, writer = await place.heard()
            assert (heard, place.doorkeeper.connections) == (b"hello", 1)
            writer.close()
            await settled(lambda: place.doorkeeper.connections == 0)

    place.run(story)
    assert place.refused == {}


def test_one_too_many_is_told_and_the_others_go_on() -> None:
    place = Place(connections_max=1)

    async def story() -> None:
        _, first = await place.heard()
        reader, second = await asyncio.open_connection(*place.sock.getsockname())
        answer = await reader.read()
        first.write(b"again")
        assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert place.doorkeeper.connections == 1
        first.close()
        second.close()

    place.run(story)
    assert place.refused == {"too_many_connections": 1}


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EINVAL])
def test_a_system_that_cannot_is_asked_again_later_and_not_before(
    error: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.shell.acceptor.PAUSE_S", 0.05)
    place = Place(errors=[error, error])

    async def story() -> None:
        heard, writer = await place.heard()
        assert heard == b"hello"
        writer.close()

    place.run(story)
    assert (
        place.asked_before_the_end <= 2 + 2
    )  # the two that failed, it, and one that found nobody
    assert [record.getMessage() for record in caplog.records] == [
        "no connection can be accepted"
    ] * 2


@pytest.mark.parametrize("error", [errno.ECONNABORTED, errno.EPROTO])
def test_a_connection_that_failed_holds_up_nobody(
    error: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.shell.acceptor.PAUSE_S", 3600)
    place = Place(errors=[error])

    async def story() -> None:
        heard, writer = await place.heard()
        assert heard == b"hello"
        writer.close()

    place.run(story)
    assert caplog.records == []


def test_a_crowd_comes_in_over_several_turns() -> None:
    place = Place()

    async def story() -> None:
        visits = await asyncio.gather(*(place.heard() for _ in range(3 * PER_TURN)))
        assert [heard for heard, _ in visits] == [b"hello"] * len(visits)
        for _, writer in visits:
            writer.close()

    place.run(story)


def test_after_the_end_nobody_is_accepted_and_a_pause_is_over(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.shell.acceptor.PAUSE_S", 0.05)
    place = Place(errors=[errno.EMFILE, errno.EMFILE], afterwards_s=0.1)

    async def story() -> None:
        _, writer = await asyncio.open_connection(*place.sock.getsockname())
        await settled(lambda: place.sock.asked == 1)
        writer.close()

    place.run(story)
    assert place.asked_before_the_end == 1
    assert place.sock.asked == 2  # the last time the system could not either
    assert [record.getMessage() for record in caplog.records] == [
        "no connection can be accepted"
    ] * 2


def test_who_waits_in_the_kernel_at_the_end_is_handed_over_before_it() -> None:
    place = Place()

    async def told() -> int:
        acceptor = Acceptor(place.sock, place.doorkeeper, lambda: Echo(place.doorkeeper))
        acceptor.start()
        crowd = [socket.create_connection(place.address) for _ in range(2 * PER_TURN)]
        for each in crowd:
            each.send(b"hello")
        await acceptor.stop()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(place.address)
        let_in = place.doorkeeper.connections
        for each in crowd:
            assert await asyncio.to_thread(each.recv, 5) == b"hello"
            each.close()
        return let_in

    assert asyncio.run(told()) == 2 * PER_TURN


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_bug_in_making_a_protocol_is_told_and_the_connection_counted_out(
    loop_factory: Callable[[], asyncio.AbstractEventLoop], caplog: pytest.LogCaptureFixture
) -> None:
    place = Place()

    def bug() -> asyncio.Protocol:
        raise ZeroDivisionError

    async def told() -> bytes:
        acceptor = Acceptor(place.sock, place.doorkeeper, bug)
        acceptor.start()
        reader, writer = await asyncio.open_connection(*place.address)
        heard = await reader.read()
        writer.close()
        await acceptor.stop()
        return heard

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(told()) == b""
        gc.collect()
    assert place.doorkeeper.connections == 0
    assert [record.exc_info is not None for record in caplog.records] == [True]


def test_a_connection_that_cannot_be_handed_over_is_counted_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Place()

    async def story() -> None:
        async def fail(*_: object) -> None:
            raise ConnectionResetError

        monkeypatch.setattr(asyncio.get_running_loop(), "connect_accepted_socket", fail)
        reader, writer = await asyncio.open_connection(*place.sock.getsockname())
        assert await reader.read() == b""
        assert place.doorkeeper.connections == 0
        writer.close()

    place.run(story)
