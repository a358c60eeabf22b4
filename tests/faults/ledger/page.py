"""What the ledger writes down of one voice: a byte per event and a time per batch.

Owns the claims and the obligations. The numbers of a voice run on without a gap; a batch is a
whole run of them, and the next is claimed when each of the last has its verdict.
"""

from array import array
from typing import Final

CLAIMED: Final = 0
OWED: Final = 1
REFUSED: Final = 2


class Page:
    """One voice's events.

    Attributes:
        batch: Events that are claimed together.
        verdicts: By number: ``CLAIMED``, ``OWED`` or ``REFUSED`` (for good, shed included).
        stamps_ms: By batch: the ``time`` of its events, unix ms.
        is_torn: By batch: whether some of it was put off, so that its events came to be
            accepted in several turns.
        settled: Every number below has its verdict.
    """

    __slots__ = ("batch", "is_torn", "settled", "stamps_ms", "verdicts")

    def __init__(self, batch: int) -> None:
        self.batch = batch
        self.verdicts = bytearray()
        self.stamps_ms = array("q")
        self.is_torn = bytearray()
        self.settled = 0

    @property
    def claimed(self) -> int:
        """How many numbers there are."""
        return len(self.verdicts)

    def claim(self, unix_ms: int) -> list[int]:
        """Write down that the next batch is about to be sent; return its numbers."""
        assert self.settled == self.claimed, "one batch at a time"
        first = self.claimed
        self.verdicts.extend(bytes(self.batch))
        self.stamps_ms.append(unix_ms)
        self.is_torn.append(0)
        return list(range(first, first + self.batch))

    def settle(self) -> None:
        """Note that the batch under way has all its verdicts."""
        self.settled = self.claimed

    def stamp_ms(self, number: int) -> int:
        """When the event was said."""
        return self.stamps_ms[number // self.batch]

    @property
    def owes_all(self) -> bool:
        """Whether there is something here, all of it accepted."""
        return self.claimed > 0 and self.verdicts.count(OWED) == self.claimed

    def is_ordered(self, number: int, other: int) -> bool:
        """Whether *other*, said before *number*, must lie before it."""
        ours, theirs = number // self.batch, other // self.batch
        return other < number and (theirs < ours or not self.is_torn[ours])
