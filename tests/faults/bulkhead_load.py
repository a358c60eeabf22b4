"""Clients of several lanes at a steady pace, in a process of their own; each answer is timed.

In: first a line with who speaks where, then one JSON object per line on standard input, ``{"rates":
{"<voice>": <requests per second>}, "seconds": …, "unheard": "<voice>"}``; out: for each a line
with what every voice heard. Requests are due at random instants, whether or not others were
answered, and their latency counts from there; but for each voice only so many are under way at
once, so that one that gets no answers does not use up this process. What the unheard cannot say
when it is due is not said: kept for later, it would all be said in the instant of the first answer,
and what others wait for then is that crowd. Whose answers take too long hangs up: for the unheard
that is soon.
"""

import contextlib
import json
import random
import select
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Final, Self, cast

from edge.demo.ledger import Event
from edge.demo.payloads import Visit, deposit_requested, interactions
from edge.demo.rounds import Round, Table
from loadtests.bench.client import parse, poisson

CONNECTIONS: Final = 8  # of each voice
PLAYERS: Final = 16
PATIENCE_S: Final = 2.0  # of the unheard, when the last request was due
SILENCE_S: Final = 12.0
"""Of all others: a gateway answers within ``spool.sync_timeout_s`` (5 s); twice that is certainly
silence, on whatever machine."""

END_TIMEOUT_S: Final = 5.0
READ_BYTES: Final = 65_536
_TABLE: Final = Table("starburst-7", "sitting-1")
_NS_PER_S: Final = 1_000_000_000

VOICES: Final[Mapping[str, Callable[[Visit], Event]]] = {
    "game": lambda visit: _TABLE.spin(visit, 1),
    "wallet": lambda visit: deposit_requested(visit, 100),
    "telemetry": interactions,
    "bet": lambda visit: Round(_TABLE, visit.code("r"), 1, visit.code("t")).staked(visit),
    "stranger": lambda visit: _TABLE.spin(visit, 1),
}
"""What is said, by who says it; each speaks to one lane, the stranger to none."""


@dataclass(frozen=True, slots=True)
class Speakers:
    """Whose tokens are used.

    Attributes:
        host: Of the gateway.
        port: Of the gateway.
        tokens: By voice: of a service one, of players one for each.
    """

    host: str
    port: int
    tokens: Mapping[str, list[str]]


def player(number: int) -> Visit:
    """The same player, and session, whoever asks."""
    rng = random.Random(number)  # noqa: S311  # no secret
    return Visit(f"player-{number:04d}", "north", "MT", rng)


@dataclass(slots=True)
class Heard:
    """What one voice heard.

    Attributes:
        latencies_ns: Of answers, from when the request was due.
        codes: How each event ended: ``accepted``, or why not; ``unanswered``.
    """

    latencies_ns: list[int] = field(default_factory=list[int])
    codes: Counter[str] = field(default_factory=Counter[str])


