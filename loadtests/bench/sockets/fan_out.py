"""How long a push takes: published by a program of its own, waited for on many sockets.

In: open sockets that listen, an origin's URL; out: one time for each push and socket. Pushes come
at their own instants, whether or not the one before has arrived everywhere.
"""

import json
import random
import subprocess
import sys
import time
from types import TracebackType
from typing import Any, Final, Protocol, Self

import orjson

from loadtests.bench.client import SILENCE_S, WrongAnswerError
from loadtests.bench.sockets.client import Sockets
from loadtests.bench.sockets.speakers import TOPIC
from loadtests.bench.subjects import ROOT

PUSH_TOPIC: Final = "edge.push.v1"
END_TIMEOUT_S: Final = 10.0  # it syncs one line, and ends

_NS_PER_S: Final = 1_000_000_000


class Publisher(Protocol):
    """Publishes."""

    def publish(self, line: bytes) -> None:
        """Have one line published, soon.

        Raises:
            WrongAnswerError: It cannot be.
        """
        ...


class PutPublisher:
    """``edge origin put``, kept running; a context manager.

    Args:
        url: The origin's.
    """

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-m", "edge", "origin", "put", url, "--topic", PUSH_TOPIC]
        self._process: Final = subprocess.Popen(  # noqa: S603  # our own interpreter and package
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            bufsize=0,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it.

        Raises:
            WrongAnswerError: It could not publish all.
        """
        try:
            _, said = self._process.communicate(timeout=END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
            raise
        if self._process.returncode and error is None:
            raise WrongAnswerError(f"edge origin put: {said.decode(errors='replace')}")

    def publish(self, line: bytes) -> None:
        """Have one line published.

        Raises:
            WrongAnswerError: It has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
        except OSError as error:
            raise WrongAnswerError(f"edge origin put: {error}") from error


def push(number: int) -> bytes:
    """Write one push to all: the pot of a jackpot has grown."""
    event = {
        "specversion": "1.0",
        "id": f"push-{number}",
        "source": "//jackpots.bench.example",
        "type": "jackpot.pot.grown",
        "time": "2026-07-31T20:00:01.000Z",
        "pushto": "all",
        "pushtopic": TOPIC,
        "pushkey": f"pot-{number}",  # its own, so that none may be left out
        "data": {"number": number, "amount_minor": 1_234_567 + number, "currency": "EUR"},
    }
    return json.dumps(event).encode() + b"\n"


class FanOut:
    """Waits on *sockets* for pushes in their order, each on each socket.

    Attributes:
        latencies_ns: From before publication to after arrival, in the order of arrival.
    """

    def __init__(self, sockets: Sockets) -> None:
        self.latencies_ns: list[int] = []
        self._sockets: Final = sockets
        self._sent_ns: list[int] = []
        self._arrived: dict[int, int] = {}  # by the socket's descriptor
        self._numbers: dict[bytes, int] = {}  # of texts, which are the same on all sockets
        self._waiting = 0

    def run(self, publisher: Publisher, pushes: int, gap_s: float) -> None:
        """Publish so many, about *gap_s* apart, and hear them all.

        One more goes before them, and is not told: with it the publisher starts.

        Raises:
            WrongAnswerError: Something else comes, or one does not.
        """
        lines = [push(number) for number in range(pushes + 1)]
        rng = random.Random(pushes)  # noqa: S311  # replayable, no secret
        self._publish(publisher, lines[0])
        self._hear_all()
        self.latencies_ns.clear()
        due_ns = time.perf_counter_ns()
        for line in lines[1:]:
            # Not in step with whoever looks for them at intervals.
            due_ns += round(rng.uniform(0.5, 1.5) * gap_s * _NS_PER_S)
            while (left_ns := due_ns - time.perf_counter_ns()) > 0:
                self._hear(left_ns / _NS_PER_S, may_be_silent=True)
            self._publish(publisher, line)
        self._hear_all()

    def _publish(self, publisher: Publisher, line: bytes) -> None:
        self._waiting += len(self._sockets)
        self._sent_ns.append(time.perf_counter_ns())
        publisher.publish(line)

    def _hear_all(self) -> None:
        while self._waiting:
            self._hear(SILENCE_S)

    def _hear(self, wait_s: float, *, may_be_silent: bool = False) -> None:
        for line, texts in self._sockets.heard(wait_s, may_be_silent=may_be_silent):
            at_ns, fd = time.perf_counter_ns(), line.sock.fileno()
            for text in texts:
                number = self._number(text)
                if number != self._arrived.get(fd, 0):
                    raise WrongAnswerError(f"push {number}, not {self._arrived.get(fd, 0)}")
                self._arrived[fd] = number + 1
                self.latencies_ns.append(at_ns - self._sent_ns[number])
            self._waiting -= len(texts)

    def _number(self, text: bytes) -> int:
        number = self._numbers.get(text)
        if number is None:
            try:
                said: Any = orjson.loads(text)
                number = self._numbers[text] = int(said["event"]["data"]["number"])
            except (ValueError, LookupError, TypeError) as error:
                raise WrongAnswerError(f"no push: {text!r}") from error
        return number
