"""Sends prepared requests over keep-alive connections and checks every answer.

In: requests as bytes, whole and in order; out: what each took. Closed loop: each connection
sends its next request when it has its answer. Open loop: requests have times at which they are
due, and their latency counts from there, so that a server that stalls cannot hide it by slowing
its clients down. One thread and epoll: a request costs 15 µs here, half of what the empty
application spends on it, so no server waits for its load.
"""

import json
import random
import re
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final, cast

# A gateway answers within ``spool.sync_timeout_s`` (5 s); twice that is certainly silence.
SILENCE_S: Final = 10.0
SEND_BUFFER_BYTES: Final = 1 << 18  # a whole batch of 200 events; the kernel may give less
READ_BYTES: Final = 1 << 16  # an answer is some hundred bytes
QUOTED_BYTES_MAX: Final = 300  # of a wrong answer: its first refusal

_LENGTH: Final = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_ACCEPTED: Final = 202
_GREETING: Final = b"GET /v1/time HTTP/1.1\r\nhost: edge.bench.example\r\n\r\n"
_NS_PER_S: Final = 1_000_000_000


class WrongAnswerError(Exception):
    """The server refused, knew or lost what it should have accepted; the message quotes it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: HTTP status.
        body: Whole.
    """

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a number of requests.

    Attributes:
        elapsed_ns: From the first byte out to the last answer in.
        latencies_ns: Of each request, in the order of the answers.
    """

    elapsed_ns: int
    latencies_ns: list[int]


def parse(received: bytes) -> Answer | None:
    """Read one answer; ``None`` while there is more to come.

    Raises:
        WrongAnswerError: It is not an answer with a length.
    """
    head, is_whole, body = received.partition(b"\r\n\r\n")
    if not is_whole:
        return None
    length = _LENGTH.search(head)
    if length is None or not head.startswith(b"HTTP/1.1 "):
        raise WrongAnswerError(f"not an answer with a length: {head[:QUOTED_BYTES_MAX]!r}")
    size = int(length[1])
    if len(body) < size:
        return None
    return Answer(int(head[9:12]), body[:size])


class Approval:
    """Knows what an answer must say: all accepted, nothing known before, nothing refused."""

    def __init__(self) -> None:
        self._approved: set[tuple[int, bytes]] = set()  # two or three, they are all alike

    def examine(self, answer: Answer, events: int) -> None:
        """Pass an answer to a request of *events*.

        Raises:
            WrongAnswerError: It says anything else.
        """
        if (events, answer.body) in self._approved and answer.status == _ACCEPTED:
            return
        quoted = f"{answer.status} {answer.body[:QUOTED_BYTES_MAX]!r}"
        try:
            verdicts: Any = json.loads(answer.body)
        except ValueError as error:
            raise WrongAnswerError(quoted) from error
        said = cast("dict[str, object]", verdicts) if isinstance(verdicts, dict) else {}
        counted = (said.get("accepted"), said.get("duplicate"), said.get("refused"))
        if answer.status != _ACCEPTED or counted != (events, 0, []):
            raise WrongAnswerError(quoted)
        self._approved.add((events, answer.body))


def poisson(count: int, per_s: float, seed: int) -> list[int]:
    """Draw when *count* requests are due, ns after the start: many strangers' arrivals."""
    rng = random.Random(seed)  # noqa: S311  # no secret
    gaps = (rng.expovariate(per_s) * _NS_PER_S for _ in range(count))
    return [int(due_ns) for due_ns in accumulate(gaps)]


def connect(address: tuple[str, int]) -> socket.socket:
    """Open a connection that sends at once what it is given, and waits for nothing."""
    sock = socket.create_connection(address, timeout=SILENCE_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    sock.setblocking(False)
    return sock


class Line:
    """One connection, and the request that is on it."""

    __slots__ = ("began_ns", "events", "received", "sock")

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = connect(address)
        self.received = b""
        self.began_ns = 0
        self.events = 0

    def send(self, request: bytes, began_ns: int, events: int) -> None:
        """Put *request* on its way whole."""
        self.received, self.began_ns, self.events = b"", began_ns, events
        sent = self.sock.send(request)
        if sent < len(request):
            self.sock.settimeout(SILENCE_S)
            self.sock.sendall(request[sent:])
            self.sock.setblocking(False)

    def answer(self) -> Answer | None:
        """Read what is there; ``None`` while more is to come.

        Raises:
            WrongAnswerError: The server hung up, or this is no answer.
        """
        try:
            chunk = self.sock.recv(READ_BYTES)
        except ConnectionError as error:
            raise WrongAnswerError(f"the connection broke: {error}") from error
        if not chunk:
            raise WrongAnswerError("the server hung up")
        self.received += chunk
        return parse(self.received)


class Client:
    """Connections to one server, which whoever opens them closes."""

    def __init__(self, address: tuple[str, int], connections: int) -> None:
        """Open *connections*.

        Raises:
            OSError: Nobody takes them.
        """
        self._lines = [Line(address) for _ in range(connections)]
        self._by_fd = {line.sock.fileno(): line for line in self._lines}
        self._poll = select.epoll()
        for fd in self._by_fd:
            self._poll.register(fd, select.EPOLLIN)
        self._approval = Approval()

    def close(self) -> None:
        """Hang up."""
        self._poll.close()
        for line in self._lines:
            line.sock.close()

    def greet(self) -> None:
        """Ask for the time on each connection, so that the server has accepted it.

        Raises:
            WrongAnswerError: There is no answer.
        """
        for line in self._lines:
            line.send(_GREETING, 0, 0)
        waiting = len(self._lines)
        while waiting:
            for fd, _ in self._ready(SILENCE_S):
                waiting -= self._by_fd[fd].answer() is not None

    def send(
        self, requests: Sequence[tuple[int, bytes]], due_ns: Sequence[int] | None = None
    ) -> Sent:
        """Send all of *requests*, each the next on whichever connection is free.

        Args:
            requests: Events and bytes of each.
            due_ns: When each is due, after the start, ascending; ``None``: as soon as there is
                a free connection.

        Raises:
            WrongAnswerError: Not everything was accepted; the rest is not sent.
        """
        latencies_ns: list[int] = []
        free, at, clock_ns = list(self._lines), 0, time.perf_counter_ns
        start_ns = clock_ns()
        while len(latencies_ns) < len(requests):
            now_ns = clock_ns()
            while free and at < len(requests):
                began_ns = now_ns if due_ns is None else start_ns + due_ns[at]
                if began_ns > now_ns:
                    break
                events, request = requests[at]
                free.pop().send(request, began_ns, events)
                at += 1
            wait_s = SILENCE_S
            if due_ns is not None and free and at < len(requests):
                wait_s = _wait_s(start_ns + due_ns[at] - clock_ns())
            for fd, _ in self._ready(wait_s):
                line = self._by_fd[fd]
                answer = line.answer()
                if answer is not None:
                    latencies_ns.append(clock_ns() - line.began_ns)
                    self._approval.examine(answer, line.events)
                    free.append(line)
        return Sent(clock_ns() - start_ns, latencies_ns)

    def _ready(self, wait_s: float) -> list[tuple[int, int]]:
        ready = self._poll.poll(wait_s)
        if not ready and wait_s == SILENCE_S:
            raise WrongAnswerError(f"no answer within {SILENCE_S:.0f} s")
        return ready


def _wait_s(until_ns: int) -> float:
    """Return how long to sleep: epoll counts in ms, so the last one is spent polling."""
    return max(until_ns // 1_000_000 - 1, 0) / 1000
