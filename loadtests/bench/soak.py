"""Does it grow? Millions of events through one gateway, and what it holds resident meanwhile.

Its tables have their default bounds and are full after the first half million events, at two
entries each; from then on nothing has a reason to grow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from loadtests.bench.generator import Loader
from loadtests.bench.scenario import LOADS
from loadtests.bench.subjects import Subject

MARK_EVENTS: Final = 500_000
PORTION_REQUESTS: Final = 1_000  # 30 MB of them in the generator at a time

_BATCH: Final = next(load for load in LOADS if load.name == "batch")


@dataclass(frozen=True, slots=True)
class Mark:
    """One look at it.

    Attributes:
        events: Accepted and forwarded so far.
        rss_bytes: Held resident then.
    """

    events: int
    rss_bytes: int


def soak(
    gateway: Subject, loader: Loader, events: int, mark_events: int = MARK_EVENTS
) -> Iterator[Mark]:
    """Send *events* and look at the gateway after each *mark_events*.

    Raises:
        GeneratorError: An answer was wrong.
        SubjectError: The gateway does not forward what it accepted.
    """
    sent = 0
    while sent < events:
        until = min(sent + mark_events, events)
        while sent < until:
            count = min(PORTION_REQUESTS, -(-(until - sent) // _BATCH.events))
            sent += loader.prepare(_BATCH.name, count=count)
            with loader.connected(gateway.public, _BATCH.connections), gateway.scraped():
                loader.send(accepts=True)
        gateway.cpu_when_forwarded_ns()
        yield Mark(sent, gateway.rss_bytes())


def growth(marks: list[Mark]) -> float:
    """Return by which share it grew from the first mark in the second half to the last."""
    half = marks[-1].events / 2
    first = next(mark for mark in marks if mark.events >= half)
    return marks[-1].rss_bytes / first.rss_bytes - 1
