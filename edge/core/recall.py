"""Did we have this before? An event and its footprint in; first copy, duplicate, or a refusal out.

Theory of operation
-------------------
Three things make an event known: its id, its business keys, its number in the session. The
first of them that is known decides. Under a known id or key the digests are compared: equal, it
is a *duplicate*; else somebody gave one name to two things, an *idempotency conflict*. Ids and
keys are remembered per lane (:mod:`edge.core.recall_table`), numbers per session, across lanes
(:mod:`edge.core.session_window`).

Only what is accepted is remembered, but acceptance takes a sync, and a second copy may come
first. So an event is *pending* from admission until its commit settles: a second copy is told
which commit to wait for, and shares its outcome. The commits of one lane settle in the order in
which they began, hence an entry is pending exactly if its number is above the lane's settled
mark, and a commit that fails is a range of numbers to strike out. Its session numbers never
left the list of pending ones. After a failed commit nothing tells that its events were here.

An id is known within its lane, as all of rule 13's tables are: at the origin, too, lanes are
different topics.

*Reach* is how far back all that was accepted is still known: to the end of the dedupe window,
the oldest entry that the table's bound left standing, or the oldest record that retention left
on disk for a restart, whichever is nearest.

Source: design.md §3a rules 1 to 5 and 13.
"""

from collections import deque
from collections.abc import Mapping
from typing import Final

import msgspec

from edge.core.event import KEY_ATTRIBUTES, Event
from edge.core.headway import Headway
from edge.core.instant import NS_PER_MS, Instant
from edge.core.key_index import Page
from edge.core.lane import Lane
from edge.core.recall_table import RecallTable
from edge.core.record import Commit, Footprint
from edge.core.reject import Reason, Reject
from edge.core.session_window import Sessions, Standing

_MS_PER_S: Final = 1000
# A module's name is read faster than an enum's member.
_SEEN: Final = Standing.SEEN
_TOO_OLD: Final = Standing.TOO_OLD


class Duplicate(msgspec.Struct, frozen=True, gc=False):
    """This event was here before.

    Attributes:
        commit: The commit that decides, if the first copy is still pending; ``None`` if it is
            durable.
    """

    commit: Commit | None


class RecallStatistics(msgspec.Struct, frozen=True):
    """How full the memory is.

    Attributes:
        entries: Ids and business keys remembered, by lane.
        pending: Entries that wait for their commit, by lane.
        bytes_held: Bytes of the lane's table; its index counts whole though only touched pages
            are resident.
        sessions: Session windows remembered, all lanes together.
    """

    entries: Mapping[Lane, int]
    pending: Mapping[Lane, int]
    bytes_held: Mapping[Lane, int]
    sessions: int


