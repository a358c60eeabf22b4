"""A long outage: the broker is down, events are accepted all the same, and then it comes back.

*Theory of operation.* First the ledger talks at the live rate while the broker is up, which
gives the usual p99. Then the broker stops, a backlog is accepted (flat out: what waits is the
same, and it takes minutes instead of half an hour), and the ledger talks at the live rate again.
The broker starts: from then until hardly anything waits, what reaches it is counted and
verdicts are timed. Afterwards the usual p99 is taken once more, so that before and after stand
around the drain in one run. In the end the books are compared: oldest first, key by key.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from edge.core.lane import Lane
from edge.demo.gateway import Settings
from edge.demo.metrics import Counters
from origin_client.notice import DEAD_TOPIC, REFUSED_TOPIC
from tests.faults.closing import Closing, close_books
from tests.faults.ledger import SETTINGS, Account, Ledger, Shape, ledger
from tests.faults.row import Row, Scale, Tell
from tests.kafka import jars
from tests.kafka.broker import Broker
from tests.system.world import World, world

SEED: Final = 20_261_125
LIVE_PER_S: Final = 2_000
LIVE: Final = Shape(services=12, players=8, batch=20, per_s=LIVE_PER_S)
FLAT_OUT: Final = replace(LIVE, per_s=None)

DRAIN_MULTIPLE_MIN: Final = 3.0
P99_RATIO_MAX: Final = 1.25
LOOK_S: Final = 1.0  # each look at the metrics costs the gateway some milliseconds
CAUGHT_UP: Final = LIVE_PER_S  # records that wait at most while all is well: a second's
DRAIN_TIMEOUT_S: Final = 1800.0
PARTITIONS: Final = 4
# 3.6 million records of 1 KB, six lanes that get about the same, twice that for luck.
SPOOL: Final[Settings] = {
    "bytes_max": "12GiB",
    "lane_share_max": 0.5,
    "retained_bytes_max": "64MiB",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done.

    Attributes:
        backlog: Events accepted while the broker is down.
        usual_s: How long the usual p99 is taken, before and after.
    """

    backlog: int
    usual_s: float