class _Line:
    """One connection, and the request on it."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = socket.create_connection(address)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due_ns = 0
        self._received = b""

    def send(self, request: bytes, due_ns: int) -> None:
        self.due_ns, self._received = due_ns, b""
        self.sock.sendall(request)

    def ending(self) -> str | None:
        """Read what is there; how the event ended, once that is told."""
        self._received += self.sock.recv(READ_BYTES)
        answer = parse(self._received)
        if answer is None:
            return None
        told: Any = json.loads(answer.body)
        if "code" in told:
            return str(told["code"])
        return str(told["refused"][0]["code"]) if told["refused"] else "accepted"


class Crowd:
    """Everybody who speaks; keeps counting from slice to slice."""

    def __init__(self, speakers: Speakers) -> None:
        self._address = (speakers.host, speakers.port)
        self._tokens = speakers.tokens
        self._players = [player(number) for number in range(PLAYERS)]
        self._turn = 0
        self._seed = 0

    def speak(
        self, rates: Mapping[str, float], seconds: float, unheard: str
    ) -> dict[str, Heard]:
        """Have each voice speak at its rate; return when all have heard, or lost patience."""
        waiting: dict[str, deque[tuple[int, bytes]]] = {}
        for voice, per_s in rates.items():
            self._seed += 1
            due_ns = poisson(round(per_s * seconds), per_s, self._seed)
            waiting[voice] = deque((due, self._request(voice)) for due in due_ns)
        with Conversation(self._address, waiting) as conversation:
            return conversation.hold(time.perf_counter_ns(), seconds, unheard)

    def _request(self, voice: str) -> bytes:
        self._turn += 1
        number = self._turn % PLAYERS
        tokens = self._tokens[voice]
        body = json.dumps(VOICES[voice](self._players[number])).encode()
        lines = (
            "POST /v1/events HTTP/1.1",
            "host: edge.example",
            f"authorization: Bearer {tokens[number % len(tokens)]}",
            "content-type: application/cloudevents+json",
            f"content-length: {len(body)}",
            "\r\n",
        )
        return "\r\n".join(lines).encode() + body


class Conversation:
    """One slice: connections of every voice, and what is still to be said."""

    def __init__(
        self, address: tuple[str, int], waiting: Mapping[str, deque[tuple[int, bytes]]]
    ) -> None:
        self._waiting = waiting
        self._free = {v: [_Line(address) for _ in range(CONNECTIONS)] for v in waiting}
        self._lines = [line for lines in self._free.values() for line in lines]
        self._busy: dict[int, tuple[str, _Line]] = {}
        self._poll = select.epoll()
        for line in self._lines:
            self._poll.register(line.sock, select.EPOLLIN)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._poll.close()
        for line in self._lines:
            line.sock.close()

    def hold(self, start_ns: int, seconds: float, unheard: str) -> dict[str, Heard]:
        """Speak and listen."""
        heard = {voice: Heard() for voice in self._waiting}
        given_up_ns = start_ns + int((seconds + PATIENCE_S) * _NS_PER_S)
        last_ns = start_ns + int((seconds + SILENCE_S) * _NS_PER_S)
        while (now_ns := time.perf_counter_ns()) < last_ns:
            next_ns = self._speak(start_ns, now_ns, unheard)
            is_late = now_ns >= given_up_ns
            end_ns = last_ns if is_late else given_up_ns
            awaited = {voice for voice, _ in self._busy.values()}
            if next_ns is None and not awaited.difference([unheard] if is_late else []):
                break
            wait_ns = min(next_ns or end_ns, end_ns) - time.perf_counter_ns()
            # epoll counts in ms, select in µs; who polled instead would use up a core.
            select.select([self._poll], [], [], max(wait_ns, 0) / _NS_PER_S)
            for fd, _ in self._poll.poll(0):
                self._listen(fd, heard)
        for voice, line in self._busy.values():
            heard[voice].codes["unanswered"] += 1
            line.sock.close()
        return heard

    def _speak(self, start_ns: int, now_ns: int, unheard: str) -> int | None:
        """Send what is due; tell when the next is, of those who have a connection free."""
        next_ns: int | None = None
        for voice, waiting in self._waiting.items():
            free = self._free[voice]
            while free and waiting and start_ns + waiting[0][0] <= now_ns:
                due_ns, request = waiting.popleft()
                line = free.pop()
                self._busy[line.sock.fileno()] = voice, line
                line.send(request, start_ns + due_ns)
            while voice == unheard and waiting and start_ns + waiting[0][0] <= now_ns:
                waiting.popleft()
            if free and waiting:
                due_ns = start_ns + waiting[0][0]
                next_ns = due_ns if next_ns is None else min(next_ns, due_ns)
        return next_ns

    def _listen(self, fd: int, heard: Mapping[str, Heard]) -> None:
        voice, line = self._busy[fd]
        ending = line.ending()
        if ending is not None:
            heard[voice].latencies_ns.append(time.perf_counter_ns() - line.due_ns)
            heard[voice].codes[ending] += 1
            del self._busy[fd]
            self._free[voice].append(line)


def main(orders: IO[str], results: IO[str]) -> None:
    """Obey until there are no more *orders*."""
    crowd = Crowd(Speakers(**json.loads(orders.readline())))
    for line in orders:
        order = json.loads(line)
        heard = crowd.speak(order["rates"], order["seconds"], order["unheard"])
        told = {v: [h.latencies_ns, h.codes] for v, h in heard.items()}
        results.write(json.dumps(told) + "\n")
        results.flush()


class Load:
    """The process, as who orders it sees it."""

    def __init__(self, orders: IO[str], results: IO[str]) -> None:
        self._orders = orders
        self._results = results

    def speak(
        self, rates: Mapping[str, float], seconds: float, unheard: str = ""
    ) -> dict[str, Heard]:
        """Have the voices speak for a while; return what each heard.

        Args:
            rates: Requests per second, by voice.
            seconds: How long.
            unheard: The voice that may have no answer.
        """
        order = {"rates": rates, "seconds": seconds, "unheard": unheard}
        self._orders.write(json.dumps(order) + "\n")
        self._orders.flush()
        line = self._results.readline()
        assert line, "the clients ended"
        told = cast("dict[str, tuple[list[int], dict[str, int]]]", json.loads(line))
        return {v: Heard(latencies, Counter(codes)) for v, (latencies, codes) in told.items()}


@contextlib.contextmanager
def load(speakers: Speakers) -> Generator[Load]:
    """Run the clients; they say nothing by themselves."""
    process = subprocess.Popen(  # our own interpreter and module
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        first = {"host": speakers.host, "port": speakers.port, "tokens": speakers.tokens}
        process.stdin.write(json.dumps(first) + "\n")
        yield Load(process.stdin, process.stdout)
    finally:
        process.stdin.close()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


if __name__ == "__main__":
    main(sys.stdin, sys.stdout)
