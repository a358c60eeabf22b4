"""What was promised, and what became of it: each rule of the house is checked when it is used.

An *issue* is one envelope made of a claim. Most claims have one; who is told "failed", or nothing
at all, comes again and gets another, under the same id.
"""

import re
from base64 import b64decode
from collections import defaultdict
from collections.abc import Container, Hashable, Iterable, Mapping
from pathlib import Path
from struct import Struct
from typing import Final
from zlib import crc32

from edge.core.instant import Instant
from edge.core.lane import Lane
from edge.core.record import Commit, Record
from edge.core.reject import Reason
from edge.core.verdict import Outcome, Verdict
from edge.shell.dead import Letter, QuarantinedLetter, RefusedLetter
from edge.shell.spool.lane_spool import Quarantined, Stored
from origin_client.origin import Outgoing
from tests.sim.claims import Claim, names
from tests.sim.damage import Damage
from tests.sim.disk import SimDisk, Violation
from tests.sim.issue import Issue, Number, Place, State
from tests.sim.memory import Expected, Memory

RECORD_BYTES_MAX: Final = 1400
"""What the forwarder takes for too large: a few of the claims are."""

_NUMBERED: Final = re.compile(rb'\{"edgespool":"([0-9a-f-]{36})","edgeseq":"(\d+)",')
_SLOT: Final = Struct("<8sHHQQQI")  # as edge.shell.spool.cursor's Record says
_OPEN: Final = frozenset({Reason.LANE_FULL, Reason.LANE_FAILED})


def demand(holds: object, what: str) -> None:
    """Break off unless *holds*."""
    if not holds:
        raise Violation(what)


