"""SIGKILL under load, again and again, at random moments and at named points.

*Theory of operation.* One gateway after another lives on the same spool and ports, while the
ledger keeps its connections talking across all of it: it reconnects, sends again what was
answered last (which must be known), then what was not answered, then something new. A life ends
in one of these ways:

===========  ==============================================================================
at random    a drawn moment after it listens; one in ten while it still starts, one in ten
             frozen (SIGSTOP), which half of those are woken from before they are killed
at a point   it kills itself where :class:`tests.faults.failpoints.Point` says, when it
             passes there for a drawn time; segments are small then, so that it passes
===========  ==============================================================================

In the end all is settled and forwarded, and the books are compared. A point at which nobody was
killed, although it was asked for, is a fault of the campaign.
"""

import itertools
import random
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from edge.demo.gateway import GatewayError, Settings
from tests.faults import faults
from tests.faults.closing import Closing, close_books
from tests.faults.deaths import KILLED, killed_after
from tests.faults.failpoints import ON_THE_WAY_OUT, Point
from tests.faults.launcher import launcher
from tests.faults.ledger import SETTINGS, Allowed, Ledger, Shape, ledger
from tests.faults.row import Row, Scale, Tell
from tests.kafka.broker import Broker
from tests.kafka.jars import KafkaMissing, class_path
from tests.system.bench import TOPICS
from tests.system.world import World, world

SEED: Final = 20_261_122
WHAT: Final = "SIGKILL under load, origin {}"
SHAPE: Final = Shape(services=12, players=4)

LIFE_MAX_S: Final = 1.0
"""A drawn life is as long at most, and half of it on average: 5,000 events at 10,000 a second."""

START_MAX_S: Final = 0.8  # what a start takes on two idle cores: some are killed in its midst
EVENTS_MIN: Final = 10  # of each life on average, the short ones and the slow ones among them
FREEZE_MAX_S: Final = 1.0
POINT_WAIT_S: Final = 4.0
"""A point that is not passed in so long is not passed: the next try asks for its first pass."""

MISSES_MAX: Final = 8  # in a row, of one point: it cannot be hit
PROGRESS_EVERY: Final = 25
ONE_IN: Final = 10
STRIDE: Final = 4  # nine points of a short run lie all along the way
KINDS: Final[Mapping[str, int]] = {"random": ONE_IN - 2, "starting": 1, "frozen": 1}
"""Of lives that end at random, with their shares."""

# A retention of some segments, so that segments go.
SPOOL: Final[Mapping[str, Settings]] = {"spool": {"retained_bytes_max": "16MiB"}}

PASSES: Final[Mapping[str, int]] = {
    "commit": 400,
    "publish": 20,
    "cursor": 20,
    "segment": 12,
    "index": 6,
    "unlink": 6,
    "drain-begun": 6,
}
"""From how many passes one is drawn, by a point's first word or whole name; others: the first."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done.

    Attributes:
        random_kills: At drawn moments.
        point_kills: At named points, in turn.
        events: Accepted in all, at least: lives at random go on until then.
        shape: Who talks.
        segment_bytes: Of a life that ends at a point: small, so that segments come.
        refused_one_in: Records that the origin refuses alone, the same in every life: there
            are letters to write.
        passes_max: Of a point, until the kill.
        seed: Replays what is drawn; not the moments themselves, which are the machine's.
    """

    random_kills: int
    point_kills: int
    events: int
    shape: Shape = SHAPE
    segment_bytes: int = 1 << 20
    refused_one_in: int = 1000
    passes_max: int = 400
    seed: int = SEED

    @property
    def owed_min(self) -> int:
        """Accepted in all, or nobody was there to talk."""
        return max(self.events, EVENTS_MIN * (self.random_kills + self.point_kills))

    @property
    def bounds(self) -> Mapping[str, int]:
        """Sizes that go with its segments."""
        part = self.segment_bytes // 2
        return {
            "segment_bytes_max": self.segment_bytes,
            "commit_bytes_max": part,
            "fresh_bytes_max": part,
        }

    def points(self) -> list[Point]:
        """Name the point of each kill: all in turn, first those that lie far apart."""
        spread = [point for first in range(STRIDE) for point in [*Point][first::STRIDE]]
        return [*itertools.islice(itertools.cycle(spread), self.point_kills)]


