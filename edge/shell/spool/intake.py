"""Where accepted events of one lane gather for their next sync, and learn how it went.

Theory of operation
-------------------
Group commit without a timer: an append joins the commit that is filling; the lane's writer
takes the whole of it when it is done with the one before. So whatever arrives during one sync
shares the next, and an idle lane syncs at once.

A commit is settled on the loop, in order: first the callback (recall learns), then the waiters
(doors answer). One that takes longer than ``spool.sync_timeout_s`` is overdue: its waiters are
told so, and until it is settled the lane takes nothing more, because more would only wait.

Loop thread: ``start``, ``append``, ``is_overdue``, ``late_durable``, ``sync_seconds``. Writer
thread: ``take``, ``report``. The rest: any.
"""

import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from edge.core.frame import FRAME_BYTES_MAX, FRAME_BYTES_MIN, size
from edge.core.instant import NS_PER_S
from edge.core.lane import Lane
from edge.core.record import Record
from edge.core.reject import Reason, Reject
from edge.shell.meters import Histogram
from edge.shell.spool.budget import FULL_RETRY_AFTER_NS, Budget
from edge.shell.spool.commit import Commit, Synced
from edge.shell.spool.segment import Bounds

FAILED_RETRY_AFTER_NS: Final = 1 * NS_PER_S
"""A failed lane is probed every second."""

RESERVED_BYTES: Final = 64 << 10
"""Of the budget, taken at once for the records of one commit, the rest given back when it is
closed: an append costs 0.5 µs instead of 0.8."""

BUSY_RETRY_AFTER_NS: Final = 1 * NS_PER_S
"""A commit is full because one sync is slow; it takes seconds at most, or is overdue."""


class Loop(Protocol):
    """What an intake needs of the event loop."""

    def time(self) -> float:
        """Tell the loop's clock, s."""
        ...

    def call_at(self, when: float, callback: Callable[[], object], /) -> object:
        """Call later, on the loop."""
        ...

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> object:
        """Call soon, on the loop, from any thread."""
        ...


