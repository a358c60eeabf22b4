"""Which numbers of a session were seen: every session's window, and what is still pending.

Theory of operation
-------------------
The durable half of a session is one integer: its highest accepted number, and above that 1,024
bits, one for each number below the highest that has *not* come (bit 0 is the next lower one). A
session whose numbers came in order has no such bit, so its window is a small integer, 32 bytes
however long it played. A session nobody knows is 0: "highest 0, nothing missing".

Numbers whose commit is not settled lie apart, per session, each with the commits that carry it.
To settle is to move a number over, or to drop it: a jump to 2^31 - 1 that fails leaves nothing
to be undone, because the window never moved. For the same reason only the durable highest says
what is below the window: nothing is refused for good on the strength of what may yet fail.

Windows are kept in two generations: used ones move to the young, and when that is full the old
one is dropped. So at least the half of ``sessions_max`` used last is remembered, and never more
than all of it. Eviction touches only windows; pending numbers are bounded by what may be
pending, and settle into a window that is then begun anew, as an unknown session's is. The
table is cut into shards, because a dict of 100,000 sessions takes 5 ms and more to grow or to
free.
"""

import enum
from collections.abc import Iterable, Sequence
from typing import Final

from edge.core.given_up import GivenUp
from edge.core.record import Commit

WINDOW: Final = 1024  # numbers below the highest: design.md §3a rule 4

_HIGHEST_BITS: Final = 31  # numbers end at 2^31 - 1: catalogue.md
_HIGHEST_MASK: Final = (1 << _HIGHEST_BITS) - 1
_MISSING_MASK: Final = (1 << WINDOW) - 1
_SHARD_SESSIONS: Final = 16384  # a generation of half of it grows and is freed in 0.3 ms


class Standing(enum.StrEnum):
    """How a number stands to those its session had before.

    The value of the first three is the flag that an accepted event carries; empty is none.
    """

    IN_ORDER = ""
    LATE = "late"
    SEQ_GAP = "seq_gap"
    SEEN = "seen"
    TOO_OLD = "too_old"


_IN_ORDER: Final = Standing.IN_ORDER  # a module's name is read faster than an enum's member


