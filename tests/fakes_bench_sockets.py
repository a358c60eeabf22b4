"""Who the sockets' bench talks to in its tests: a server that is told its words, and stand-ins."""

import contextlib
import json
import threading
from collections.abc import Callable, Generator, Sequence

from typing_extensions import override
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve
from websockets.typing import Subprotocol

from loadtests.bench.client import Sent
from loadtests.bench.sockets.generator import SocketLoader
from loadtests.bench.subjects import Subject
from tests.fakes_bench import Booth, Stall

Part = Callable[[ServerConnection], None]
"""What a server does on each socket; on return it closes."""


@contextlib.contextmanager
def playing(part: Part) -> Generator[tuple[str, int], None, None]:
    """Serve on a free loopback port meanwhile; yield where."""

    def play(connection: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            part(connection)

    ours = [Subprotocol("edge.v1.json")]
    with serve(
        play, "127.0.0.1", 0, subprotocols=ours, compression=None, ping_interval=None
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            host, port = server.socket.getsockname()
            yield host, port
        finally:
            server.shutdown()
            thread.join()


def echo(connection: ServerConnection) -> None:
    """Send back what comes."""
    for text in connection:
        connection.send(text)


def welcome(next_seq: int = 1) -> str:
    """Write a welcome, as far as anybody looks."""
    return json.dumps({"op": "welcome", "next_seq": next_seq})


def verdicts(settled: int, **more: object) -> str:
    """Write verdicts; perfect ones, unless more is said."""
    fine: dict[str, object] = {
        "op": "verdicts",
        "settled": settled,
        "highest": settled,
        "missing": [],
        "refused": [],
        "retry_after_ms": None,
    }
    return json.dumps(fine | more)


def judge(connection: ServerConnection) -> None:
    """Welcome; accept all, telling of every second message only, and of the last."""
    connection.send(welcome())
    settled = 0
    for number, text in enumerate(connection):
        events = json.loads(text)["events"]
        settled = events[-1]["seq"] if events else settled
        if number % 2 or not events:
            connection.send(verdicts(settled))


class SocketBooth(Booth, SocketLoader):
    """A generator that notes its orders; what it is told to do takes 10 ms.

    Attributes:
        orders: In their order.
    """

    @override
    def prepare(self, what: str, **more: int) -> int:
        self.orders.append((what, more))
        sockets, count, events = (more.get(each, 1) for each in ("sockets", "count", "events"))
        return more.get("entries", sockets * count * events)

    @override
    def send(self, *, accepts: bool, per_s: float | None = None) -> Sent:
        self.orders.append(("send",))
        return Sent(10_000_000, [])

    @override
    @contextlib.contextmanager
    def opened(
        self, subject: Subject, sockets: int, *, speaks: bool = False
    ) -> Generator[None, None, None]:
        self.orders.append(("open", subject.name, sockets, speaks))
        yield
        self.orders.append(("hang up",))

    @override
    def speak(self, window: int) -> Sent:
        self.orders.append(("speak", window))
        return Sent(10_000_000, [])

    @override
    def hold(self, seconds: float) -> None:
        self.orders.append(("hold", seconds))

    @override
    def hear(self, url: str, *, pushes: int, gap_s: float) -> list[int]:
        self.orders.append(("hear", url, pushes, gap_s))
        return [1_000_000] * pushes


class Trunk(Stall):
    """A server that holds more each time one looks.

    Attributes:
        asked: Pages.
    """

    def __init__(self, name: str, rss_bytes: Sequence[int], *, is_gateway: bool) -> None:
        super().__init__(name, 1, 0.0 if is_gateway else None)
        self.asked: list[str] = []
        self._rss_bytes = list(rss_bytes)

    @override
    def rss_bytes(self) -> int:
        return self._rss_bytes.pop(0)

    @override
    def ask(self, path: str) -> str:
        self.asked.append(path)
        return ""