class Intake:
    """One lane's door into its spool.

    Attributes:
        lane: Which.
        is_overdue: A sync has taken too long and is not over yet.
        late_durable: Records whose waiters were told that, and that were durable later.
        sync_seconds: How long writing and syncing a commit takes.
        is_closed: Nothing is taken any more; what is filling still gets its sync.
    """

    def __init__(
        self, lane: Lane, budget: Budget, bounds: Bounds, *, sync_timeout_s: float
    ) -> None:
        self.is_closed = False
        self.is_overdue = False
        self.late_durable = 0
        self.sync_seconds: Final = Histogram()
        self.lane: Final = lane
        self._budget: Final = budget
        self._bounds: Final = bounds
        self._sync_timeout_s: Final = sync_timeout_s
        self._loop: Loop | None = None
        self._on_settled: Callable[[Commit, bool], None] | None = None
        self._unsettled: Final[deque[Commit]] = deque()
        self._has_timer = False
        # A condition is entered in Python, its lock in C: 0.15 µs less for each append.
        self._lock: Final = threading.Lock()
        self._changed: Final = threading.Condition(self._lock)
        self._filling: Commit | None = None
        self._in_hand: Commit | None = None
        self._own_refusal: Reason | None = None
        self._is_shut = False
        self._refusal: Reason | None = None

    def start(self, loop: Loop, on_settled: Callable[[Commit, bool], None]) -> None:
        """Take events from now on.

        Args:
            loop: Where appends come from and commits are settled.
            on_settled: Called with each commit and whether it held, in their order.
        """
        self._loop = loop
        self._on_settled = on_settled

    def append(self, record: Record) -> Commit:
        """Add one record to the commit that is filling.

        Raises:
            Reject: LANE_FAILED, LANE_FULL.
        """
        if self._refusal is not None:
            raise _reject(self._refusal)
        if self.is_overdue:
            raise _reject(Reason.LANE_FAILED)
        size_bytes = size(record)
        with self._lock:
            commit = self._filling
            if commit is None or size_bytes > commit.spare_bytes:
                commit = self._make_room(commit, size_bytes)
            commit.records.append(record)
            commit.size_bytes += size_bytes
            commit.spare_bytes -= size_bytes
        return commit

    def refuse(self, reason: Reason | None) -> None:
        """Turn appends away from now on, or take them again (``None``)."""
        with self._changed:
            self._own_refusal = reason
            self._decide()

    def shut(self, *, is_shut: bool) -> None:
        """Turn appends away while the disk is full, whatever the lane itself would do."""
        with self._changed:
            self._is_shut = is_shut
            self._decide()

    def take(self, timeout_s: float) -> Commit | None:
        """Wait for a commit and close it for appends; ``None`` when none came, or closed."""
        with self._changed:
            self._changed.wait_for(self._has_news, timeout_s)
            commit, self._filling = self._filling, None
            self._in_hand = commit
        if commit is not None:
            self._budget.give_back(self.lane, commit.spare_bytes)
        return commit

    def report(self, commit: Commit, outcome: Synced, duration_ns: int) -> None:
        """Tell how a commit went; it is settled on the loop."""
        assert self._loop is not None
        if outcome is not Synced.HELD:
            self._budget.give_back(self.lane, commit.size_bytes)
        self._loop.call_soon_threadsafe(partial(self._settle, commit, outcome, duration_ns))
        with self._changed:
            self._in_hand = None
            self._changed.notify_all()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything appended so far is reported; false when it takes too long."""
        with self._changed:
            return self._changed.wait_for(self._is_idle, timeout_s)

    def close(self) -> None:
        """Refuse appends for good; what is filling is still taken and reported."""
        with self._changed:
            self.is_closed = True
            self._decide()
            self._changed.notify_all()

    def _decide(self) -> None:
        if self.is_closed:
            self._refusal = Reason.LANE_FAILED
        else:
            self._refusal = self._own_refusal or (Reason.LANE_FULL if self._is_shut else None)

    def _make_room(self, commit: Commit | None, size_bytes: int) -> Commit:
        """Take what one record needs, and some more, from the budget; begin a commit if need be.

        Raises:
            Reject: LANE_FULL: the commit, or the budget.
        """
        assert size_bytes <= FRAME_BYTES_MAX, "decode bounds an event far below that"
        count, bytes_held, spare_bytes = 0, 0, 0
        if commit is not None:
            count, bytes_held, spare_bytes = commit.count, commit.size_bytes, commit.spare_bytes
        records_left = self._bounds.commit_records_max - count
        bytes_left = self._bounds.commit_bytes_max - bytes_held
        if records_left <= 0 or size_bytes > bytes_left:
            raise Reject(Reason.LANE_FULL, "commit", retry_after_ns=BUSY_RETRY_AFTER_NS)
        # No more than the smallest frames could fill: what is spare never lets in too many.
        most_bytes = min(RESERVED_BYTES, bytes_left, records_left * FRAME_BYTES_MIN)
        taken = self._budget.take(self.lane, size_bytes - spare_bytes, most_bytes - spare_bytes)
        commit = commit or self._begin()
        commit.spare_bytes += taken
        return commit

    def _begin(self) -> Commit:
        assert self._loop is not None, "start comes before append"
        commit = Commit(self.lane, self._loop.time() + self._sync_timeout_s)
        self._filling = commit
        self._unsettled.append(commit)
        self._watch()
        self._changed.notify_all()
        return commit

    def _has_news(self) -> bool:
        return self._filling is not None or self.is_closed

    def _is_idle(self) -> bool:
        return self._filling is None and self._in_hand is None

    def _settle(self, commit: Commit, outcome: Synced, duration_ns: int) -> None:
        assert self._on_settled is not None
        assert self._unsettled[0] is commit, "commits are settled in their order"
        self._unsettled.popleft()
        self.sync_seconds.observe(duration_ns)
        held = outcome is Synced.HELD
        if held and commit.outcome is Synced.OVERDUE:
            self.late_durable += commit.count
        self.is_overdue = any(c.outcome is Synced.OVERDUE for c in self._unsettled)
        try:
            self._on_settled(commit, held)
        finally:
            commit.settle(outcome)

    def _watch(self) -> None:
        """Have one timer for the lane, at the oldest commit that is not overdue yet."""
        waiting = (c.overdue_at_s for c in self._unsettled if c.outcome is None)
        due_s = next(waiting, None)
        if due_s is None or self._has_timer:
            return
        assert self._loop is not None
        self._has_timer = True
        self._loop.call_at(due_s, self._look)

    def _look(self) -> None:
        """Tell the waiters of every commit whose time is up."""
        assert self._loop is not None
        self._has_timer = False
        now_s = self._loop.time()
        for commit in self._unsettled:
            if commit.outcome is None and commit.overdue_at_s <= now_s:
                self.is_overdue = True
                commit.settle(Synced.OVERDUE)
        self._watch()


def _reject(reason: Reason) -> Reject:
    full = reason is Reason.LANE_FULL
    after_ns = FULL_RETRY_AFTER_NS if full else FAILED_RETRY_AFTER_NS
    return Reject(reason, "disk", retry_after_ns=after_ns)