PLANS: Final[Mapping[Scale, Plan]] = {
    Scale.SHORT: Plan(backlog=10_000, usual_s=1),
    Scale.FULL: Plan(backlog=30 * 60 * LIVE_PER_S, usual_s=60),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an outage came to.

    Attributes:
        waiting: Records that waited when the broker came back.
        drained: Records that reached it until hardly anything waited, live ones included.
        drain_s: How long that took.
        before: The books of the usual time before.
        during: Of the drain.
        after: Of the usual time after.
        closing: What the books say in the end.
    """

    waiting: int
    drained: int
    drain_s: float
    before: Account
    during: Account
    after: Account
    closing: Closing

    @property
    def multiple(self) -> float:
        """How many times the live rate reached the broker."""
        return self.drained / self.drain_s / LIVE_PER_S

    @property
    def p99_ratio(self) -> float:
        """The p99 of verdicts during the drain, against the mean of before and after."""
        before, during, after = (
            each.p99_ms or 0.0 for each in (self.before, self.during, self.after)
        )
        return during / ((before + after) / 2)

    @property
    def p99s(self) -> str:
        """Before, during and after, ms."""
        books = (self.before, self.during, self.after)
        return " → ".join(f"{each.p99_ms or 0:.1f}" for each in books)


def endure(plan: Plan, room: Path, broker: Broker, tell: Tell, *, seed: int) -> Outcome:
    """Let *broker*, which runs, be away until the backlog is there, and come back."""
    for topic in (*(lane.topic for lane in Lane), REFUSED_TOPIC, DEAD_TOPIC):
        broker.create_topic(topic, PARTITIONS)
    origin: Settings = {"url": f"kafka://{broker.bootstrap}"}
    sections = {**SETTINGS, "origin": origin, "spool": SPOOL}
    with ledger(room, seed) as book, world(room, sections) as here:
        here.jwks.write_text(book.jwks)
        here.gateway.start()
        here.wait_until_ready()
        book.begin(here.gateway.public, LIVE)
        time.sleep(plan.usual_s / 4)  # the first requests of all find everything cold
        before = _usual(book, plan)
        tell(f"usually p99 {before.p99_ms:.1f} ms; the broker leaves")
        broker.stop()
        _accept(here, book, plan, tell)
        book.begin(here.gateway.public, LIVE)
        broker.start()
        waiting, drained, drain_s, during = _drain(here, book, tell)
        after = _usual(book, plan)
        closing = close_books(here, book, f"kafka://{broker.bootstrap}")
        return Outcome(waiting, drained, drain_s, before, during, after, closing)


def _usual(book: Ledger, plan: Plan) -> Account:
    book.mark()
    time.sleep(plan.usual_s)
    return book.mark()


def _accept(here: World, book: Ledger, plan: Plan, tell: Tell) -> None:
    """Have the backlog accepted as fast as the gateway does it, the broker being down."""
    accepted = book.begin(here.gateway.public, FLAT_OUT).accepted
    wanted, told = accepted + plan.backlog, accepted
    while (accepted := book.mark().accepted) < wanted:
        time.sleep(LOOK_S / 4)
        if accepted - told >= plan.backlog // 10:
            told = accepted
            tell(f"{accepted:,} accepted, {_figures(here).waiting():,} wait")
    book.rest()


def _drain(here: World, book: Ledger, tell: Tell) -> tuple[int, int, float, Account]:
    """Watch the backlog go; return how much it was, how much went, how long, and the books."""
    waiting = _figures(here).waiting()
    tell(f"{waiting:,} wait; the broker is back")
    first = _forwarded(here)
    while _forwarded(here) == first:
        time.sleep(LOOK_S / 20)
    began_s, first = time.monotonic(), _forwarded(here)
    book.mark()
    told_s = began_s
    while (left := _figures(here).waiting()) > CAUGHT_UP:
        now_s = time.monotonic()
        assert now_s < began_s + DRAIN_TIMEOUT_S, f"{left} still wait"
        if now_s >= told_s + 10:
            told_s = now_s
            tell(f"{left:,} wait, {(_forwarded(here) - first) / (now_s - began_s):,.0f}/s")
        time.sleep(LOOK_S)
    drain_s = time.monotonic() - began_s
    return waiting, _forwarded(here) - first, drain_s, book.mark()


def _figures(here: World) -> Counters:
    return Counters(here.gateway.metrics())


def _forwarded(here: World) -> int:
    return _figures(here).total("edge_forwarded_total")


def rows(outcome: Outcome, plan: Plan) -> Iterator[Row]:
    """Write down what came out."""
    faults = outcome.closing.faults
    what = f"broker down until {plan.backlog:,} events wait (accepted flat out), then back"
    yield Row(
        what,
        f"drains at ≥ {DRAIN_MULTIPLE_MIN:g} times the live rate of {LIVE_PER_S:,}/s, "
        "oldest first, 0 lost",
        f"{outcome.waiting:,} waited, {outcome.multiple:.1f} times that for {outcome.drain_s:.0f} s, "
        f"{outcome.closing.found}",
        outcome.multiple >= DRAIN_MULTIPLE_MIN and not faults,
        faults,
    )
    yield Row(
        "verdicts while that backlog drains",
        f"p99 ≤ {P99_RATIO_MAX:g} times that of before and after",
        f"{outcome.p99_ratio:.2f} times ({outcome.p99s} ms)",
        outcome.p99_ratio <= P99_RATIO_MAX,
    )


def outage(scale: Scale, room: Path, tell: Tell, *, seed: int = SEED) -> Iterator[Row]:
    """A broker that is away for long, and the drain of what waited."""
    plan = PLANS[scale]
    tell(f"seed {seed}")
    try:
        class_path = jars.class_path()
    except jars.KafkaMissing as missing:
        tell(f"SKIPPED: {missing}")
        yield Row("a long outage", "drains", f"skipped: {missing}", is_reached=False)
        return
    home = room / "broker"
    home.mkdir()
    with Broker(home, class_path) as broker:
        yield from rows(endure(plan, room, broker, tell, seed=seed), plan)
