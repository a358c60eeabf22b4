"""From what was measured to what is told: percentiles, medians, ratios."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Slice:
    """One subject under one load in one round.

    Attributes:
        requests: Sent and answered.
        events: In them.
        elapsed_ns: From the first byte to the last answer.
        cpu_ns: Of the whole server process, until everything was forwarded.
        latencies_ns: Of each request, ascending.
        rss_bytes: Held at the end.
    """

    requests: int
    events: int
    elapsed_ns: int
    cpu_ns: int
    latencies_ns: Sequence[int]
    rss_bytes: int

    @property
    def requests_per_s(self) -> float:
        """As answered."""
        return self.requests * NS_PER_S / self.elapsed_ns

    @property
    def events_per_s(self) -> float:
        """As answered."""
        return self.events * NS_PER_S / self.elapsed_ns

    @property
    def events_per_cpu_s(self) -> float:
        """As paid for."""
        return self.events * NS_PER_S / self.cpu_ns


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over all rounds.

    Attributes:
        median: What is told.
        low: A quarter of the rounds is not above it.
        high: A quarter is not below it.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Take at least one value."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


def ratio(ours: Sequence[Slice], theirs: Sequence[Slice]) -> Spread:
    """Divide events per CPU-second, round by round."""
    pairs = zip(ours, theirs, strict=True)
    return Spread.of([one.events_per_cpu_s / other.events_per_cpu_s for one, other in pairs])


def percentile(ascending: Sequence[int], share: float) -> int:
    """Return the least value that is not exceeded by *share* of them (nearest rank).

    Args:
        ascending: At least one value.
        share: Above 0, up to 1.
    """
    rank = -int(-share * len(ascending) // 1)
    return ascending[max(rank, 1) - 1]


def percentile_ms(rounds: Sequence[Sequence[int]], share: float) -> float:
    """Return the median over *rounds* of their percentile, in ms; each ascending, in ns."""
    return statistics.median(percentile(each, share) for each in rounds) / 1e6
