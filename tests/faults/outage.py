"""A long outage: the broker is down, events are accepted all the same, and then it comes back.

*Theory of operation.* First the ledger talks at the live rate while the broker is up, which
gives the usual p99. Then the broker stops, a backlog is accepted (flat out: what waits is the
same, and it takes minutes instead of half an hour), and the ledger talks at the live rate again.
The broker starts; time starts with the first record that reaches it, and ends when hardly anything
waits. All that reaches it meanwhile counts, the live events of that time included, and verdicts are
timed. Afterwards the usual p99 is taken once more, so that before and after stand
around the drain in one run. In the end the books are compared: oldest first, key by key.
"""

import math
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
FLAT_OUT: Final = Shape(services=12, players=8, batch=20)

DRAIN_MULTIPLE_MIN: Final = 3.0
P99_RATIO_MAX: Final = 1.25
TENTH_MAX_S: Final = 300.0
"""For a tenth of the backlog to be accepted; longer, and it is refused. At 2,000 a second a tenth
of the full one takes 180 s."""

LOOK_S: Final = 5.0  # each look at the metrics costs the gateway some milliseconds
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
        live_per_s: Events a second, but while the backlog is accepted.
        backlog: Events accepted while the broker is down.
        usual_s: How long the usual p99 is taken, before and after.
        drain_max_s: How long the drain may take; longer is no drain.
        is_timed: Whether figures of speed are goals; else they are only told.
    """

    live_per_s: int
    backlog: int
    usual_s: float
    drain_max_s: float
    is_timed: bool

    @property
    def live(self) -> Shape:
        """Who talks at the live rate: whoever talks flat out."""
        return replace(FLAT_OUT, per_s=self.live_per_s)

    @property
    def caught_up(self) -> int:
        """How many records wait at most while all is well: a second's."""
        return self.live_per_s


PLANS: Final[Mapping[Scale, Plan]] = {
    # A tenth of what a gateway under coverage forwards on a core that it shares.
    Scale.SHORT: Plan(
        live_per_s=200, backlog=4_000, usual_s=1, drain_max_s=240, is_timed=False
    ),
    Scale.FULL: Plan(
        live_per_s=2_000, backlog=30 * 60 * 2_000, usual_s=60, drain_max_s=1800, is_timed=True
    ),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an outage came to.

    Attributes:
        waiting: Records that waited when the broker came back.
        drained: Records that reached it until hardly anything waited, live ones included.
        drain_s: From the first of them to the last.
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
    def drained_per_s(self) -> float:
        """What reached the broker."""
        return self.drained / self.drain_s

    @property
    def p99_ratio(self) -> float:
        """The p99 of verdicts during the drain, against the mean of before and after."""
        before, during, after = (
            each.p99_ms or math.nan for each in (self.before, self.during, self.after)
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
        book.begin(here.gateway.public, plan.live)
        time.sleep(plan.usual_s / 4)  # the first requests of all find everything cold
        before = _usual(book, plan)
        tell(f"usually p99 {before.p99_ms or math.nan:.1f} ms; the broker leaves")
        broker.stop()
        accept(here, book, plan, tell)
        book.begin(here.gateway.public, plan.live)
        broker.start()
        waiting, drained, drain_s, during = _drain(here, book, plan, tell)
        after = _usual(book, plan)
        url = f"kafka://{broker.bootstrap}"
        closing = close_books(here, book, url, owed_min=plan.backlog)
        return Outcome(waiting, drained, drain_s, before, during, after, closing)


def _usual(book: Ledger, plan: Plan) -> Account:
    book.mark()
    time.sleep(plan.usual_s)
    return book.mark()


def accept(here: World, book: Ledger, plan: Plan, tell: Tell) -> None:
    """Have the backlog accepted as fast as the gateway does it, the broker being down.

    Raises:
        AssertionError: A tenth of it takes longer than :data:`TENTH_MAX_S`.
    """
    accepted = book.begin(here.gateway.public, FLAT_OUT).accepted
    wanted, told = accepted + plan.backlog, accepted
    end_s = time.monotonic() + TENTH_MAX_S
    while (accepted := book.mark().accepted) < wanted:
        assert time.monotonic() < end_s, f"{wanted - accepted:,} events are not accepted"
        time.sleep(LOOK_S / 4)
        if accepted - told >= plan.backlog // 10:
            told, end_s = accepted, time.monotonic() + TENTH_MAX_S
            tell(f"{accepted:,} accepted, {_figures(here).waiting():,} wait")
    book.rest()


def _drain(
    here: World, book: Ledger, plan: Plan, tell: Tell
) -> tuple[int, int, float, Account]:
    """Watch the backlog go; return how much it was, how much went, how long, and the books."""
    waiting = _figures(here).waiting()
    tell(f"{waiting:,} wait; the broker is back")
    first, end_s = _forwarded(here), time.monotonic() + plan.drain_max_s
    while _forwarded(here) == first:
        assert time.monotonic() < end_s, "nothing is forwarded"
        time.sleep(LOOK_S / 20)
    began_s = told_s = time.monotonic()
    book.mark()
    while (left := _figures(here).waiting()) > plan.caught_up:
        now_s = time.monotonic()
        assert now_s < end_s, f"{left} still wait"
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
    multiple = outcome.drained_per_s / plan.live_per_s
    what = f"broker down until {plan.backlog:,} events wait (accepted flat out), then back"
    yield Row(
        what,
        f"from the first record on it gets ≥ {DRAIN_MULTIPLE_MIN:g} times the live rate of "
        f"{plan.live_per_s:,}/s, live events included; oldest first, 0 lost",
        f"{outcome.waiting:,} waited, {multiple:.1f} times that for {outcome.drain_s:.0f} s, "
        f"{outcome.closing.found}",
        (multiple >= DRAIN_MULTIPLE_MIN or not plan.is_timed) and not faults,
        faults,
    )
    yield Row(
        "verdicts while that backlog drains",
        f"p99 ≤ {P99_RATIO_MAX:g} times that of before and after",
        f"{outcome.p99_ratio:.2f} times ({outcome.p99s} ms)",
        outcome.p99_ratio <= P99_RATIO_MAX or not plan.is_timed,
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
