"""The load as a process of its own: what :mod:`loadtests.bench.generator` does, and sockets.

In: one JSON object per line on standard input, an order; out: one per line on standard output,
its result. Its first line is the issuer's key set. A wrong answer ends it with the answer in its
last line.
"""

import contextlib
import sys
from collections.abc import Generator
from typing import IO, Any, Final

from typing_extensions import override

from loadtests.bench.client import Sent
from loadtests.bench.generator import Loader, Order, Post, obey_all, started
from loadtests.bench.sockets.client import Sockets
from loadtests.bench.sockets.fan_out import FanOut, PutPublisher
from loadtests.bench.sockets.speakers import Speakers, Speech, StreamIssuer
from loadtests.bench.subjects import Subject

MESSAGES: Final = "messages"
BATCHES: Final = "batches"


class SocketPost(Post):
    """What the generator's process does: each order is a method."""

    def __init__(self, players: int) -> None:
        issuer = StreamIssuer()
        self._speakers = Speakers(issuer, players)
        super().__init__(issuer.jwks(), self._speakers)
        self._speeches: list[Speech] = []
        self._sockets: Sockets | None = None

    @override
    def obey(self, order: Order) -> dict[str, Any]:
        """Do what *order* names.

        Raises:
            WrongAnswerError: A server does not answer as it must.
            OSError: Nobody takes the connections.
        """
        match order["order"]:
            case "open":
                return self._open(order)
            case "speak":
                assert self._sockets is not None
                sent = self._sockets.speak(self._speeches, order["window"])
                return {"elapsed_ns": sent.elapsed_ns}
            case "hold":
                assert self._sockets is not None
                self._sockets.greet()
                self._sockets.hold(order["seconds"])
                return {}
            case "hear":
                return self._hear(order)
            case _:
                return super().obey(order)

    @override
    def hang_up(self) -> None:
        """Leave no connection open."""
        super().hang_up()
        if self._sockets is not None:
            self._sockets.close()
            self._sockets = None

    @override
    def _prepare(self, order: Order) -> dict[str, Any]:
        """Write what is said next; it stays until something else is written."""
        match order["what"]:
            case "messages":
                said = order["sockets"], order["count"], order["events"]
                self._speeches = self._speakers.speeches(*said)
                return {"events": said[0] * said[1] * said[2]}
            case "batches":
                self._requests = self._speakers.batches(order["count"], order["events"])
                return {"events": order["count"] * order["events"]}
            case _:
                return super()._prepare(order)

    def _open(self, order: Order) -> dict[str, Any]:
        """Open sockets of that many players; those of a speech where it begins."""
        address, is_gateway = (order["host"], order["port"]), order["is_gateway"]
        self._sockets = Sockets(address, is_gateway=is_gateway)
        speeches = self._speeches if order["speaks"] else ()
        handshakes = self._speakers.handshakes(order["sockets"], listens=not speeches)
        self._sockets.open(handshakes, speeches)
        return {}

    def _hear(self, order: Order) -> dict[str, Any]:
        assert self._sockets is not None
        fan_out = FanOut(self._sockets)
        with PutPublisher(order["url"]) as publisher:
            fan_out.run(publisher, order["pushes"], order["gap_s"])
        return {"latencies_ns": sorted(fan_out.latencies_ns)}


def main(players: int, orders: IO[str], results: IO[str]) -> int:
    """Obey until there are no more *orders*."""
    return obey_all(SocketPost(players), orders, results)


class SocketLoader(Loader):
    """The generator, as who orders it sees it."""

    def prepare_messages(self, *, sockets: int, count: int, events: int) -> int:
        """Have *count* messages for each of so many sockets written; return their events.

        Raises:
            GeneratorError: It ended.
        """
        return self.prepare(MESSAGES, sockets=sockets, count=count, events=events)

    def prepare_batches(self, *, count: int, events: int) -> int:
        """Have *count* requests written; return their events.

        Raises:
            GeneratorError: It ended.
        """
        return self.prepare(BATCHES, count=count, events=events)

    @contextlib.contextmanager
    def opened(
        self, subject: Subject, sockets: int, *, speaks: bool = False
    ) -> Generator[None, None, None]:
        """Keep so many sockets to *subject* meanwhile, of as many players.

        Args:
            subject: A gateway, or an echo.
            sockets: As many as there are players, at most.
            speaks: Whether what was prepared will be said there; else they listen to pushes.

        Raises:
            GeneratorError: One is not let in.
        """
        host, port = subject.public
        self._order(
            "open",
            host=host,
            port=port,
            sockets=sockets,
            speaks=speaks,
            is_gateway=subject.is_gateway,
        )
        yield
        self._order("hang up")

    def speak(self, window: int) -> Sent:
        """Have said what was prepared, with *window* messages under way on each socket.

        Raises:
            GeneratorError: An answer was wrong.
        """
        return Sent(self._order("speak", window=window)["elapsed_ns"], [])

    def hold(self, seconds: float) -> None:
        """Have a word said on each socket, and then nothing for so long.

        Raises:
            GeneratorError: An answer was wrong.
        """
        self._order("hold", seconds=seconds)

    def hear(self, url: str, *, pushes: int, gap_s: float) -> list[int]:
        """Have so many pushes published, about *gap_s* apart; return what they took, ascending.

        Args:
            url: Of the gateway's origin.
            pushes: Each to all sockets.
            gap_s: On average.

        Raises:
            GeneratorError: One did not arrive on every socket.
        """
        latencies_ns: list[int] = self._order("hear", url=url, pushes=pushes, gap_s=gap_s)[
            "latencies_ns"
        ]
        return latencies_ns


@contextlib.contextmanager
def socket_generator(players: int) -> Generator[SocketLoader, None, None]:
    """Start one with so many *players*, end it at the end.

    Raises:
        GeneratorError: It does not start.
    """
    with started(__name__, players, SocketLoader) as loader:
        yield loader


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.stdin, sys.stdout))
