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
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from edge.demo.gateway import GatewayError, Settings
from tests.faults import faults
from tests.faults.closing import Closing, close_books
from tests.faults.failpoints import ON_THE_WAY_OUT, Point
from tests.faults.launcher import launcher
from tests.faults.ledger import SETTINGS, Allowed, Ledger, Shape, ledger
from tests.faults.row import Row, Scale, Tell
from tests.kafka.broker import Broker
from tests.kafka.jars import KafkaMissing, class_path
from tests.system.bench import TOPICS
from tests.system.world import World, world

SEED: Final = 20_261_122
SHAPE: Final = Shape(services=12, players=4)

LIFE_MAX_S: Final = 1.0
"""A drawn life is as long at most, and half of it on average: 5,000 events at 10,000 a second."""

START_MAX_S: Final = 0.8  # what a start takes on two idle cores: some are killed in its midst
FREEZE_MAX_S: Final = 1.0
POINT_WAIT_S: Final = 4.0
"""A point that is not passed in so long is not passed: the next try asks for its first pass."""

MISSES_MAX: Final = 8  # in a row, of one point: it cannot be hit
KILLED: Final = -9  # what subprocess calls the exit code of SIGKILL
PROGRESS_EVERY: Final = 25
ONE_IN: Final = 10
STRIDE: Final = 4  # nine points of a short run lie all along the way
REFUSED_ONE_IN: Final = 1000
"""Records that the origin refuses alone, the same in every life: there are letters to write."""

# A retention of some segments, so that segments go; small segments, so that they come.
SPOOL: Final[Mapping[str, Settings]] = {"spool": {"retained_bytes_max": "16MiB"}}
SMALL: Final[Mapping[str, int]] = {
    "segment_bytes_max": 1 << 20,
    "commit_bytes_max": 1 << 18,
    "fresh_bytes_max": 1 << 18,
}

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
        seed: Replays what is drawn; not the moments themselves, which are the machine's.
    """

    random_kills: int
    point_kills: int
    events: int
    seed: int = SEED

    def points(self) -> list[Point]:
        """Name the point of each kill: all in turn, first those that lie far apart."""
        spread = [point for first in range(STRIDE) for point in [*Point][first::STRIDE]]
        return [*itertools.islice(itertools.cycle(spread), self.point_kills)]


PLANS: Final[Mapping[Scale, Plan]] = {
    Scale.SHORT: Plan(random_kills=5, point_kills=9, events=0),
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
        rng: All chance.
        tell: Takes a line of progress.
        kills: By kind: ``random``, ``starting``, ``frozen``; and by point.
        misses: Lives in which a point was not passed, by point.
        thawed: Freezes that were woken from.
        accepted: So far.
    """

    here: World
    book: Ledger
    rng: random.Random
    tell: Tell
    kills: Counter[str] = field(default_factory=Counter[str])
    misses: Counter[str] = field(default_factory=Counter[str])
    thawed: int = 0
    accepted: int = 0

    def carry_out(self, plan: Plan) -> None:
        """Kill as often as *plan* asks, the kinds mixed."""
        ends = [self.die_at_random] * plan.random_kills
        ends += [self._dying_at(point) for point in plan.points()]
        self.rng.shuffle(ends)
        for number, die in enumerate(ends, 1):
            die()
            self._progress(number)
        while self.accepted < plan.events:
            self.die_at_random()
            self._progress(self.kills.total())

    def die_at_random(self) -> None:
        """One life, ended from outside at a drawn moment."""
        self.here.gateway.command = launcher(refuses=REFUSED_ONE_IN)
        kind = self.rng.choices(("random", "starting", "frozen"), (ONE_IN - 2, 1, 1))[0]
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
        highest = PASSES.get(point.value, PASSES.get(point.value.partition("-")[0], 1))
        passes = 1 if self.misses[point.value] else self.rng.randint(1, highest)
        self.here.gateway.command = launcher((point, passes), SMALL, REFUSED_ONE_IN)
        has_hit = self._is_hit(point)
        (self.kills if has_hit else self.misses)[point.value] += 1
        return has_hit

    def _dying_at(self, point: Point) -> Callable[[], None]:
        def die() -> None:
            tries = range(MISSES_MAX)
            if not any(self.die_at(point) for _ in tries):
                self.tell(f"nobody passes {point.value}")

        return die

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
        delay_s = self.rng.uniform(0, START_MAX_S)
        killer = threading.Timer(delay_s, self._kill_if_there)
        killer.start()
        try:
            gateway.start()
        except GatewayError as error:
            if error.code != KILLED:
                raise
        killer.join()
        gateway.close()

    def _kill_if_there(self) -> None:
        process = self.here.gateway.process
        if process is not None:
            faults.kill(process.pid)

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
        siege = Siege(here, book, rng, tell)
        book.begin(here.gateway.public, SHAPE)  # it knocks until somebody opens
        siege.carry_out(plan)
        here.gateway.command = launcher(refuses=REFUSED_ONE_IN)
        here.gateway.start()
        origins = (origin or here.origin, f"dead:{here.spool}")
        return Outcome(siege, close_books(here, book, *origins, allowed=Allowed(dead=True)))


def kills(scale: Scale, room: Path, tell: Tell, *, seed: int = SEED) -> Iterator[Row]:
    """SIGKILL under load, at random moments and at named points."""
    plan = replace(PLANS[scale], seed=seed)
    tell(f"seed {seed}")
    (room / "log").mkdir()
    yield from _rows(besiege(plan, room / "log", tell), plan, "the embedded log")
    if scale is Scale.FULL:
        yield from _kills_before_kafka(replace(KAFKA_PLAN, seed=seed + 1), room, tell)


def _kills_before_kafka(plan: Plan, room: Path, tell: Tell) -> Iterator[Row]:
    """The same with a real broker behind the gateway, where one can be started."""
    try:
        jars = class_path()
    except KafkaMissing as missing:
        tell(f"SKIPPED: kills with Kafka: {missing}")
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
    )
    yield Row(
        f"SIGKILL under load, origin {origin}",
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
        not closing.faults,
    )
