"""Who the bench talks to in its tests: a server that is told its answers, and stand-ins."""

import contextlib
import io
import re
import socket
import threading
from collections.abc import Callable, Generator, Sequence

from typing_extensions import override

from loadtests.bench.client import Sent
from loadtests.bench.generator import Loader
from loadtests.bench.subjects import Subject

GOOD = b'{"accepted":1,"duplicate":0,"refused":[],"retry_after_ms":null}'
TIME = b'{"unix_ms":1800000000000}'

Reply = Callable[[bytes], Sequence[bytes]]
"""From one whole request to the pieces in which the answer is sent; none: hang up."""


def answer(body: bytes, status: bytes = b"202 Accepted") -> bytes:
    """Write an answer as the gateway does."""
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def accept(request: bytes) -> Sequence[bytes]:
    """Accept one event; tell the time."""
    return [answer(TIME, b"200 OK") if request.startswith(b"GET") else answer(GOOD)]


@contextlib.contextmanager
def server(reply: Reply = accept) -> Generator[tuple[str, int], None, None]:
    """Serve on a free loopback port meanwhile, each connection in a thread; yield where."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    visitor, _ = listener.accept()
                    threading.Thread(target=converse, args=(visitor,), daemon=True).start()

        def converse(visitor: socket.socket) -> None:
            with visitor, contextlib.suppress(OSError), visitor.makefile("rb") as reader:
                while first := reader.readline():
                    head = first
                    while (line := reader.readline()) not in (b"\r\n", b""):
                        head += line
                    length = re.search(rb"content-length: (\d+)", head)
                    request = head + b"\r\n" + reader.read(int(length[1]) if length else 0)
                    pieces = reply(request)
                    if not pieces:
                        return
                    for piece in pieces:
                        visitor.sendall(piece)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class Booth(Loader):
    """A generator that notes its orders; each request takes 10 ms."""

    def __init__(self) -> None:
        super().__init__("{}", io.StringIO(), io.StringIO())
        self.orders: list[tuple[object, ...]] = []

    @override
    def prepare(self, what: str, **more: int) -> int:
        self.orders.append((what, more))
        return 50 * more.get("count", 0)

    @override
    @contextlib.contextmanager
    def connected(
        self, address: tuple[str, int], connections: int
    ) -> Generator[None, None, None]:
        self.orders.append(("connect", address[1], connections))
        yield

    @override
    def send(self, *, accepts: bool, per_s: float | None = None) -> Sent:
        self.orders.append(("send", accepts, per_s))
        return Sent(elapsed_ns=200_000_000, latencies_ns=[10_000_000] * 20)


class Stall(Subject):
    """A server that spends 1 ms of processor time per slice and holds *entries*."""

    def __init__(self, name: str, number: int, entries: float | None) -> None:
        admin = None if entries is None else ("127.0.0.1", 1)
        super().__init__(name, ("127.0.0.1", number), admin, pid=0)
        self.entries = entries or 0.0
        self.spent_ns = 0

    @override
    def cpu_ns(self) -> int:
        return self.spent_ns

    @override
    def cpu_when_forwarded_ns(self) -> int:
        self.spent_ns += 1_000_000
        return self.spent_ns

    @override
    def rss_bytes(self) -> int:
        return 64

    @override
    def by_lane(self, metric: str) -> dict[str, float]:
        assert metric == "edge_dedupe_entries"
        return {"bet": 100.0, "game": self.entries, "telemetry": 100.0, "bonus": 0.0}

    @override
    @contextlib.contextmanager
    def scraped(self) -> Generator[None, None, None]:
        yield
