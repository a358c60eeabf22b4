"""The interleaving: in each round every subject answers the same requests, one after the other.

In: subjects that run and a generator; out: their slices, round by round. Tables are filled
before the first round, so that what is measured is a gateway in its old age. The open loop
comes last: each of its rounds first finds out what the closed loop reaches just then, because
a share of what the machine could do a minute ago may be more than it can do now.
"""

import contextlib
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.bench.device import sync_latencies
from loadtests.bench.figures import Slice, percentile_ms
from loadtests.bench.generator import Loader
from loadtests.bench.scenario import LOADS, Load
from loadtests.bench.subjects import Subject, SubjectError

FILL_CONNECTIONS: Final = 16
FILLED: Final = ("bet", "game", "telemetry")  # the lanes that the loads use
# Of the tables' bound: the oldest half goes when they are full, so they hold this at least.
FULL_SHARE: Final = 0.45
PACED_SHARE: Final = 0.7  # a node that is well run; beyond it queueing is all one sees

Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything.

    Attributes:
        rounds: Odd, so that the median is one of them.
        requests: Per slice, by load's name.
        paced_rounds: Of the open loop, odd.
        paced_s: How long each of these sends.
        entries: ``spool.dedupe_entries_max`` of every gateway, filled before the first round.
        syncs: Of the device alone, before each round.
        players: Who speak. So far above the connections that a player's next event never
            overtakes the one before.
        connections_max: Of each load, whatever it has. With eight no gateway takes a machine
            that others disturb for an overload, in which it refuses and sheds; so that is what
            a run has that is not for its figures.
    """

    rounds: int
    requests: Mapping[str, int]
    paced_rounds: int
    paced_s: float
    entries: int
    syncs: int
    players: int
    connections_max: int = 64


# A slice takes a gateway some tenths of a second: long against one sync, short against the
# minutes in which a shared machine changes its speed. The tables' default bound, fifty times
# these entries, would take longer to fill than all the rounds; ``loadtests.stages`` has it.
FULL: Final = Plan(
    15, {"single": 4_000, "mixed": 3_000, "batch": 200}, 5, 1.5, 20_000, 200, 2_000
)
QUICK: Final = Plan(7, {"single": 1_000, "mixed": 600, "batch": 50}, 1, 1.0, 4_000, 200, 500)


@dataclass(frozen=True, slots=True)
class Paced:
    """An open loop at a share of what the closed loop reached.

    Attributes:
        requests_per_s: That were due, median of the rounds.
        p50_ms: From the due time to the answer, median of the rounds.
        p99_ms: The same.
    """

    requests_per_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Course:
    """All that was measured.

    Attributes:
        slices: By load and subject, one per round.
        paced: By load and subject; gateways only.
        syncs_ns: Of the device alone, ascending, one sequence per round.
    """

    slices: Mapping[tuple[str, str], Sequence[Slice]]
    paced: Mapping[tuple[str, str], Paced]
    syncs_ns: Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class Contest:
    """Who runs against whom.

    Attributes:
        subjects: The empty application first; all are up.
        loader: Whose tokens the gateways believe.
        plan: How much.
        room: A directory on the spools' file system.
        tell: Is told what comes next.
    """

    subjects: Sequence[Subject]
    loader: Loader
    plan: Plan
    room: Path
    tell: Tell

    def run(self) -> Course:
        """Measure all subjects under all loads.

        Raises:
            GeneratorError: An answer was wrong.
            SubjectError: A table is not full, or a gateway does not forward what it accepted.
            OSError: The disk does not take the device's probe.
        """
        self._warm_up()
        slices: dict[tuple[str, str], list[Slice]] = {}
        syncs_ns: list[list[int]] = []
        for number in range(self.plan.rounds):
            self.tell(f"round {number + 1} of {self.plan.rounds}")
            syncs_ns.append(sorted(sync_latencies(self.room, self.plan.syncs)))
            for load in LOADS:
                count = self.plan.requests[load.name]
                self.loader.prepare(load.name, count=count)
                for subject in self.subjects:
                    took = self._slice(subject, load, count)
                    slices.setdefault((load.name, subject.name), []).append(took)
        paced = {
            (load.name, subject.name): self._pace(subject, load)
            for load in LOADS
            for subject in self.subjects
            if subject.is_gateway
        }
        return Course(slices, paced, syncs_ns)

    def _warm_up(self) -> None:
        """Fill the tables of every gateway; show every token to everybody."""
        entries = self.plan.entries
        self.tell("filling the tables")
        for what, more in (("fillings", {"entries": entries}), ("greetings", {})):
            self.loader.prepare(what, **more)
            for subject in self.subjects:
                with self._connected(subject, FILL_CONNECTIONS):
                    self.loader.send(accepts=subject.is_gateway)
                    subject.cpu_when_forwarded_ns()
        for subject in filter(lambda subject: subject.is_gateway, self.subjects):
            held = subject.by_lane("edge_dedupe_entries")
            for lane in FILLED:
                if held[lane] < FULL_SHARE * entries:
                    raise SubjectError(f"{subject.name}: {lane} remembers {held[lane]:.0f}")

    def _connected(
        self, subject: Subject, connections: int
    ) -> contextlib.AbstractContextManager[None]:
        """Keep so many connections, or as many as the plan has."""
        count = min(connections, self.plan.connections_max)
        return self.loader.connected(subject.public, count)

    def _slice(self, subject: Subject, load: Load, count: int) -> Slice:
        """Send what was prepared as fast as answers come."""
        with self._connected(subject, load.connections):
            before_ns = subject.cpu_ns()
            with subject.scraped():
                sent = self.loader.send(accepts=subject.is_gateway)
            cpu_ns = subject.cpu_when_forwarded_ns() - before_ns
        return Slice(
            requests=count,
            events=count * load.events,
            elapsed_ns=sent.elapsed_ns,
            cpu_ns=cpu_ns,
            latencies_ns=sent.latencies_ns,
            rss_bytes=subject.rss_bytes(),
        )

    def _pace(self, subject: Subject, load: Load) -> Paced:
        """Send at a share of what the closed loop reaches just before."""
        self.tell(f"{subject.name}, {load.name}, at {PACED_SHARE:.0%} load")
        rates: list[float] = []
        latencies_ns: list[Sequence[int]] = []
        for _ in range(self.plan.paced_rounds):
            count = self.plan.requests[load.name]
            self.loader.prepare(load.name, count=count)
            per_s = PACED_SHARE * self._slice(subject, load, count).requests_per_s
            self.loader.prepare(load.name, count=max(round(per_s * self.plan.paced_s), 1))
            with self._connected(subject, load.connections), subject.scraped():
                sent = self.loader.send(accepts=True, per_s=per_s)
            subject.cpu_when_forwarded_ns()
            rates.append(per_s)
            latencies_ns.append(sent.latencies_ns)
        return Paced(
            requests_per_s=statistics.median(rates),
            p50_ms=percentile_ms(latencies_ns, 0.5),
            p99_ms=percentile_ms(latencies_ns, 0.99),
        )
