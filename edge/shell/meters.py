"""The numbers this process counts while it works; plain integers, read when scraped.

prometheus-client's own counters take a lock and a label look-up for each event, several
times what counting costs here; so the hot path adds to these and
:mod:`edge.shell.metrics` translates them when somebody asks. Loop thread only.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from edge.core.instant import NS_PER_S
from edge.core.verdict import UNREAD, Tally, Verdict

LATENCY_BOUNDS_S: Final = (
    0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0,
)  # fmt: skip
"""From a sync on a fast disk to ``spool.sync_timeout_s``, three bounds per decade."""


class Histogram:
    """Durations counted by upper bound.

    Args:
        bounds_s: Inclusive upper bounds, s, ascending.
    """

    def __init__(self, bounds_s: Sequence[float] = LATENCY_BOUNDS_S) -> None:
        self._bounds_ns = [round(bound * NS_PER_S) for bound in bounds_s]
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self._sum_ns = 0

    def observe(self, duration_ns: int) -> None:
        """Count one duration, ns."""
        self._counts[bisect_left(self._bounds_ns, duration_ns)] += 1
        self._sum_ns += duration_ns

    def buckets(self) -> list[tuple[str, float]]:
        """Return cumulative counts by bound, as Prometheus wants them; the last is +Inf."""
        names = [*(str(bound) for bound in self._bounds_s), "+Inf"]
        total = 0
        rows: list[tuple[str, float]] = []
        for name, count in zip(names, self._counts, strict=True):
            total += count
            rows.append((name, total))
        return rows

    @property
    def sum_s(self) -> float:
        """All durations together, s."""
        return self._sum_ns / NS_PER_S


class Meters:
    """Everything the doors count.

    Attributes:
        received: Events by lane; ``none`` for those that could not be read that far.
        outcomes: Events by what became of them.
        requests_refused: Whole requests by code, or ``http_<status>`` where there is none; of
            sockets, texts and tokens by code, and those that found no turn as ``overloaded``.
        verdict_seconds: From a request's head to its answer, or from a frame to its last verdict.
        loop_lag_seconds: How late the event loop wakes.
    """

    def __init__(self) -> None:
        # What is counted for each event is no Counter: to write to one is a call in Python.
        self.received: defaultdict[str, int] = defaultdict(int)
        self.outcomes: defaultdict[Tally, int] = defaultdict(int)
        self.requests_refused: Counter[str] = Counter()
        self.verdict_seconds = Histogram()
        self.loop_lag_seconds = Histogram()

    def receive(self, verdicts: Sequence[Verdict]) -> None:
        """Count events when they are judged, before their syncs."""
        if len(verdicts) == 1:
            self.received[verdicts[0].lane or UNREAD] += 1
        else:  # a list is counted in C: 3 µs for 50 events instead of 6
            lanes = Counter([verdict.lane or UNREAD for verdict in verdicts])
            for lane, count in lanes.items():
                self.received[lane] += count

    def count_received(self) -> int:
        """Tell how many events were judged so far. Any thread."""
        return sum(list(self.received.values()))  # copied at once: a new lane may be added

    def conclude(self, tallies: Mapping[Tally, int]) -> None:
        """Count events when their verdicts are final."""
        for tally, count in tallies.items():
            self.outcomes[tally] += count
