"""The proxy does to connections what its methods say, and nothing else."""

import contextlib
import gc
import random
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator
from typing import Final

import pytest

from tests.faults.proxy import Proxy, Way

TIMEOUT_S: Final = 10.0
SHORT_S: Final = 0.15  # to see that something does not come
LATENCY_S: Final = 0.1
NEVER_S: Final = 10 * TIMEOUT_S  # as late as that is not read by any test
ROUNDS: Final = 50  # of a race that is met in nine of ten
LARGE: Final = random.Random(0).randbytes(3_000_000)  # noqa: S311  # more than all buffers hold


class Server:
    """Takes connections; what comes over each is the test's affair."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(TIMEOUT_S)
        self.address: tuple[str, int] = self._listener.getsockname()

    def take(self) -> socket.socket:
        """Return the next connection."""
        taken, _ = self._listener.accept()
        taken.settimeout(TIMEOUT_S)
        return taken

    def close(self) -> None:
        """Listen no more."""
        self._listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    listening = Server()
    with contextlib.closing(listening):
        yield listening


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with Proxy(server.address) as running:
        yield running


@contextlib.contextmanager
def connected(proxy: Proxy, server: Server) -> Generator[tuple[socket.socket, socket.socket]]:
    """Yield the client's end and the server's, once the proxy knows of both."""
    before = proxy.made
    with (
        socket.create_connection(proxy.address, TIMEOUT_S) as client,
        server.take() as taken,
    ):
        wait(lambda: proxy.made > before)
        yield client, taken


def read(end: socket.socket, size: int) -> bytes:
    """Read exactly so much."""
    parts: list[bytes] = []
    while size:
        parts.append(end.recv(size))
        assert parts[-1], "ended early"
        size -= len(parts[-1])
    return b"".join(parts)


def is_silent(end: socket.socket) -> bool:
    """Whether nothing comes for a moment."""
    end.settimeout(SHORT_S)
    try:
        end.recv(1, socket.MSG_PEEK)
    except TimeoutError:
        return True
    finally:
        end.settimeout(TIMEOUT_S)
    return False


def test_everything_passes_as_it_was_and_ends_as_it_ended(proxy: Proxy, server: Server) -> None:
    with connected(proxy, server) as (client, taken):
        sender = threading.Thread(target=client.sendall, args=(LARGE,))
        sender.start()
        assert read(taken, len(LARGE)) == LARGE
        sender.join()
        client.shutdown(socket.SHUT_WR)
        assert taken.recv(1) == b""
        taken.sendall(b"still here")
        assert read(client, 10) == b"still here"

    assert proxy.up.passed_bytes == len(LARGE)
    assert proxy.down.passed_bytes == 10


@pytest.mark.parametrize("way", ["up", "down"])
def test_latency_is_of_one_way(proxy: Proxy, server: Server, way: str) -> None:
    with connected(proxy, server) as ends:
        source, target = ends if way == "up" else reversed(ends)
        chosen: Way = getattr(proxy, way)
        chosen.latency_s, chosen.jitter_s = LATENCY_S, LATENCY_S / 2
        began_s = time.monotonic()
        source.sendall(b"late")
        assert read(target, 4) == b"late"
        assert time.monotonic() - began_s >= LATENCY_S

        chosen.latency_s = NEVER_S
        target.sendall(b"the other way")
        assert read(source, 13) == b"the other way"


def test_jitter_overtakes_nothing(proxy: Proxy, server: Server) -> None:
    proxy.up.jitter_s = 0.02
    with connected(proxy, server) as (client, taken):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(50):
            client.sendall(bytes([number]))
            time.sleep(0.001)
        assert read(taken, 50) == bytes(range(50))


def test_a_narrow_way_takes_its_time(proxy: Proxy, server: Server) -> None:
    proxy.up.bytes_per_s = 1_000_000
    with connected(proxy, server) as (client, taken):
        began_s = time.monotonic()
        client.sendall(LARGE[:200_000])
        assert read(taken, 200_000) == LARGE[:200_000]
        assert time.monotonic() - began_s >= 0.2


def test_a_black_hole_keeps_what_it_took(proxy: Proxy, server: Server) -> None:
    with connected(proxy, server) as (client, taken):
        proxy.up.is_held = True
        client.sendall(b"kept")
        taken.sendall(b"the other way")
        assert read(client, 13) == b"the other way"
        assert is_silent(taken)

        proxy.up.is_held = False

        assert read(taken, 4) == b"kept"


def test_a_black_hole_is_full_one_day(proxy: Proxy, server: Server) -> None:
    proxy.up.is_held = True
    with connected(proxy, server) as (client, _):
        client.settimeout(1)
        with pytest.raises(TimeoutError):
            client.sendall(LARGE * 20)  # loopback's buffers take some MB, the proxy 4


def test_whoever_connects_into_a_black_hole_is_connected(proxy: Proxy, server: Server) -> None:
    proxy.up.is_held = proxy.down.is_held = True
    with connected(proxy, server) as (client, taken):
        client.sendall(b"?")
        assert is_silent(taken)


def test_a_reset_is_one_on_both_sides(proxy: Proxy, server: Server) -> None:
    with connected(proxy, server) as (client, taken):
        proxy.reset()
        for end in (client, taken):
            with pytest.raises(ConnectionResetError):
                end.recv(1)
    wait(lambda: not proxy.connections)


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_half_closed_connection_still_speaks_the_other_way(
    proxy: Proxy, server: Server, way: str
) -> None:
    with connected(proxy, server) as (client, taken):
        proxy.end(of=getattr(proxy, way))
        ended, open_, speaker = (
            (taken, client, taken) if way == "up" else (client, taken, client)
        )
        assert ended.recv(1) == b""
        speaker.sendall(b"x")
        assert read(open_, 1) == b"x"


def test_refused_is_refused_until_somebody_listens_again(proxy: Proxy, server: Server) -> None:
    with connected(proxy, server) as (client, taken):
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(proxy.address, TIMEOUT_S)
        client.sendall(b"x")
        assert read(taken, 1) == b"x"

    proxy.accept()

    with connected(proxy, server) as (client, taken):
        client.sendall(b"y")
        assert read(taken, 1) == b"y"


def test_whoever_connects_as_it_begins_to_refuse_is_reset_or_served_and_never_dropped(
    proxy: Proxy,
) -> None:
    for _ in range(ROUNDS):
        proxy.accept()
        with socket.create_connection(proxy.address, TIMEOUT_S):
            proxy.refuse()
    gc.collect()  # a transport that nobody closed says so when it is deleted: here an error


def test_a_reset_is_one_of_those_too_that_are_just_connecting(proxy: Proxy) -> None:
    for _ in range(ROUNDS):
        proxy.accept()
        with socket.create_connection(proxy.address, TIMEOUT_S) as client:
            proxy.refuse()
            proxy.reset()
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_a_connection_is_cut_when_the_server_has_answered(proxy: Proxy, server: Server) -> None:
    with connected(proxy, server) as (client, taken):
        proxy.cut_before_answer()
        client.sendall(b"do it")
        assert read(taken, 5) == b"do it"
        taken.sendall(b"done")
        with pytest.raises(ConnectionResetError):
            client.recv(1)

    assert proxy.cuts == 1
    with connected(proxy, server) as (client, taken):  # the next one is not
        taken.sendall(b"hello")
        assert read(client, 5) == b"hello"


def test_a_server_that_is_away_is_found_when_it_comes(server: Server) -> None:
    server.close()
    with Proxy(server.address) as proxy:
        with pytest.raises(ConnectionResetError):
            knock(proxy)
        with (
            socket.create_server(server.address) as listener,
            socket.create_connection(proxy.address, TIMEOUT_S) as client,
            listener.accept()[0] as taken,
        ):
            taken.sendall(b"x")
            assert read(client, 1) == b"x"


def knock(proxy: Proxy) -> None:
    """Connect and listen; either may be answered by RST, whichever it meets."""
    with socket.create_connection(proxy.address, TIMEOUT_S) as client:
        client.recv(1)


def test_healed_is_as_new(proxy: Proxy, server: Server) -> None:
    for way in (proxy.up, proxy.down):
        way.latency_s, way.jitter_s, way.bytes_per_s, way.is_held = 60.0, 60.0, 1.0, True
    proxy.refuse()

    proxy.heal()

    with connected(proxy, server) as (client, taken):
        client.sendall(b"x")
        assert read(taken, 1) == b"x"


def wait(until: Callable[[], bool]) -> None:
    end_s = time.monotonic() + TIMEOUT_S
    while not until():
        assert time.monotonic() < end_s
        time.sleep(0.01)
