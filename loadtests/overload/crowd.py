"""A fixed set of connections, each of which sends when something falls due and it is free.

In: prepared requests; out: what came of each one that was sent. One thread and epoll, as
:mod:`loadtests.bench.client`. Refused requests go back to those that are still to be sent, which
have all one fate in the end: accepted once, or never sent again.
"""

import random
import select
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.bench.client import (
    SILENCE_S,
    Answer,
    Approval,
    Line,
    WrongAnswerError,
)

NS_PER_S: Final = 1_000_000_000
UNAVAILABLE: Final = 503
"""The only refusal an overloaded node may answer, and only with ``Retry-After``."""

LOOK_DUES: Final = 16
"""Behind its time, the generator looks for answers after so many due ones: 0.6 ms of sending at
most. Of all connections' worth it made bursts, and the node's line was empty between them."""

_POLL_MS: Final = 1.0  # epoll's own unit: a due time is met within it


@dataclass(frozen=True, slots=True)
class Fate:
    """What came of one request.

    Attributes:
        began_ns: When it was written, after the start of its phase.
        took_ns: Until its answer was there whole.
        is_accepted: Else it was refused, with ``Retry-After``.
    """

    began_ns: int
    took_ns: int
    is_accepted: bool


@dataclass(frozen=True, slots=True)
class Course:
    """What came of one phase.

    Attributes:
        elapsed_ns: From the start to the last due time.
        due: Requests that fell due.
        fates: Of those that were sent, in the order of the answers.
    """

    elapsed_ns: int
    due: int
    fates: Sequence[Fate]


def dues(per_s: float, seconds: float, seed: int) -> Iterator[int]:
    """Draw when requests fall due, ns after the start: many strangers' arrivals."""
    rng = random.Random(seed)  # noqa: S311  # no secret
    at_s = rng.expovariate(per_s)
    while at_s < seconds:
        yield int(at_s * NS_PER_S)
        at_s += rng.expovariate(per_s)


class Crowd:
    """Connections to one server, which whoever opens them closes.

    Attributes:
        accepted: The requests that were, of all phases.
    """

    def __init__(self, address: tuple[str, int], connections: int) -> None:
        """Open *connections*.

        Raises:
            OSError: Nobody takes them.
        """
        self.accepted: list[bytes] = []
        self._lines = [Line(address) for _ in range(connections)]
        self._by_fd = {line.sock.fileno(): line for line in self._lines}
        self._said: dict[int, bytes] = {}  # what is on a busy line, by descriptor
        self._poll = select.epoll()
        for fd in self._by_fd:
            self._poll.register(fd, select.EPOLLIN)
        self._approval = Approval()
        self._fates: list[Fate] = []

    def close(self) -> None:
        """Hang up."""
        self._poll.close()
        for line in self._lines:
            line.sock.close()

    def closed(self, requests: list[bytes], events: int, seconds: float) -> Course:
        """Send on every connection as soon as it is free, for so long.

        Args:
            requests: Still to be sent; what is sent for good is taken out.
            events: In each.
            seconds: After that no more is sent, and what is unanswered is waited for.

        Raises:
            WrongAnswerError: An answer is neither an acceptance nor a refusal.
        """
        start_ns = time.perf_counter_ns()
        end_ns = start_ns + int(seconds * NS_PER_S)
        while (now_ns := time.perf_counter_ns()) < end_ns:
            for fd in self._by_fd.keys() - self._said.keys():
                self._send(fd, requests, events, now_ns)
            self._receive(SILENCE_S, start_ns, requests)
        sent = len(self._fates) + len(self._said)
        return self._rest(start_ns, end_ns, sent, requests)

    def open(
        self, requests: list[bytes], events: int, per_s: float, seconds: float, seed: int
    ) -> Course:
        """Send on each connection when something falls due there and it is free.

        Args:
            requests: As of :meth:`closed`.
            events: In each.
            per_s: Due on all connections together.
            seconds: As of :meth:`closed`.
            seed: Of the due times, and of whose they are.

        Raises:
            WrongAnswerError: As of :meth:`closed`.
        """
        rng, fds, due = random.Random(seed), list(self._by_fd), 0  # noqa: S311  # no secret
        start_ns = time.perf_counter_ns()
        for due_ns in dues(per_s, seconds, seed):
            while (ahead_ns := start_ns + due_ns - time.perf_counter_ns()) > 0:
                wait_ms = ahead_ns / 1e6
                self._receive(wait_ms / 1e3 if wait_ms > _POLL_MS else 0, start_ns, requests)
            due += 1
            fd = rng.choice(fds)
            if fd not in self._said:
                self._send(fd, requests, events, time.perf_counter_ns())
            if due % LOOK_DUES == 0:  # who only sends never learns who is free
                self._receive(0, start_ns, requests)
        return self._rest(start_ns, start_ns + int(seconds * NS_PER_S), due, requests)

    def _rest(self, start_ns: int, end_ns: int, due: int, requests: list[bytes]) -> Course:
        """Wait for what is unanswered."""
        while self._said:
            self._receive(SILENCE_S, start_ns, requests)
        fates, self._fates = self._fates, []
        return Course(end_ns - start_ns, due, fates)

    def _send(self, fd: int, requests: list[bytes], events: int, now_ns: int) -> None:
        if not requests:
            raise WrongAnswerError("more was accepted than prepared: the node got faster")
        self._said[fd] = request = requests.pop()
        self._by_fd[fd].send(request, now_ns, events)

    def _receive(self, wait_s: float, start_ns: int, requests: list[bytes]) -> None:
        ready = self._poll.poll(wait_s)
        if not ready and wait_s == SILENCE_S:
            raise WrongAnswerError(f"no answer within {SILENCE_S:.0f} s")
        for fd, _ in ready:
            line = self._by_fd[fd]
            answer = line.answer()
            if answer is None:
                continue
            request = self._said.pop(fd)
            took_ns = time.perf_counter_ns() - line.began_ns
            is_accepted = self._examine(answer, line)
            (self.accepted if is_accepted else requests).append(request)
            self._fates.append(Fate(line.began_ns - start_ns, took_ns, is_accepted))

    def _examine(self, answer: Answer, line: Line) -> bool:
        if answer.status != UNAVAILABLE:
            self._approval.examine(answer, line.events)
            return True
        if b"\r\nretry-after: " not in line.received:
            raise WrongAnswerError(f"without Retry-After: {line.received!r}")
        return False
