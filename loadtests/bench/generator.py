"""The load as a process of its own: prepares requests, sends them, tells what they took.

In: one JSON object per line on standard input, an order; out: one per line on standard output,
its result. Its first line is the issuer's key set. A wrong answer ends it with the answer in
its last line, for figures of a server that answers wrongly mean nothing.

Always this one: wrk and oha, where they are installed, repeat one request, and all but its
first copy would be duplicates.
"""

import contextlib
import gc
import json
import subprocess
import sys
from collections.abc import Generator, Mapping
from typing import IO, Any, Final, TypeVar, cast

from loadtests.bench.client import Client, Sent, WrongAnswerError, poisson
from loadtests.bench.scenario import LOADS, Casino
from loadtests.bench.tokens import Issuer

END_TIMEOUT_S: Final = 5.0  # it has nothing to finish when its input ends

Order = Mapping[str, Any]


class GeneratorError(Exception):
    """The generator ended; the message is its last word."""


class Post:
    """What the generator's process does: each order is a method.

    Args:
        jwks: The key set of the players' issuer.
        casino: Who speaks.
    """

    def __init__(self, jwks: str, casino: Casino) -> None:
        self.jwks: Final = jwks
        self._casino = casino
        self._loads = {load.name: load for load in LOADS}
        self._requests: list[tuple[int, bytes]] = []
        self._client: Client | None = None

    def obey(self, order: Order) -> dict[str, Any]:
        """Do what *order* names.

        Raises:
            WrongAnswerError: Not everything was accepted.
            OSError: Nobody takes the connections.
        """
        match order["order"]:
            case "prepare":
                return self._prepare(order)
            case "connect":
                self._client = Client((order["host"], order["port"]), order["connections"])
                self._client.greet()
                return {}
            case "send":
                return self._send(order)
            case _:
                self.hang_up()
                return {}

    def hang_up(self) -> None:
        """Leave no connection open."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _prepare(self, order: Order) -> dict[str, Any]:
        """Write the requests that are sent next; they stay until others are written."""
        gc.unfreeze()
        match order["what"]:
            case "greetings":
                self._requests = [(1, request) for request in self._casino.greetings()]
            case "fillings":
                self._requests = self._casino.fillings(order["entries"])
            case name:
                load = self._loads[name]
                written = self._casino.requests(load, order["count"])
                self._requests = [(load.events, request) for request in written]
        # Nothing that was prepared is rubbish while it is sent: not to be looked through.
        gc.collect()
        gc.freeze()
        return {"events": sum(events for events, _ in self._requests)}

    def _send(self, order: Order) -> dict[str, Any]:
        """Send all that was prepared."""
        assert self._client is not None
        requests, per_s = self._requests, order["per_s"]
        if not order["accepts"]:
            requests = [(0, request) for _, request in requests]
        due_ns = None if per_s is None else poisson(len(requests), per_s, seed=len(requests))
        sent = self._client.send(requests, due_ns)
        return {"elapsed_ns": sent.elapsed_ns, "latencies_ns": sorted(sent.latencies_ns)}


def main(players: int, orders: IO[str], results: IO[str]) -> int:
    """Obey until there are no more *orders*."""
    issuer = Issuer()
    return obey_all(Post(issuer.jwks(), Casino(issuer, players)), orders, results)


def obey_all(post: Post, orders: IO[str], results: IO[str]) -> int:
    """Have *post* obey until there are no more *orders*; return the process's exit code."""
    gc.disable()
    _say(results, {"jwks": post.jwks})
    try:
        for line in orders:
            _say(results, post.obey(json.loads(line)))
    except (WrongAnswerError, OSError) as wrong:
        _say(results, {"wrong": str(wrong)})
        return 1
    finally:
        post.hang_up()
    return 0


def _say(results: IO[str], words: Mapping[str, Any]) -> None:
    results.write(json.dumps(words) + "\n")
    results.flush()


class Loader:
    """The generator, as who orders it sees it.

    Attributes:
        jwks: The key set of its tokens' issuer.
    """

    def __init__(self, jwks: str, orders: IO[str], results: IO[str]) -> None:
        self.jwks = jwks
        self._orders = orders
        self._results = results

    def prepare(self, what: str, **more: int) -> int:
        """Have requests written; return how many events they hold.

        Args:
            what: A load's name, ``greetings`` or ``fillings``.
            **more: ``count`` of requests, or ``entries`` to fill.

        Raises:
            GeneratorError: It ended.
        """
        return int(self._order("prepare", what=what, **more)["events"])

    @contextlib.contextmanager
    def connected(
        self, address: tuple[str, int], connections: int
    ) -> Generator[None, None, None]:
        """Keep connections to *address* meanwhile, on each of which was asked once.

        Raises:
            GeneratorError: Nobody takes them.
        """
        host, port = address
        self._order("connect", host=host, port=port, connections=connections)
        yield
        self._order("hang up")

    def send(self, *, accepts: bool, per_s: float | None = None) -> Sent:
        """Have the prepared requests sent; the latencies come back ascending.

        Args:
            accepts: Whether the server is a gateway, and so says that it accepted the events.
            per_s: Requests that are due per second; ``None``: as fast as answers come.

        Raises:
            GeneratorError: An answer was wrong.
        """
        took = self._order("send", accepts=accepts, per_s=per_s)
        return Sent(took["elapsed_ns"], took["latencies_ns"])

    def _order(self, order: str, **more: object) -> dict[str, Any]:
        try:
            _say(self._orders, {"order": order, **more})
        except OSError as gone:
            raise GeneratorError("it ended before") from gone
        line = self._results.readline()
        result = cast("dict[str, Any]", json.loads(line)) if line else {"wrong": "it ended"}
        if "wrong" in result:
            raise GeneratorError(result["wrong"])
        return result


AnyLoader = TypeVar("AnyLoader", bound=Loader)


@contextlib.contextmanager
def generator(players: int) -> Generator[Loader, None, None]:
    """Start one with so many *players*, end it at the end.

    Raises:
        GeneratorError: It does not start.
    """
    with started(__name__, players, Loader) as loader:
        yield loader


@contextlib.contextmanager
def started(
    module: str, players: int, loader: type[AnyLoader]
) -> Generator[AnyLoader, None, None]:
    """Start *module* as a generator with so many *players*, end it at the end.

    Raises:
        GeneratorError: It does not start.
    """
    process = subprocess.Popen(  # noqa: S603  # our own interpreter and modules
        [sys.executable, "-m", module, str(players)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise GeneratorError("it did not start")
        yield loader(json.loads(line)["jwks"], process.stdin, process.stdout)
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.stdin, sys.stdout))