PLANS: Final[Mapping[Scale, Plan]] = {
    # So little is said, and so little of it is needed to pass a point, that a machine which
    # takes a hundred events a second passes each; and a fast one has not much to compare.
    Scale.SHORT: Plan(
        random_kills=3,
        point_kills=9,
        events=0,
        shape=Shape(services=6, players=4, batch=10, per_s=2_000),
        segment_bytes=1 << 16,
        refused_one_in=20,
        passes_max=6,
    ),
    Scale.FULL: Plan(random_kills=700, point_kills=306, events=5_000_000),
}

KAFKA_PLAN: Final = Plan(random_kills=66, point_kills=34, events=0)
"""Besides, in the full form: what a producer's purge and rebuild make of a kill."""


@dataclass(slots=True)
class Siege:
    """All lives of one spool.

    Attributes:
        here: The gateway and its surroundings.
        book: Who talks to it.
        plan: How much is done.
        rng: All chance.
        tell: Takes a line of progress.
        kills: By kind: ``random``, ``starting``, ``frozen``; and by point.
        misses: Lives in which a point was not passed, by point.
        thawed: Freezes that were woken from.
        accepted: So far.
    """

    here: World
    book: Ledger
    plan: Plan
    rng: random.Random
    tell: Tell
    kills: Counter[str] = field(default_factory=Counter[str])
    misses: Counter[str] = field(default_factory=Counter[str])
    thawed: int = 0
    accepted: int = 0

    def carry_out(self) -> None:
        """Kill as often as the plan asks, the kinds mixed; each kind once at least."""
        plan = self.plan
        drawn = self.rng.choices([*KINDS], [*KINDS.values()], k=plan.random_kills - len(KINDS))
        ends = [partial(self.die_of, kind) for kind in (*KINDS, *drawn)]
        ends += [partial(self.die_at_last, point) for point in plan.points()]
        self.rng.shuffle(ends)
        for number, die in enumerate(ends, 1):
            die()
            self._progress(number)
        while self.accepted < plan.events:
            self.die_of(*self.rng.choices([*KINDS], [*KINDS.values()]))
            self._progress(self.kills.total())

    def die_of(self, kind: str) -> None:
        """One life, ended from outside at a drawn moment."""
        self.here.gateway.command = launcher(refuses=self.plan.refused_one_in)
        if kind == "starting":
            self._die_starting()
        else:
            self.here.gateway.start()
            time.sleep(self.rng.uniform(0, LIFE_MAX_S))
            if kind == "frozen":
                self._freeze()
            self.here.gateway.kill()
        self.kills[kind] += 1

    def die_at(self, point: Point) -> bool:
        """One life that is to end at *point*; whether it did."""
        plan = self.plan
        highest = PASSES.get(point.value, PASSES.get(point.value.partition("-")[0], 1))
        drawn = self.rng.randint(1, min(highest, plan.passes_max))
        passes = 1 if self.misses[point.value] else drawn
        self.here.gateway.command = faults.kill_at(
            point, passes, bounds=plan.bounds, refuses=plan.refused_one_in
        )
        has_hit = self._is_hit(point)
        (self.kills if has_hit else self.misses)[point.value] += 1
        return has_hit

    def die_at_last(self, point: Point) -> None:
        """As many lives as it takes until one ends at *point*."""
        if not any(self.die_at(point) for _ in range(MISSES_MAX)):
            self.tell(f"nobody passes {point.value}")

    def _is_hit(self, point: Point) -> bool:
        gateway = self.here.gateway
        try:
            gateway.start()
        except GatewayError as error:
            if error.code != KILLED:
                raise
            return True
        assert gateway.process is not None
        if point in ON_THE_WAY_OUT:
            time.sleep(self.rng.uniform(0, LIFE_MAX_S))
            gateway.process.terminate()
        try:
            code = gateway.process.wait(POINT_WAIT_S)
        except subprocess.TimeoutExpired:
            code = 0
        gateway.kill()
        return code == KILLED

    def _die_starting(self) -> None:
        """Kill it a drawn moment after its process began, whether it listens by then or not."""
        gateway = self.here.gateway
        with killed_after(gateway, self.rng.uniform(0, START_MAX_S)):
            try:
                gateway.start()
            except GatewayError as error:
                if error.code != KILLED:
                    raise
        gateway.close()

    def _freeze(self) -> None:
        """Stop it for a while; half of those who are stopped wake once more."""
        process = self.here.gateway.process
        assert process is not None
        faults.freeze(process.pid)
        time.sleep(self.rng.uniform(0, FREEZE_MAX_S))
        if self.rng.random() < 0.5:
            faults.thaw(process.pid)
            self.thawed += 1
            time.sleep(self.rng.uniform(0, LIFE_MAX_S / 2))

    def _progress(self, number: int) -> None:
        account = self.book.mark()
        self.accepted = account.accepted
        if number % PROGRESS_EVERY == 0:
            self.tell(
                f"{number} lives, {account.accepted:,} accepted, "
                f"{account.repeated:,} known again, {len(account.complaints)} complaints"
            )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a siege came to.

    Attributes:
        siege: What was done.
        closing: What the books say.
    """

    siege: Siege
    closing: Closing

    def unpassed(self, plan: Plan) -> list[str]:
        """Name the points that nobody was killed at although it was asked for."""
        asked = dict.fromkeys(plan.points())
        return [point.value for point in asked if not self.siege.kills[point.value]]


def besiege(plan: Plan, room: Path, tell: Tell, origin: str = "") -> Outcome:
    """Carry out *plan*; in the end compare the books.

    Args:
        plan: How much.
        room: An empty directory.
        tell: Takes a line of progress.
        origin: Its URL; empty: a log in the room.
    """
    rng = random.Random(plan.seed)  # noqa: S311  # replayable, no secret
    settings: dict[str, Settings] = {**SETTINGS, **SPOOL}
    if origin:
        settings["origin"] = {"url": origin}
    with ledger(room, plan.seed) as book, world(room, settings) as here:
        here.jwks.write_text(book.jwks)
        siege = Siege(here, book, plan, rng, tell)
        book.begin(here.gateway.public, plan.shape)  # it knocks until somebody opens
        siege.carry_out()
        here.gateway.command = launcher(refuses=plan.refused_one_in)
        here.gateway.start()
        origins = (origin or here.origin, f"dead:{here.spool}")
        closing = close_books(
            here,
            book,
            *origins,
            owed_min=plan.owed_min,
            broken_max=None,  # a kill is heard by many
            allowed=Allowed(dead_one_in=plan.refused_one_in),
        )
        return Outcome(siege, closing)


def kills(scale: Scale, room: Path, tell: Tell, *, seed: int = SEED) -> Iterator[Row]:
    """SIGKILL under load, at random moments and at named points."""
    plan = replace(PLANS[scale], seed=seed)
    tell(f"seed {seed}")
    (room / "log").mkdir()
    yield from _rows(besiege(plan, room / "log", tell), plan, "the embedded log")
    if scale is Scale.FULL:
        yield from kills_before_kafka(replace(KAFKA_PLAN, seed=seed + 1), room, tell)


def kills_before_kafka(plan: Plan, room: Path, tell: Tell) -> Iterator[Row]:
    """The same with a real broker behind the gateway, where one can be started."""
    try:
        jars = class_path()
    except KafkaMissing as missing:
        tell(f"SKIPPED: kills with Kafka: {missing}")
        goal = f"≥ {plan.random_kills + plan.point_kills:,} kills: 0 lost"
        yield Row(WHAT.format("Kafka"), goal, f"skipped: {missing}", is_reached=False)
        return
    (room / "kafka").mkdir()
    (room / "broker").mkdir()
    with Broker(room / "broker", jars) as broker:
        for topic in TOPICS:
            broker.create_topic(topic)
        origin = f"kafka://{broker.bootstrap}"
        outcome = besiege(plan, room / "kafka", tell, origin)
        yield from _rows(outcome, plan, "Kafka")


def _rows(outcome: Outcome, plan: Plan, origin: str) -> Iterator[Row]:
    siege, closing = outcome.siege, outcome.closing
    points = {point.value for point in Point}
    at_points = sum(count for kind, count in siege.kills.items() if kind in points)
    at_random = siege.kills.total() - at_points
    unpassed = outcome.unpassed(plan)
    is_enough = (
        at_random >= plan.random_kills
        and at_points >= plan.point_kills
        and closing.findings.owed >= plan.events
        and closing.findings.dead > 0  # else no letter was ever at stake
    )
    yield Row(
        WHAT.format(origin),
        f"≥ {plan.random_kills:,} at random and ≥ {plan.point_kills:,} at {len(points)} named "
        f"points, ≥ {plan.events:,} accepted: 0 lost",
        f"{at_random:,} + {at_points:,} kills, {closing.found}",
        is_enough and not unpassed and not closing.faults,
        (*(f"nobody was killed at {name}" for name in unpassed), *closing.faults),
    )
    yield Row(
        f"SIGSTOP under load, then SIGCONT or SIGKILL, origin {origin}",
        "0 lost",
        f"{siege.kills['frozen']:,} freezes, {siege.thawed:,} woken from, "
        f"{closing.findings.lost:,} lost",
        bool(siege.kills["frozen"]) and not closing.faults,
    )
