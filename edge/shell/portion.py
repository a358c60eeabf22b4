"""How much of a backlog one lane sends at once: no more than its pace needs.

In: how long publishing took, and the rest after it; out: how many records of the next batch go
together.

Theory of operation
-------------------
Whoever sends events meanwhile feels each portion, so it is small. But a publish takes a round
trip however little it carries: at a distance of 100 ms small portions would stay far behind the
pace. A portion that needed no rest was late, or just in time: the next is twice as large. One
that had a rest shows how large it had to be for none to be left. The portions of a batch are
even, because a short last one would take as long as the others.
"""

import math
from typing import Final

from edge.shell.deliver import BATCH_RECORDS_MAX

PORTION_RECORDS_MIN: Final = 256
"""Producer, compressor and broker are busy with that for 2 ms, and whoever wants a verdict
meanwhile waits no longer."""


class Portion:
    """The portions of one lane. One thread: its forwarder.

    The first batch goes whole: that there is a pace to keep is known from then on.
    """

    def __init__(self) -> None:
        self._least = BATCH_RECORDS_MAX
        self._published = 0
        self._publishes = 0
        self._took_s = 0.0
        self._rested_s = 0.0

    def records_max(self, records: int) -> int:
        """Return how many of a batch of so many *records* go at once."""
        if self._publishes:
            self._learn()
        if self._least == PORTION_RECORDS_MIN:
            return PORTION_RECORDS_MIN
        return math.ceil(records / max(1, records // self._least))

    def note(self, records: int, took_s: float, rest_s: float) -> None:
        """Take note that *records* were published in *took_s*, and what rest was due then, s."""
        self._published += records
        self._publishes += 1
        self._took_s += took_s
        self._rested_s += rest_s

    def _learn(self) -> None:
        """Draw the conclusion from the batch before."""
        least = 2 * self._least
        if self._rested_s:
            share = self._took_s / (self._took_s + self._rested_s)
            least = math.ceil(share * self._published / self._publishes)
        self._least = min(max(least, PORTION_RECORDS_MIN), BATCH_RECORDS_MAX)
        self._published, self._publishes, self._took_s, self._rested_s = 0, 0, 0.0, 0.0