class Sessions:
    """All sessions of this process.

    Args:
        sessions_max: Bound of remembered sessions, at least 2; longest unused out first. One
            takes about 120 bytes, and 170 more with numbers missing.

    Attributes:
        given_up: Marks on numbers that nobody waits for; none is on a pending one.
    """

    def __init__(self, sessions_max: int) -> None:
        shards = 1 << (sessions_max // _SHARD_SESSIONS).bit_length()
        self._shards = [_Shard(max(sessions_max // shards // 2, 1)) for _ in range(shards)]
        self._mask = shards - 1
        self._pending: dict[int, Pending] = {}
        self.given_up = GivenUp(WINDOW)

    def __len__(self) -> int:
        """Count the windows."""
        return sum(len(shard.young) + len(shard.old) for shard in self._shards)

    def stand(self, session: int, seq: int) -> Standing:
        """Say how *seq* stands in its session, and change nothing."""
        window = self._shards[session & self._mask].window(session)
        top = window & _HIGHEST_MASK
        if top - seq > WINDOW:
            return Standing.TOO_OLD
        if _has(window, seq):
            return Standing.SEEN
        pending = self._pending.get(session)
        if pending is not None:
            if seq in pending.commits:
                return Standing.SEEN
            top = max(top, pending.highest())
        if seq == top + 1:
            return _IN_ORDER
        return Standing.SEQ_GAP if seq > top else Standing.LATE

    def carrier(self, session: int, seq: int) -> Commit | None:
        """Return the commit on which a seen number waits; ``None`` if it is durable."""
        if _has(self._shards[session & self._mask].window(session), seq):
            return None
        return self._pending[session].commits[seq][0]

    def mark(self, session: int, seq: int) -> None:
        """Count *seq* as seen, durably."""
        shard = self._shards[session & self._mask]
        shard.keep(session, _mark(shard.window(session), seq))

    def mark_many(self, sessions: Iterable[int], seqs: Iterable[int]) -> None:
        """Count numbers as seen, as :meth:`mark` would one after the other; 0 is no number.

        In a session that is known, as nearly always, it makes no calls: half the time.
        """
        shards, mask = self._shards, self._mask
        for session, seq in zip(sessions, seqs, strict=True):
            if not seq:
                continue
            shard = shards[session & mask]
            window = shard.young.get(session, 0)
            ahead = seq - (window & _HIGHEST_MASK)
            if 0 < ahead <= WINDOW and window:
                missing = window >> _HIGHEST_BITS << ahead | (1 << ahead - 1) - 1
                shard.young[session] = (missing & _MISSING_MASK) << _HIGHEST_BITS | seq
            elif -WINDOW <= ahead < 0:
                bit = 1 << _HIGHEST_BITS - 1 - ahead
                if window & bit:
                    shard.young[session] = window ^ bit
            else:
                shard.keep(session, _mark(shard.window(session), seq))

    def mark_pending(self, session: int, seq: int, commit: Commit) -> bool:
        """Count *seq* as seen if *commit* holds; return whether that is news to this commit."""
        if session in self.given_up.marks:
            self.given_up.drop(session, seq)
        pending = self._pending.get(session)
        if pending is None:
            pending = self._pending[session] = Pending()
        return pending.add(seq, commit)

    def settle(self, session: int, seq: int, commit: Commit, *, held: bool) -> None:
        """Make one pending number of *commit* durable, or as if it had never come."""
        if held:
            self.mark(session, seq)
        pending = self._pending[session]
        pending.remove(seq, commit)
        if not pending.commits:
            del self._pending[session]

    def remembered(self, session: int) -> "tuple[int, int, Pending | None]":
        """Return the highest durable number, what is missing below it, and what is pending.

        Of the highest, 0 stands for none; missing are bits, as in the window; ``None`` if
        nothing is pending.
        """
        window = self._shards[session & self._mask].window(session)
        return window & _HIGHEST_MASK, window >> _HIGHEST_BITS, self._pending.get(session)


class _Shard:
    """Some of the windows, in two generations of at most *half*."""

    __slots__ = ("_half", "old", "young")

    def __init__(self, half: int) -> None:
        self._half = half
        self.young: dict[int, int] = {}
        self.old: dict[int, int] = {}

    def window(self, session: int) -> int:
        window = self.young.get(session)
        return self.old.get(session, 0) if window is None else window

    def keep(self, session: int, window: int) -> None:
        if session not in self.young:
            if len(self.young) >= self._half:
                self.old, self.young = self.young, {}
            self.old.pop(session, None)
        self.young[session] = window


class Pending:
    """The numbers of one session that are not settled, each with those who carry it.

    One number has two carriers when its event is a duplicate of what waits in another commit.

    Attributes:
        commits: By number, its carriers, oldest first.
    """

    __slots__ = ("_floor", "_highest", "commits")

    def __init__(self) -> None:
        self.commits: dict[int, tuple[Commit, ...]] = {}
        self._highest = 0
        self._floor = _HIGHEST_MASK  # no pending number is lower; some time ago one was as low

    def highest(self) -> int:
        """Return the highest pending number; after its removal it is looked for once."""
        if not self._highest:
            self._highest = max(self.commits)
        return self._highest

    def below(self, bound: int) -> Sequence[int]:
        """Return the pending numbers below *bound*, which is looked for once per window."""
        if self._floor >= bound:
            return ()
        self._floor = min(self.commits)
        return [seq for seq in self.commits if seq < bound]

    def add(self, seq: int, commit: Commit) -> bool:
        """Have *commit* carry *seq*; return whether that is news to it."""
        carriers = self.commits.get(seq, ())
        for carrier in carriers:
            if carrier is commit:
                return False
        self.commits[seq] = (*carriers, commit)
        if seq > self._highest > 0:
            self._highest = seq
        if seq < self._floor:  # noqa: PLR1730  # a call of min costs more than all the rest
            self._floor = seq
        return True

    def remove(self, seq: int, commit: Commit) -> None:
        """Have *commit* carry *seq* no longer."""
        carriers = self.commits.pop(seq)
        if len(carriers) > 1:
            self.commits[seq] = tuple(each for each in carriers if each is not commit)
        elif seq == self._highest:
            self._highest = 0


def _has(window: int, seq: int) -> bool:
    """Whether *seq*, which is not below the window, was seen durably."""
    below = (window & _HIGHEST_MASK) - seq
    if below <= 0:
        return below == 0
    return not window >> (_HIGHEST_BITS + below - 1) & 1


def _mark(window: int, seq: int) -> int:
    """Return the window with *seq* seen; a number below it changes nothing."""
    highest, missing = window & _HIGHEST_MASK, window >> _HIGHEST_BITS
    ahead = seq - highest
    if ahead > WINDOW:
        return _MISSING_MASK << _HIGHEST_BITS | seq
    if ahead > 0:
        # The old highest was seen: its bit stays clear, those between the two are set.
        missing = (missing << ahead | (1 << (ahead - 1)) - 1) & _MISSING_MASK
        return missing << _HIGHEST_BITS | seq
    if -WINDOW <= ahead < 0:
        missing &= ~(1 << (-ahead - 1))
    return missing << _HIGHEST_BITS | highest