class Recall:
    """What this process remembers of the events it accepted.

    Args:
        dedupe_window_s: Ids and keys are known for this long after acceptance.
        dedupe_entries_max: Bound of entries per lane; an event has one, and one more per
            business key. Full: the oldest half is forgotten, the reach shrinks.
        sessions_max: Bound of session windows. Full: those longest unused become unknown.

    Attributes:
        headway: How far each session is.
    """

    def __init__(
        self, *, dedupe_window_s: int, dedupe_entries_max: int, sessions_max: int
    ) -> None:
        self._window_ms = dedupe_window_s * _MS_PER_S
        self._lanes = {lane: _Memory(dedupe_entries_max) for lane in Lane}
        self._sessions = Sessions(sessions_max)
        self.headway: Final = Headway(self._sessions)

    def recall(self, event: Event, footprint: Footprint, now: Instant) -> Standing | Duplicate:
        """Say whether *event* is a first copy, and remember nothing about it yet.

        Returns:
            For a first copy how its number stands (``IN_ORDER``, also without a number;
            ``LATE``; ``SEQ_GAP``), else the duplicate. A duplicate's own number counts as
            seen from here on; while its first copy is pending, under that commit's condition.

        Raises:
            Reject: IDEMPOTENCY_CONFLICT at ``/id``, at the business key's first field or at
                ``/seq``; SEQUENCE_TOO_OLD at ``/seq``.
        """
        memory = self._lanes[event.spec.lane]
        find = memory.table.find
        since_ms = max(now.unix_ns // NS_PER_MS - self._window_ms, 1)
        if number := find(footprint.id_key, since_ms):
            return self._known(memory, number, footprint, footprint.digest, "/id")
        if footprint.key and (number := find(footprint.key, since_ms)):
            pointer = _pointer(event.spec.keys[0].fields[0])
            return self._known(memory, number, footprint, footprint.digest, pointer)
        if footprint.key2 and (number := find(footprint.key2, since_ms)):
            pointer = _pointer(event.spec.keys[1].fields[0])
            return self._known(memory, number, footprint, footprint.digest2, pointer)
        if not footprint.seq:
            return Standing.IN_ORDER
        standing = self._sessions.stand(footprint.session, footprint.seq)
        if standing is _TOO_OLD:
            raise Reject(Reason.SEQUENCE_TOO_OLD, "below the session's window", pointer="/seq")
        if standing is not _SEEN:
            return standing
        if event.time_ms >= max(memory.table.floor_ms, since_ms):
            raise Reject(Reason.IDEMPOTENCY_CONFLICT, "number was used", pointer="/seq")
        return Duplicate(self._sessions.carrier(footprint.session, footprint.seq))

    def remember(
        self, lane: Lane, footprint: Footprint, accepted_ms: int, commit: Commit
    ) -> None:
        """Remember a first copy as pending in *commit*, the youngest of its lane.

        Args:
            lane: The event's.
            footprint: The event's.
            accepted_ms: The envelope's ``edgetime``, unix ms; never runs backwards in a lane.
            commit: Shares its outcome with the event, at :meth:`settle`.
        """
        memory = self._lanes[lane]
        last = memory.add(footprint, accepted_ms)
        # Only now: a commit that is open has entries, or it would have no last one.
        open_commits = memory.open_commits
        if not open_commits or open_commits[-1].commit is not commit:
            open_commits.append(_OpenCommit(commit))
        opened = open_commits[-1]
        opened.last = last
        if footprint.seq:
            self._mark_pending(opened, footprint)

    def settle(self, commit: Commit, *, held: bool) -> None:
        """Make all that is pending in *commit* durable, or forget that it was here.

        Args:
            commit: The oldest of its lane that is not settled. One for which nothing was
                remembered, because a bug came between spool and memory, changes nothing.
            held: Whether its sync succeeded.
        """
        memory = self._lanes[commit.lane]
        open_commits = memory.open_commits
        if not open_commits or open_commits[0].commit is not commit:
            assert all(opened.commit is not commit for opened in open_commits)
            return
        settled = open_commits.popleft()
        if not held:
            memory.table.strike(memory.settled + 1, settled.last)
        memory.settled = settled.last
        for session, seq in settled.numbers:
            self._sessions.settle(session, seq, commit, held=held)

    def rebuild(self, lane: Lane, page: Page) -> None:
        """Remember records found on disk, at start, oldest first; they are durable.

        Args:
            lane: The records'.
            page: What the key index of their segment says.
        """
        memory = self._lanes[lane]
        assert not memory.open_commits
        if page.entries is None:
            memory.table.skip(page.count, page.newest_ms)
        else:
            memory.table.add_many(page.entries)
        memory.settled = memory.table.last
        self._sessions.mark_many(page.sessions, page.seqs)

    def retain_from(self, lane: Lane, accepted_ms: int) -> None:
        """Learn what a restart would still know: records from here on are on disk.

        It bounds the reach that is told. What is in memory stays known, disk or not.

        Args:
            lane: Whose records.
            accepted_ms: Of the oldest on disk, unix ms.
        """
        memory = self._lanes[lane]
        memory.retained_ms = max(memory.retained_ms, accepted_ms)

    def reach_s(self, lane: Lane, now: Instant) -> float:
        """Return for how long back everything accepted in *lane* is known, in seconds."""
        memory = self._lanes[lane]
        floor_ms = max(memory.table.floor_ms, memory.retained_ms)
        age_ms = now.unix_ns // NS_PER_MS - floor_ms
        return max(min(age_ms, self._window_ms), 0) / _MS_PER_S

    def statistics(self) -> RecallStatistics:
        """Count what is remembered."""
        lanes = self._lanes.items()
        return RecallStatistics(
            entries={lane: len(memory.table) for lane, memory in lanes},
            pending={lane: memory.table.last - memory.settled for lane, memory in lanes},
            bytes_held={lane: memory.table.bytes_held for lane, memory in lanes},
            sessions=len(self._sessions),
        )

    def _known(
        self, memory: "_Memory", number: int, footprint: Footprint, digest: int, pointer: str
    ) -> Duplicate:
        """Tell a duplicate from a conflict, and let the duplicate's number count as seen."""
        if memory.table.digest(number) != digest:
            raise Reject(
                Reason.IDEMPOTENCY_CONFLICT, "known with another body", pointer=pointer
            )
        opened = memory.open_commit_of(number)
        if footprint.seq:
            if opened is None:
                self._sessions.mark(footprint.session, footprint.seq)
            else:
                self._mark_pending(opened, footprint)
        return Duplicate(None if opened is None else opened.commit)

    def _mark_pending(self, opened: "_OpenCommit", footprint: Footprint) -> None:
        session, seq = footprint.session, footprint.seq
        if self._sessions.mark_pending(session, seq, opened.commit):
            opened.numbers.append((session, seq))


class _OpenCommit:
    """A commit that is not settled: its entries, up to a number, and its session numbers."""

    __slots__ = ("commit", "last", "numbers")

    def __init__(self, commit: Commit) -> None:
        self.commit = commit
        self.last = 0
        self.numbers: list[tuple[int, int]] = []


class _Memory:
    """What is remembered of one lane.

    Attributes:
        table: Ids and business keys.
        settled: Number of the last entry whose commit is settled.
        open_commits: Those not settled, oldest first; no more than the spool lets wait.
        retained_ms: Acceptance of the oldest record on disk, unix ms; 0 before it is told.
    """

    __slots__ = ("open_commits", "retained_ms", "settled", "table")

    def __init__(self, entries_max: int) -> None:
        self.table = RecallTable(entries_max)
        self.settled = 0
        self.open_commits: deque[_OpenCommit] = deque()
        self.retained_ms = 0

    def add(self, footprint: Footprint, accepted_ms: int) -> int:
        """Return the number of the event's last entry."""
        add = self.table.add
        last = add(footprint.id_key, footprint.digest, accepted_ms)
        if footprint.key:
            last = add(footprint.key, footprint.digest, accepted_ms)
        if footprint.key2:
            last = add(footprint.key2, footprint.digest2, accepted_ms)
        return last

    def open_commit_of(self, number: int) -> _OpenCommit | None:
        """Return the commit in which an entry is pending; ``None`` when it is durable."""
        if number <= self.settled:
            return None
        return next(opened for opened in self.open_commits if number <= opened.last)


def _pointer(field: str) -> str:
    """Return where a field of a business key stands in the event.

    Source: RFC 6901; no field's name needs escaping.
    """
    return f"/{field}" if field in KEY_ATTRIBUTES else f"/data/{field}"