class Ledger:
    """All claims of one world.

    Attributes:
        memory: What recall must know in this life.
        letters: Where quarantined frames stood that were buried, and how many bytes of them.
        settled: Records of this life that held in time, by lane;
        late: and too late.
    """

    def __init__(self, disk: SimDisk, root: Path, memory: Memory) -> None:
        self.memory = memory
        self.letters: dict[Lane, dict[Place, int]] = defaultdict(dict)
        self.settled = dict.fromkeys(Lane, 0)
        self.late = dict.fromkeys(Lane, 0)
        self._disk = disk
        self._homes = {lane: root / lane for lane in Lane}
        self._claims: dict[tuple[bytes, bytes], Claim] = {}
        self._twins: defaultdict[Hashable, list[Claim]] = defaultdict(list)
        self._issues: dict[tuple[Lane, bytes], Issue] = {}
        self._commits: dict[Commit, list[Issue]] = {}
        self._ranks = 0
        self._numbers: dict[tuple[Lane, Number], Issue] = {}
        self._ranks_of_keys: dict[tuple[Lane, bytes], int] = {}
        self._acknowledged: set[tuple[Lane, Number]] = set()

    # What clients are told.

    def expected(self, claim: Claim, now: Instant) -> tuple[Expected, Commit | None]:
        """Ask the model before recall is asked."""
        if claim.name not in self._claims:
            self._claims[claim.name] = claim
            self._twins[_twin(claim)].append(claim)
        return self.memory.expect(claim, now)

    def judged(
        self, claim: Claim, verdict: Verdict, expected: Expected, commit: Commit | None
    ) -> bool:
        """Compare a verdict with what was expected; return whether it promises the claim's arrival.

        Not so a duplicate by its number alone: another event had that, and is not promised twice.
        """
        if verdict.reject is not None:
            self._refused(verdict.reject.reason, expected)
        elif verdict.outcome is Outcome.DUPLICATE:
            is_known = expected in (
                Expected.DUPLICATE, Expected.DUPLICATE_OR_CONFLICT, Expected.ANYTHING,
            )  # fmt: skip
            demand(is_known, f"duplicate, but {expected.name} was expected")
            if expected is Expected.DUPLICATE:
                demand(
                    verdict.commit is commit, "a duplicate waits for its first copy's commit"
                )
            self.memory.seen(claim, verdict.commit)
            if verdict.commit is None and expected is Expected.DUPLICATE:
                self.owe(claim)
            return expected is Expected.DUPLICATE
        else:
            self._admitted(claim, verdict, expected)
            return True
        return False

    def owe(self, claim: Claim) -> None:
        """Note an accepting verdict: the claim, or the one it repeats, is on stable storage."""
        claim.is_obliged = True
        kept = [issue for issue in self._issues_of(claim) if self._is_kept(issue)]
        demand(kept, "accepted, but not on stable storage")
        for issue in kept:
            if issue.state is State.MAYBE:
                issue.state = State.HELD

    def committed(self, commit: Commit, *, is_held: bool, is_late: bool) -> None:
        """Note how a commit went, before anybody is told."""
        self.memory.settled(commit, is_held=is_held)
        issues = self._commits.pop(commit, [])
        for issue in issues:
            issue.state = State.HELD if is_held else State.FAILED
            if is_held:
                demand(self._is_kept(issue), "a commit held that is not on stable storage")
        if is_held:
            tally = self.late if is_late else self.settled
            tally[commit.lane] += len(issues)

    def check(self) -> None:
        """Check that whatever was promised is kept, at this very moment.

        Raises:
            Violation: Losing the power now would lose it.
        """
        for issue in self._issues.values():
            if issue.state is State.HELD:
                demand(self._is_kept(issue), "what was held is no more on stable storage")

    # What happens behind the clients' backs.

    def published(self, lane: Lane, record: Outgoing) -> None:
        """Check a record that the origin is about to write."""
        issue, number = self._issue(lane, record.value)
        demand(record.key == issue.claim.event.wire.subject.encode(), "the key is the subject")
        if number in issue.numbers:
            return
        # Of a damaged one memory may still have the whole.
        is_durable = issue.is_damaged or self._is_durable(issue)
        demand(is_durable, "forwarded before it was synced")
        self._arrived(issue, number)
        rank = self._ranks_of_keys.get((lane, record.key), -1)
        demand(issue.rank > rank, "a key's records are out of order")
        self._ranks_of_keys[lane, record.key] = issue.rank

    def acknowledged(self, lane: Lane, record: Outgoing) -> None:
        """Note that the origin has promised to keep it."""
        self._acknowledged.add((lane, self._issue(lane, record.value)[1]))

    def buried(self, lane: Lane, letters: Iterable[Letter]) -> None:
        """Check letters that are durable, they say."""
        directory = self._homes[lane] / "dead"
        for letter in letters:
            match letter:
                case RefusedLetter(value=value):
                    demand(self._disk.holds(directory, bytes(value)), "buried, but not durable")
                    envelope = bytes(value).partition(b',"edgespool"')[2]
                    issue, number = self._issue(lane, b'{"edgespool"' + envelope)
                    is_large = len(envelope) + len(b'{"edgespool"') > RECORD_BYTES_MAX
                    demand(issue.claim.is_poison or is_large, "buried without a cause")
                    if number not in issue.numbers:
                        self._arrived(issue, number)
                    self._acknowledged.add((lane, number))
                case QuarantinedLetter(segment=segment, offset=offset, raw=raw):
                    told = self.letters[lane].get((segment, offset), 0)
                    self.letters[lane][segment, offset] = max(told, len(b64decode(raw)))
                case _:
                    raise AssertionError(letter)

    def passed(self, lane: Lane, frames: Iterable[Stored | Quarantined]) -> None:
        """Check what the cursor is about to pass."""
        for frame in frames:
            if isinstance(frame, Stored):
                number = frame.edgespool.encode(), frame.edgeseq
                demand((lane, number) in self._acknowledged, "a cursor ahead of the origin")
            else:
                place = frame.segment, frame.offset
                demand(place in self.letters[lane], "a cursor ahead of a burial")

    def damaged(self, lane: Lane, damage: Damage) -> None:
        """Note what the simulation has damaged."""
        for issue in self._standing(lane, damage.content):
            offset = damage.offset + damage.content.find(issue.envelope)
            issue.damaged.add((damage.segment, offset))

    def died(self) -> None:
        """End a life: what failed, and is followed by another segment, stays where it is."""
        void = {
            lane: b"".join(node.cached for node in self._disk.sealed(self._homes[lane]))
            for lane in Lane
        }
        for issue in self._issues.values():
            if issue.state is State.FAILED and issue.envelope in void[issue.lane]:
                issue.state = State.GONE

    def unlinked(self, path: Path, content: bytes) -> None:
        """Check that a segment is removed only behind the durable cursor."""
        if path.suffix != ".seg":
            return
        lane = Lane(path.parent.name)
        passed = _position(self._disk.durable(path.parent / "cursor"))
        others = [node.durable for node in self._disk.nodes(path.parent, ".seg").values()]
        for issue in self._standing(lane, content):
            end = content.find(issue.envelope) + len(issue.envelope)
            is_passed = passed >= (int(path.stem), end)
            is_whole = issue.state in (State.HELD, State.MAYBE) and not issue.is_damaged
            is_copied = any(issue.envelope in other for other in others)
            is_well = is_passed or is_copied or not is_whole
            demand(is_well, "deleted before the cursor was durable behind it")

    def reopened(self, memory: Memory, waiting: Mapping[Lane, Container[bytes]]) -> None:
        """Begin another life: what was accepted is waiting, or passed; recall knows the disk.

        Args:
            memory: Knows nothing yet.
            waiting: By lane the envelopes behind the cursor.
        """
        self.memory = memory
        self.settled = dict.fromkeys(Lane, 0)
        self.late = dict.fromkeys(Lane, 0)
        self._commits.clear()
        on_disk = {lane: self._seen(lane) for lane in waiting}
        survived = {lane for lane in waiting if self._has_remainder(lane)}
        for issue in self._issues.values():
            is_waiting = issue.envelope in waiting[issue.lane]
            is_seen = issue.envelope in on_disk[issue.lane]
            if issue.state in (State.PENDING, State.FAILED):
                is_kept = is_waiting or issue.numbers
                issue.state = State.MAYBE if is_kept else State.GONE
            self._check_kept(issue, is_waiting=is_waiting)
            if issue.state is State.GONE:
                continue
            is_known = is_seen or is_waiting
            is_doubtful = issue.is_damaged or (not is_waiting and issue.lane in survived)
            if is_known or is_doubtful:
                memory.admitted(issue.claim, issue.accepted_ms, None)
            if is_doubtful:
                memory.doubt(issue.claim)

    def _seen(self, lane: Lane) -> bytes:
        segments = self._disk.nodes(self._homes[lane], ".seg").values()
        return b"\0".join(node.cached for node in segments)

    def _has_remainder(self, lane: Lane) -> bool:
        """Whether a segment, or its key index, outlives what was to be removed after it.

        What stands in it may then be known for one life more, or not.
        """
        indexes = self._disk.nodes(self._homes[lane], ".idx")
        segments = self._disk.nodes(self._homes[lane], ".seg")
        lone = any(name.replace(".idx", ".seg") not in segments for name in indexes)
        return lone or any(
            _predecessor(after.cached) not in (0, int(name[:10]))
            for name, after in zip(segments, list(segments.values())[1:], strict=False)
        )

    def finish(self) -> None:
        """Check that everything has arrived, and nothing is missing in between."""
        owed = [self._issues_of(each) for each in self._claims.values() if each.is_obliged]
        owed += [[issue] for issue in self._issues.values() if issue.state is State.HELD]
        for issues in owed:
            if not any(issue.numbers for issue in issues):
                is_damaged = any(issue.is_damaged for issue in issues)
                demand(is_damaged, "an accepted event never arrived")
                demand(any(map(self._is_told, issues)), "a damaged record has no letter")
        for lane in Lane:
            self._check_numbers(lane)

    def _is_told(self, issue: Issue) -> bool:
        """Whether a letter has all of it, in one of the places where it was damaged."""
        length = len(issue.envelope)
        return any(
            there == segment and start <= offset and offset + length <= start + told_bytes
            for segment, offset in issue.damaged
            for (there, start), told_bytes in self.letters[issue.lane].items()
        )

    def _refused(self, reason: Reason, expected: Expected) -> None:
        if reason in _OPEN:
            is_first = (
                expected.value in ("", "late", "seq_gap") or expected is Expected.ANYTHING
            )
            demand(is_first, f"{reason.code}, but {expected.name} was expected")
        elif reason is Reason.IDEMPOTENCY_CONFLICT:
            is_conflict = expected in (
                Expected.CONFLICT, Expected.DUPLICATE_OR_CONFLICT, Expected.ANYTHING,
            )  # fmt: skip
            demand(is_conflict, f"a conflict, but {expected.name} was expected")
        elif reason is Reason.SEQUENCE_TOO_OLD:
            is_old = expected in (Expected.TOO_OLD, Expected.ANYTHING)
            demand(is_old, f"too old, but {expected.name} was expected")
        else:
            raise Violation(f"refused as {reason.code}")

    def _admitted(self, claim: Claim, verdict: Verdict, expected: Expected) -> None:
        commit = verdict.commit
        assert commit is not None
        record = self._record(commit, claim)
        demand(_ends_alike(record.envelope, claim), "the envelope is not what was sent")
        if expected is not Expected.ANYTHING:
            flags = re.search(rb'"flags":"([a-z_]*)"', record.envelope)
            standing = flags[1].decode() if flags else ""
            demand(standing == expected.value, f"{standing}, but {expected.name} was expected")
        self._ranks += 1
        issue = Issue(claim, record.envelope, record.accepted_ms, self._ranks)
        self._issues[claim.lane, record.envelope] = issue
        claim.issues.append(issue)
        self._commits.setdefault(commit, []).append(issue)
        self.memory.admitted(claim, record.accepted_ms, commit)

    @staticmethod
    def _record(commit: Commit, claim: Claim) -> Record:
        records: list[Record] = getattr(commit, "records")  # noqa: B009  # the shell's has them
        wanted = claim.name
        return next(each for each in reversed(records) if names(each.envelope) == [wanted])

    def _issues_of(self, claim: Claim) -> list[Issue]:
        """What was made of it, and of what is the same transaction under another id."""
        return [issue for twin in self._twins[_twin(claim)] for issue in twin.issues]

    def _is_kept(self, issue: Issue) -> bool:
        """Whether it has arrived, or will whatever happens now."""
        return bool(issue.numbers) or issue.is_damaged or self._is_durable(issue)

    def _is_durable(self, issue: Issue) -> bool:
        return self._disk.holds(self._homes[issue.lane], issue.envelope)

    def _issue(self, lane: Lane, value: bytes) -> tuple[Issue, Number]:
        """Find what a numbered envelope is; it must have been issued."""
        found = _NUMBERED.match(value)
        demand(found, "no number stands in front")
        assert found is not None
        issue = self._issues.get((lane, b"{" + value[found.end() :]))
        if issue is None:
            raise Violation("it was never issued")
        return issue, (found[1], int(found[2]))

    def _arrived(self, issue: Issue, number: Number) -> None:
        """Note the first arrival under a number: at the origin, or among the dead."""
        demand(issue.state is not State.FAILED, "an aborted record was forwarded")
        demand(issue.state is not State.GONE, "a record came back that was gone")
        owner = self._numbers.setdefault((issue.lane, number), issue)
        demand(owner is issue, "one number, two records")
        demand(not issue.numbers, "one record, two numbers")
        issue.numbers.add(number)

    def _check_kept(self, issue: Issue, *, is_waiting: bool) -> None:
        if issue.state is State.HELD and not issue.numbers and not issue.is_damaged:
            demand(is_waiting, "an accepted event is neither waiting nor forwarded nor dead")

    def _standing(self, lane: Lane, content: bytes) -> list[Issue]:
        return [
            issue
            for name in names(content)
            if name in self._claims
            for issue in self._claims[name].issues
            if issue.lane is lane and issue.envelope in content
        ]

    def _check_numbers(self, lane: Lane) -> None:
        by_spool: defaultdict[bytes, set[int]] = defaultdict(set)
        for of, (spool, number) in self._numbers:
            if of is lane:
                by_spool[spool].add(number)
        # One letter may tell of several: what a torn write left is one gap.
        is_whole = all(max(found) == len(found) for found in by_spool.values())
        demand(is_whole or self.letters[lane], "a number is missing, and no letter tells")


def _twin(claim: Claim) -> Hashable:
    return claim.lane, claim.event.wire.subject, claim.note


def _position(cursor: bytes) -> tuple[int, int]:
    """Read the cursor's file: segment and offset; it only ever goes on."""
    found = [(0, 0)]
    for at in (0, 4096):
        slot = cursor[at : at + _SLOT.size]
        if len(slot) == _SLOT.size and crc32(slot[:-4]) == _SLOT.unpack(slot)[-1]:
            found.append(_SLOT.unpack(slot)[3:5])
    return max(found)


def _predecessor(segment: bytearray) -> int:
    """Read which segment's end a segment's header tells: edge.core.frame's Segment."""
    return int.from_bytes(segment[44:52], "little")


def _ends_alike(envelope: bytes, claim: Claim) -> bool:
    return envelope.endswith(claim.event.json[1:])
