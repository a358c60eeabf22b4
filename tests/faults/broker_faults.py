"""A gateway under steady load while its broker suffers everything that brokers suffer.

*Theory of operation.* The ledger talks to one gateway, which forwards to a real Kafka through
our proxy. One fault after another is done to broker, topics or connections, in an order drawn
from the seed; while it lasts readiness must name its cause and stay ready, and after it is
mended the gateway must be forwarding again, without a restart, before the next one comes. In
the end all that was accepted is compared with what lies in the topics, and with what lay in
those that were deleted.
"""

import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.broker_kinds import (
    CUTTING,
    SHARED,
    SHARES,
    Kind,
    cut_answers,
    fail_what_is_written,
)
from tests.faults.broker_stage import (
    NotRecoveredError,
    Stage,
    make_topics_apart,
    stage,
)
from tests.faults.closing import Closing, close_books
from tests.faults.ledger import Allowed, Findings
from tests.faults.row import Row, Scale, Tell
from tests.kafka import jars
from tests.kafka.broker import Broker

SEED: Final = 20_261_124
EVENTS_MIN: Final = 50  # accepted for each fault, which takes a second at least
PROGRESS_EVERY: Final = 10
WHAT: Final = "broker faults of {} kinds on a real Kafka, under load"
GOAL: Final = (
    "{} faults: 0 lost, 0 inversions per key, 0 duplicates but by (`edgespool`, `edgeseq`); "
    "each cause told, always ready"
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a sequence of faults came to.

    Attributes:
        done: How many of each kind.
        told: How often readiness told of a cause.
        slowest_s: The longest recovery.
        closing: What the books say.
        faults: What must not have happened, in words.
    """

    done: Counter[str]
    told: Counter[str]
    slowest_s: float
    closing: Closing
    faults: tuple[str, ...]


def sequence(scale: Scale, seed: int) -> list[Kind]:
    """Return the kinds to go through, in their order."""
    if scale is Scale.SHORT:
        return list(SHARED)
    kinds = list(Counter[Kind](SHARES).elements())
    random.Random(seed).shuffle(kinds)  # noqa: S311  # replayable, no secret
    return kinds


def endure(scale: Scale, room: Path, broker: Broker, tell: Tell, *, seed: int) -> Outcome:
    """Do all kinds to a running broker that has its topics, and compare the books."""
    kinds = sequence(scale, seed)
    done: Counter[str] = Counter()
    slowest_s = 0.0
    with stage(room, broker, seed, tell, scale) as on:
        for number, kind in enumerate(kinds, 1):
            began_s, before = time.monotonic(), len(on.faults)
            made, cuts = on.proxy.made, on.proxy.cuts
            try:
                kind(on)
                if kind in CUTTING:
                    on.wait_until_cut(made, cuts + (kind is cut_answers))
                recovered_s = on.recover()
            except NotRecoveredError as error:
                on.faults.append(f"after {kind.__name__}: {error}")
                break
            slowest_s = max(slowest_s, recovered_s)
            done[kind.__name__] += 1
            on.faults[before:] = [f"{number}, {kind.__name__}: {f}" for f in on.faults[before:]]
            took_s = time.monotonic() - began_s
            if number % PROGRESS_EVERY == 0 or len(kinds) < PROGRESS_EVERY:
                tell(f"{number} {kind.__name__} {took_s:.1f} s, {_progress(on)}")
        closing = _close(on, len(kinds))
        on.faults += undone(done, closing.findings)
        return Outcome(done, on.told, slowest_s, closing, (*on.faults, *closing.faults))


def undone(done: Counter[str], findings: Findings) -> list[str]:
    """Tell of faults that left no trace, and so were none."""
    is_written_twice = findings.repeated > 0 or not done[fail_what_is_written.__name__]
    return [] if is_written_twice else ["what was written and denied does not lie there twice"]


def _progress(on: Stage) -> str:
    account = on.book.mark()
    return f"{account.accepted:,} accepted, {account.refused or 'nothing'} refused"


def _close(on: Stage, count: int) -> Closing:
    """Compare the books: with the deleted topics first, then with those that are there."""
    origins: tuple[str | Path, ...] = (
        *on.gone,
        f"kafka://{on.broker.bootstrap}",
        f"dead:{on.here.spool}",
    )
    owed_min, others = EVENTS_MIN * count, Allowed(strangers=True)
    closing = close_books(on.here, on.book, *origins, owed_min=owed_min, allowed=others)
    on.check_neighbours()
    own = len(on.large) + len(on.neighbours)
    if closing.findings.strays != own:
        on.faults.append(f"{closing.findings.strays - own} records of nobody's")
    return closing


def row(outcome: Outcome, wanted: Mapping[Kind, int] | Sequence[Kind]) -> Row:
    """Write down what came out."""
    count = len(wanted) if isinstance(wanted, Sequence) else sum(wanted.values())
    return Row(
        WHAT.format(len(set(wanted))),
        GOAL.format(count),
        f"{outcome.done.total()} faults, {outcome.closing.found}, "
        f"{outcome.told.total()} causes told, slowest recovery {outcome.slowest_s:.1f} s",
        outcome.done.total() == count and not outcome.faults,
        outcome.faults,
    )


def broker_faults(scale: Scale, room: Path, tell: Tell, *, seed: int = SEED) -> Iterator[Row]:
    """Broker faults on a real Kafka, under load."""
    kinds = sequence(scale, seed)
    tell(f"seed {seed}")
    try:
        class_path = jars.class_path()
    except jars.KafkaMissing as missing:
        tell(f"SKIPPED: {missing}")
        yield Row(WHAT.format(len(set(kinds))), GOAL.format(len(kinds)), f"skipped: {missing}",
                  is_reached=False)  # fmt: skip  # one row
        return
    home = room / "broker"
    home.mkdir()
    with Broker(home, class_path) as broker:
        make_topics_apart(broker)
        yield row(endure(scale, room, broker, tell, seed=seed), kinds)
