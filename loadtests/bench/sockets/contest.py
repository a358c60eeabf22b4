"""The interleaving: in each round echo and gateway are told the same messages in turn.

Then the gateway gets as many events in HTTP batches. In: subjects that run and a generator; out:
their slices, round by round.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from loadtests.bench.client import Sent
from loadtests.bench.figures import Slice
from loadtests.bench.rounds import FULL_SHARE, Tell
from loadtests.bench.sockets.generator import SocketLoader
from loadtests.bench.subjects import Subject, SubjectError

ECHO: Final = "echo"
SOCKET: Final = "gateway"
HTTP: Final = "gateway, HTTP batches"

FILL_CONNECTIONS: Final = 4
"""So few that no gateway takes a machine that others disturb for an overload; not measured."""

PLAYERS_MIN: Final = 256  # four times the sockets that speak

LANE: Final = "game"  # spins are all that is said
MANY: Final = 20
"""Events per message, and per batch beside it: what a fast game gathers in a second or two."""


@dataclass(frozen=True, slots=True)
class Load:
    """One way of speaking.

    Attributes:
        events: Per message.
        sockets: On which it is spoken at once; or HTTP's connections.
        window: Messages under way on each of them. One: as by HTTP, and as a game that waits for
            each answer; more: as one that does not wait.
    """

    events: int
    sockets: int
    window: int


# None gives a gateway more than 15 ms of work at a time: with more than it can do it serves in
# another way. Only HTTP's requests are refused then, and those of eight connections never are,
# whatever else disturbs the machine.
SINGLE: Final = Load(1, 64, 1)
STREAM: Final = Load(1, 16, 8)
GATHERED: Final = Load(MANY, 8, 1)

Row = tuple[Load, str]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything.

    Attributes:
        rounds: Odd, so that the median is one of them.
        messages: Per slice and socket.
        entries: ``spool.dedupe_entries_max`` of the gateway, filled before the first round.
        idle: Sockets that do nothing.
        hold_s: For so long.
        listeners: Sockets that wait for pushes.
        pushes: To each of them.
        gap_s: Between two, on average.
    """

    rounds: int
    messages: Mapping[Load, int]
    entries: int
    idle: int
    hold_s: float
    listeners: int
    pushes: int
    gap_s: float

    @property
    def players(self) -> int:
        """How many there must be.

        So far above the connections that a player's next batch never overtakes the one before.
        """
        return max(PLAYERS_MIN, self.idle, self.listeners)


# A slice takes a gateway some tenths of a second, as in the other bench. Idle sockets are held
# until the gateway has pinged each once (20 s); pushes come often enough to be measured soon, and
# seldom enough that each is alone.
FULL: Final = Plan(
    15, {SINGLE: 70, STREAM: 300, GATHERED: 60}, 20_000, 5_000, 21.0, 2_000, 60, 0.2
)
QUICK: Final = Plan(
    5, {SINGLE: 30, STREAM: 120, GATHERED: 30}, 4_000, 2_000, 0.5, 2_000, 15, 0.2
)


@dataclass(frozen=True, slots=True)
class Contest:
    """Who runs against whom.

    Attributes:
        echo: Up.
        gateway: Up.
        loader: Whose tokens the gateway believes.
        plan: How much.
        origin: Where the gateway's embedded log lies.
        tell: Is told what comes next.
    """

    echo: Subject
    gateway: Subject
    loader: SocketLoader
    plan: Plan
    origin: Path
    tell: Tell

    def run(self) -> Mapping[Row, Sequence[Slice]]:
        """Measure both under all loads.

        Raises:
            GeneratorError: An answer was wrong.
            SubjectError: A table is not full, or an event is not at the origin, or twice.
        """
        slices: dict[Row, list[Slice]] = {}
        accepted = self._warm_up()
        for number in range(self.plan.rounds):
            self.tell(f"round {number + 1} of {self.plan.rounds}")
            for load, count in self.plan.messages.items():
                accepted += self.loader.prepare_messages(
                    sockets=load.sockets, count=count, events=load.events
                )
                for name, subject in ((ECHO, self.echo), (SOCKET, self.gateway)):
                    slices.setdefault((load, name), []).append(self._said(subject, load))
            slices.setdefault((GATHERED, HTTP), []).append(took := self._sent())
            accepted += took.events
        self._check_origin(accepted)
        return slices

    def _warm_up(self) -> int:
        """Fill the gateway's tables; return how many events that took."""
        self.tell("filling the tables")
        gateway, entries = self.gateway, self.plan.entries
        filled = self.loader.prepare("fillings", entries=entries)
        with self.loader.connected(gateway.public, FILL_CONNECTIONS):
            self.loader.send(accepts=True)
            gateway.cpu_when_forwarded_ns()
        held = gateway.by_lane("edge_dedupe_entries")[LANE]
        if held < FULL_SHARE * entries:
            raise SubjectError(f"{gateway.name}: {LANE} remembers {held:.0f}")
        return filled

    def _said(self, subject: Subject, load: Load) -> Slice:
        """Have what was prepared said on sockets."""
        messages = load.sockets * self.plan.messages[load]
        with self.loader.opened(subject, load.sockets, speaks=True):
            speak = partial(self.loader.speak, load.window)
            return _slice(subject, messages, load.events, speak)

    def _sent(self) -> Slice:
        """Have as many events sent by HTTP as were said on sockets, in batches as large."""
        count = GATHERED.sockets * self.plan.messages[GATHERED]
        self.loader.prepare_batches(count=count, events=MANY)
        with self.loader.connected(self.gateway.public, GATHERED.sockets):
            send = partial(self.loader.send, accepts=True)
            return _slice(self.gateway, count, MANY, send)

    def _check_origin(self, accepted: int) -> None:
        """Count what lies there.

        Raises:
            SubjectError: It is not what was accepted.
        """
        files = self.origin.glob("edge.*/*/*.jsonl")
        found = sum(file.read_bytes().count(b"\n") for file in files)
        if found != accepted:
            raise SubjectError(f"{accepted:,} events accepted, {found:,} at the origin")


def _slice(subject: Subject, requests: int, events: int, load: Callable[[], Sent]) -> Slice:
    """Measure *subject* while *load* asks so much of it."""
    before_ns = subject.cpu_ns()
    with subject.scraped():
        sent = load()
    return Slice(
        requests=requests,
        events=requests * events,
        elapsed_ns=sent.elapsed_ns,
        cpu_ns=subject.cpu_when_forwarded_ns() - before_ns,
        latencies_ns=(),
        rss_bytes=subject.rss_bytes(),
    )
