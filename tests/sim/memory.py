"""What recall must say, by plain dictionaries: a model without hashes, generations or bits.

It knows less than recall where a bound may have evicted, or damage erased, something: then it
says nothing. Where it says something, recall must say the same.
"""

import enum
from collections.abc import Hashable
from dataclasses import dataclass, field

from edge.core.instant import NS_PER_MS, Instant
from edge.core.lane import Lane
from edge.core.record import Commit
from tests.sim.claims import Claim

WINDOW = 1024
"""Numbers below a session's highest: design.md §3a rule 4."""


class Expected(enum.Enum):
    """What recall must say of an event; the first three are the flags of an envelope."""

    IN_ORDER = ""
    LATE = "late"
    GAP = "seq_gap"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    DUPLICATE_OR_CONFLICT = "duplicate_or_conflict"
    TOO_OLD = "too_old"
    ANYTHING = "anything"


@dataclass(slots=True)
class _Entry:
    """One name.

    Attributes:
        digest: What was said under it.
        accepted_ms: When.
        number: The how-manieth of its lane.
        commit: On which it waits.
        is_sure: Nothing can have erased it.
    """

    digest: Hashable
    accepted_ms: int
    number: int
    commit: Commit | None
    is_sure: bool = True


@dataclass(slots=True)
class _Session:
    """The numbers that were seen, for good and for now; not sure once one may be erased."""

    seen: set[int] = field(default_factory=set[int])
    pending: dict[int, set[Commit]] = field(default_factory=dict[int, set[Commit]])
    is_sure: bool = True


class Memory:
    """What is to be known.

    Args:
        window_s: How long a name is known.
        entries_max: Of a lane; half of it is known in any case.
    """

    def __init__(self, *, window_s: int, entries_max: int) -> None:
        self._window_ms = window_s * 1000
        self._sure = entries_max // 2
        self._entries: dict[Lane, dict[Hashable, _Entry]] = {lane: {} for lane in Lane}
        self._numbers = dict.fromkeys(Lane, 0)
        self._sessions: dict[str, _Session] = {}
        self._pending: dict[Commit, list[Claim]] = {}

    def expect(self, claim: Claim, now: Instant) -> tuple[Expected, Commit | None]:
        """Say what recall must say, and on which commit a duplicate waits."""
        since_ms = now.unix_ns // NS_PER_MS - self._window_ms
        lane = claim.lane
        for name, digest in zip(claim.names(), claim.digests(), strict=False):
            entry = self._entries[lane].get(name)
            if entry is None or entry.accepted_ms < since_ms:
                continue
            if not entry.is_sure or self._numbers[lane] - entry.number >= self._sure:
                return Expected.ANYTHING, None
            if entry.digest == digest:
                return Expected.DUPLICATE, entry.commit
            return Expected.CONFLICT, None
        return self._stand(claim), None

    def admitted(self, claim: Claim, accepted_ms: int, commit: Commit | None) -> None:
        """Learn that it is accepted if *commit* holds; ``None``: it was found on disk."""
        lane = claim.lane
        for name, digest in zip(claim.names(), claim.digests(), strict=False):
            self._numbers[lane] += 1
            self._entries[lane][name] = _Entry(digest, accepted_ms, self._numbers[lane], commit)
        self.seen(claim, commit)
        if commit is not None:
            self._pending.setdefault(commit, []).append(claim)

    def seen(self, claim: Claim, commit: Commit | None) -> None:
        """Learn that its number counts as seen if *commit* holds; ``None``: in any case."""
        wire = claim.event.wire
        if not wire.seq:
            return
        session = self._session(claim)
        if commit is None:
            self._mark(session, wire.seq)
        else:
            session.pending.setdefault(wire.seq, set()).add(commit)

    def doubt(self, claim: Claim) -> None:
        """Learn that recall may have lost what it knew of it."""
        for name in claim.names():
            if name in self._entries[claim.lane]:
                self._entries[claim.lane][name].is_sure = False
        if claim.event.wire.seq:
            self._session(claim).is_sure = False

    def settled(self, commit: Commit, *, is_held: bool) -> None:
        """Learn how a commit ended."""
        for claim in self._pending.pop(commit, []):
            entries = self._entries[claim.lane]
            for name in claim.names():
                entry = entries.get(name)
                if entry is not None and entry.commit is commit:
                    entry.commit = None
                    if not is_held:
                        del entries[name]
        for session in self._sessions.values():
            self._settle(session, commit, is_held=is_held)

    def _settle(self, session: _Session, commit: Commit, *, is_held: bool) -> None:
        for seq in [seq for seq, carriers in session.pending.items() if commit in carriers]:
            session.pending[seq].discard(commit)
            if not session.pending[seq]:
                del session.pending[seq]
            if is_held:
                self._mark(session, seq)

    def _stand(self, claim: Claim) -> Expected:
        seq = claim.event.wire.seq
        if not seq:
            return Expected.IN_ORDER
        session = self._session(claim)
        if not session.is_sure:
            return Expected.ANYTHING
        highest = max(session.seen, default=0)
        if highest - seq > WINDOW:
            return Expected.TOO_OLD
        if seq in session.seen or seq in session.pending:
            return Expected.DUPLICATE_OR_CONFLICT
        top = max(highest, *session.pending, 0)
        if seq == top + 1:
            return Expected.IN_ORDER
        return Expected.GAP if seq > top else Expected.LATE

    def _session(self, claim: Claim) -> _Session:
        return self._sessions.setdefault(claim.principal.session, _Session())

    @staticmethod
    def _mark(session: _Session, seq: int) -> None:
        """See a number; one below the window changes nothing."""
        if max(session.seen, default=0) - seq <= WINDOW:
            session.seen.add(seq)
