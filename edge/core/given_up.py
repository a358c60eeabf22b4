"""Numbers that were refused for good, or shed: of each session those about its window.

A client does not send such an event again, so its number would be missing for ever. A mark says
that nobody waits for it. It is no more than that: the number stays free, and the mark goes when
an event comes that bears it after all.

Theory of operation
-------------------
The marks of a session are one integer: the highest marked number, and above that one bit for
each number below it that is marked (bit 0 is the next lower one). Marks stand within a window's
length of the highest number that the session's window knows, above or below; so an integer has
at most twice as many bits. What lies further off is not kept: below the window every number is
done, and far above it a client that jumps would buy memory with refusals.

Marks are in memory only. To lose them costs a client nothing but a wider ``missing``: it knows
the verdicts it was told.
"""

from collections import OrderedDict
from typing import Final

from edge.core.attributes import SEQ_MAX

SESSIONS_MAX: Final = 1 << 14
"""Sessions with marks, at most 0.5 KiB each. Full: the marks of the one go that was given none
for longest."""

_TOP_BITS: Final = SEQ_MAX.bit_length()
_TOP_MASK: Final = (1 << _TOP_BITS) - 1


class GivenUp:
    """The marks of all sessions.

    Args:
        reach: How far a window reaches, in numbers.
        sessions_max: Bound of sessions with marks, at least 1.

    Attributes:
        marks: By session; for a look whether it has any, which a call would make four times as
            long.
    """

    def __init__(self, reach: int, sessions_max: int = SESSIONS_MAX) -> None:
        self._reach = reach
        self._sessions_max = sessions_max
        self.marks: Final[OrderedDict[int, int]] = OrderedDict()

    def __len__(self) -> int:
        """Count the sessions that have marks."""
        return len(self.marks)

    def add(self, session: int, seq: int, highest: int) -> None:
        """Mark one number.

        Args:
            session: Whose.
            seq: Not marked where it is out of reach.
            highest: Of the numbers that the session's window knows; 0 if there is none.
        """
        if not self._reaches(highest, seq):
            return
        marks = self.marks.pop(session, 0)
        if not self._reaches(highest, marks & _TOP_MASK):
            marks = 0
        if not marks and len(self.marks) >= self._sessions_max:
            self.marks.popitem(last=False)
        self.marks[session] = self._marked(marks, seq) if marks else seq

    def drop(self, session: int, seq: int) -> None:
        """Take back the mark of one number, if it has one."""
        marks = self.marks.get(session, 0)
        top, lower = marks & _TOP_MASK, marks >> _TOP_BITS
        if seq < top:
            if top - seq <= lower.bit_length():
                lower &= ~(1 << (top - seq - 1))
            self.marks[session] = lower << _TOP_BITS | top
        elif seq == top:
            if lower:
                steps = (lower & -lower).bit_length()
                self.marks[session] = lower >> steps << _TOP_BITS | top - steps
            else:
                del self.marks[session]

    def top(self, session: int) -> int:
        """Return the highest marked number, in reach or not; 0 if there is none."""
        return self.marks.get(session, 0) & _TOP_MASK

    def fill(self, session: int, highest: int, missing: int) -> tuple[int, int]:
        """Count marked numbers as done.

        Args:
            session: Whose.
            highest: The highest done number; 0 if there is none.
            missing: One bit for each number below it that is not done; bit 0 is the next lower
                one.

        Returns:
            Both anew.
        """
        marks = self.marks.get(session, 0)
        top = marks & _TOP_MASK
        if not marks or not self._reaches(highest, top):
            return highest, missing
        if top > highest:
            ahead = top - highest
            missing = missing << ahead | (1 << (ahead - 1)) - 1
            highest = top
        # The highest one's own bit would be bit -1.
        done = (marks >> _TOP_BITS << 1 | 1) << (highest - top) >> 1
        return highest, missing & ~done

    def _reaches(self, highest: int, seq: int) -> bool:
        return -self._reach <= seq - highest <= self._reach

    def _marked(self, marks: int, seq: int) -> int:
        top, lower = marks & _TOP_MASK, marks >> _TOP_BITS
        if seq > top:
            lower = (lower << 1 | 1) << (seq - top - 1) & (1 << 2 * self._reach) - 1
            return lower << _TOP_BITS | seq
        if seq < top:
            lower |= 1 << (top - seq - 1)
        return lower << _TOP_BITS | top
