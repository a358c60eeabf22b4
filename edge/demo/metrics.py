"""Whether a gateway's own counters add up: the two identities it promises.

In: the text of ``/metrics``. Out: what does not add up, in words.

Source: design.md §10, "Metrics".
"""

from collections import defaultdict
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

RECEIVED: Final = "edge_events_received_total"
OUTCOMES: Final = "edge_events_total"
LATE: Final = "edge_late_durable_total"
WAITING: Final = "edge_spool_records"
CAME_IN: Final = (LATE, "edge_spool_records_at_start")
WENT_OUT: Final = ("edge_forwarded_total", "edge_dead_total", "edge_quarantined_total", WAITING)


class Counters:
    """One reading of a gateway's metrics, summed up by name and lane."""

    def __init__(self, text: str) -> None:
        self._sums: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._accepted: defaultdict[str, float] = defaultdict(float)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                lane = sample.labels.get("lane", "")
                self._sums[sample.name, lane] += sample.value
                if sample.name == OUTCOMES and sample.labels["outcome"] == "accepted":
                    self._accepted[lane] += sample.value

    def total(self, name: str) -> int:
        """Add up one metric over all lanes."""
        return int(sum(count for (each, _), count in self._sums.items() if each == name))

    def of(self, name: str, lane: str) -> int:
        """Tell one metric of one lane; 0 where there is none."""
        return int(self._sums[name, lane])

    def waiting(self) -> int:
        """How many records still wait for the origin, all lanes together."""
        return self.total(WAITING)

    def imbalances(self) -> list[str]:
        """Name every lane whose books do not balance; true only when nothing is pending."""
        found: list[str] = []
        for lane in sorted({lane for name, lane in self._sums if name in {RECEIVED, WAITING}}):
            received, told = self._sums[RECEIVED, lane], self._sums[OUTCOMES, lane]
            if received != told:
                found.append(f"{lane}: received {received:.0f}, told {told:.0f}")
            came = self._accepted[lane] + sum(self._sums[name, lane] for name in CAME_IN)
            went = sum(self._sums[name, lane] for name in WENT_OUT)
            if came != went:
                found.append(f"{lane}: came in {came:.0f}, went out {went:.0f}")
        return found
