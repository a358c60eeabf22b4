"""A client that believes what it is told is never wrong: about every event, on every socket."""

from collections import Counter
from typing import Any, Final

import msgspec
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from typing_extensions import override

from edge.core.admit import RawRequest, admit, give_up_refused, greet
from edge.core.conversation import Concluded, Conversation
from edge.core.decode import Shape
from edge.core.lane import Lane
from edge.core.ops import VerdictsOp
from edge.core.record import Commit, Record
from edge.core.reject import Reason, Reject
from edge.core.session_window import WINDOW
from edge.core.verdict import Verdict, conclude
from tests.core.player_events import MOVES, SLIP, SPIN, event, frame
from tests.fakes import NOW, bearer, player_token
from tests.house import FakeCommit, FakePressure, FakeSpool, house

FAILED: Final = Reject(Reason.LANE_FAILED, retry_after_ns=10**9)
FULL: Final = Reject(Reason.LANE_FULL, retry_after_ns=10**9)
TYPES: Final = {Lane.GAME: SPIN, Lane.BET: SLIP, Lane.TELEMETRY: MOVES}
LANES: Final = tuple(TYPES)
FAULTS: Final[list[dict[str, object]]] = [
    {},
    {},
    {},
    {"time": "2026-02-14T19:00:00Z"},
    {"source": ""},
    {"source": 7},
    {"subject": "player-0002"},
]
KINDS: Final = ("new", "new", "queued", "queued", "copy", "restamped", "restamped", "jump")
mostly = st.sampled_from([True, True, True, False])


class Disk(FakeSpool):
    """A spool that knows which numbers each commit carries."""

    def __init__(self) -> None:
        super().__init__()
        self.carried: dict[Commit, list[int]] = {}

    @override
    def append(self, lane: Lane, record: Record) -> FakeCommit:
        commit = super().append(lane, record)
        self.carried.setdefault(commit, []).append(record.footprint.seq)
        return commit


class ConversationStory(RuleBasedStateMachine):
    """A client, its sockets, HTTP beside them, and syncs that hold, fail or take too long.

    The client believes: listed as refused is refused; else done is durable.

    Planted: marks stay when a number becomes pending; stragglers not looked for; a failed
    number counts as durable; refusals of a waiting frame never told; a frame concluded with its
    first commit; a lost sync's copies not refused; what is to come again stays given up; a
    refusal told twice; a report without anything new.
    """

    def __init__(self) -> None:
        super().__init__()
        self.disk = Disk()
        self.pressure = FakePressure()
        self.house = house(self.disk, pressure=self.pressure)
        self.filled: dict[Lane, list[FakeCommit]] = {lane: [] for lane in LANES}
        self.overdue = set[Commit]()
        self.listeners: dict[Commit, list[Conversation]] = {}
        self.by_http: list[tuple[int, list[Verdict]]] = []
        self.durable = set[int]()
        self.next_seq = 1
        self.lanes: dict[int, Lane] = {}
        self.fates: dict[int, str] = {}
        self.queued = set[int]()
        self.events_heard = 0
        self.events_counted = 0
        self.talks: list[Conversation] = []
        self.connect()

    def connect(self) -> None:
        """Begin another socket."""
        self.talk = Conversation(greet(bearer(player_token()), self.house, NOW), self.house)
        self.talks.append(self.talk)
        self.frames = 0
        self.under_way: dict[tuple[int, int | None], int] = {}
        self.told_to_retry = set[int]()

    # What the client does.

    @rule(
        chosen=st.lists(
            st.tuples(
                st.sampled_from(KINDS),
                st.integers(0, 9),
                st.sampled_from(LANES),
                st.sampled_from(FAULTS),
            ),
            min_size=1,
            max_size=6,
        ),
        is_told=mostly,
    )
    def send(
        self, chosen: list[tuple[str, int, Lane, dict[str, object]]], *, is_told: bool
    ) -> None:
        """A frame of new events, copies, and such as were refused."""
        seqs: list[int] = []
        events: list[dict[str, Any]] = []
        for kind, which, lane, fault in chosen:
            seq = self.choose(kind, which, lane)
            if seq not in (*seqs, *self.under_way.values(), *self.http()):
                seqs.append(seq)
                events.append(event(seq, TYPES[self.lanes[seq]], **fault))
        self.frames += 1
        for index, seq in enumerate(seqs):
            self.under_way[self.frames, index] = seq
            self.queued.discard(seq)
            self.told_to_retry.discard(seq)
        self.hear(frame(*events), len(events))
        if is_told:
            self.report()

    def choose(self, kind: str, which: int, lane: Lane) -> int:
        """A number to send; a new one if there is none of that kind."""
        if kind in ("new", "jump"):
            self.next_seq += WINDOW + 76 if kind == "jump" else 0
            seq, self.next_seq = self.next_seq, self.next_seq + 1
            self.lanes[seq] = lane
            return seq
        numbers = {
            "queued": self.queued,
            "copy": {seq for seq, fate in self.fates.items() if fate == "accepted"},
            "restamped": {seq for seq, fate in self.fates.items() if fate == "refused"},
        }[kind]
        return sorted(numbers)[which % len(numbers)] if numbers else self.choose("new", 0, lane)

    def http(self) -> set[int]:
        """The numbers that HTTP has no answer for."""
        return {seq for seq, _ in self.by_http}

    def hear(self, text: bytes, count: int) -> None:
        """The house hears a frame, and waits for what it names."""
        heard = self.talk.hear(text, NOW)
        assert heard.bug is None
        assert len(heard.verdicts) == count
        self.events_heard += count
        self.count([heard.concluded] if heard.concluded else [])
        for commit in heard.awaited:
            if commit in self.overdue:
                self.count(self.talk.settle(commit, FAILED))
            else:
                self.listeners.setdefault(commit, []).append(self.talk)

    def count(self, concluded: list[Concluded]) -> None:
        """Each event is counted once, under some outcome."""
        for each in concluded:
            total = sum(each.conclusion.tallies.values())
            assert total == len(each.verdicts)
            self.events_counted += total

    @rule(text=st.sampled_from([b"{", b"[]", b'{"op":"token","token":"a.b.c"}']))
    def send_no_events(self, text: bytes) -> None:
        """It cannot be read, or is a token."""
        self.frames += 1
        if text.endswith(b"}"):
            assert self.talk.hear(text, NOW).token
        else:
            self.under_way[self.frames, None] = 0
            assert self.talk.hear(text, NOW).reject

    @rule(lane=st.sampled_from(LANES), fault=st.sampled_from(FAULTS))
    def send_by_http(self, lane: Lane, fault: dict[str, object]) -> None:
        """One new event of the session takes the other door."""
        seq = self.choose("new", 0, lane)
        body = msgspec.json.encode([event(seq, TYPES[lane], **fault)])
        request = RawRequest(bearer(player_token()), Shape.ARRAY, body)
        self.by_http.append((seq, admit(request, self.house, NOW)))
        self.answer_http(None, {})

    def answer_http(self, commit: Commit | None, lost: dict[Commit, Reject]) -> None:
        """Requests that wait for nothing else are answered; the client hears it."""
        for seq, verdicts in [each for each in self.by_http if each[1][0].commit is commit]:
            self.by_http.remove((seq, verdicts))
            refused = conclude(verdicts, lost).verdicts.refused
            give_up_refused(refused, verdicts, self.talk.principal, self.house)
            self.learn(seq, refused[0].retryable if refused else None)

    @rule(hears_the_last=st.booleans())
    def reconnect(self, *, hears_the_last: bool) -> None:
        """The socket is gone, perhaps with a report; what has no verdict is to come again."""
        if not hears_the_last:
            self.talk.report()
        self.queued |= set(self.under_way.values()) - {0}
        self.connect()

    # What the world does.

    @rule(lane=st.sampled_from(LANES))
    def begin_sync(self, lane: Lane) -> None:
        """What comes next goes to another commit."""
        self.filled[lane].append(self.disk.next_commit(lane))

    @rule(
        lane=st.sampled_from(LANES),
        how=st.sampled_from(["held", "held", "failed", "late"]),
        is_told=mostly,
    )
    def end_sync(self, lane: Lane, how: str, *, is_told: bool) -> None:
        """The lane's oldest commit ends, or is waited for no longer."""
        if not self.filled[lane]:
            self.begin_sync(lane)
        commit = self.filled[lane][0]
        if how == "late":
            self.overdue.add(commit)
            self.disk.refuses[lane] = FAILED
        else:
            self.filled[lane].pop(0)
            self.overdue.discard(commit)
            self.disk.refuses.pop(lane, None)
            if how == "held":
                self.durable.update(self.disk.carried.get(commit, ()))
            self.house.recall.settle(commit, held=how == "held")
        reject = None if how == "held" else FAILED
        for talk in self.listeners.pop(commit, ()):
            self.count(talk.settle(commit, reject))
        self.answer_http(commit, {commit: reject} if reject else {})
        if is_told:
            self.report()

    @rule(lane=st.sampled_from(LANES), is_hard=st.booleans())
    def press(self, lane: Lane, *, is_hard: bool) -> None:
        """A lane has no room, the node too much to do; or not any more."""
        if lane is Lane.TELEMETRY:
            self.pressure.is_high = is_hard
        elif is_hard:
            self.disk.refuses.setdefault(lane, FULL)
        elif self.disk.refuses.get(lane) is FULL:
            del self.disk.refuses[lane]

    # What the client learns.

    def report(self) -> None:
        """It hears one report, if there is anything to be told, and believes it."""
        text = self.talk.report()
        assert self.talk.report() is None
        if text is None:
            return
        report = msgspec.json.decode(text, type=VerdictsOp)
        for entry in report.refused:
            seq = self.under_way.pop((entry.frame, entry.index))
            assert entry.seq == (seq or None)
            if seq:
                self.learn(seq, entry.retryable)
                self.told_to_retry |= {seq} if entry.retryable else set()
        for place, seq in list(self.under_way.items()):
            if is_done(seq, report):
                assert seq in self.durable, "believed to be accepted"
                del self.under_way[place]
                self.learn(seq, None)
        self.believe_naively(report)

    def believe_naively(self, report: VerdictsOp) -> None:
        """A number that waits to be sent again is not called done, but for below the window."""
        floor = max(self.durable, default=0) - WINDOW
        for seq in self.told_to_retry:
            assert not is_done(seq, report) or seq in self.durable or seq < floor

    def learn(self, seq: int, is_retryable: bool | None) -> None:  # noqa: FBT001  # three answers
        """One verdict: refused, to be sent again, or (``None``) accepted."""
        self.queued.discard(seq)
        if is_retryable is None:
            assert seq in self.durable
            self.fates[seq] = "accepted"
        elif is_retryable:
            self.queued.add(seq)
        else:
            self.fates[seq] = "refused"

    @override
    def teardown(self) -> None:
        """When every sync has ended, every event has its verdict, and was counted once."""
        self.disk.refuses.clear()
        for lane in LANES:
            self.begin_sync(lane)
            while self.filled[lane]:
                self.end_sync(lane, "held", is_told=False)
        self.report()
        assert self.under_way == {}
        assert self.events_counted == self.events_heard
        assert Counter(talk.bytes_in_flight for talk in self.talks) == {0: len(self.talks)}


def is_done(seq: int, report: VerdictsOp) -> bool:
    """Whether the report says so."""
    is_missing = any(first <= seq <= last for first, last in report.missing)
    return seq <= report.settled or (seq <= report.highest and not is_missing)


def test_a_client_that_believes_its_reports_is_never_wrong() -> None:
    run_state_machine_as_test(
        ConversationStory,
        settings=settings(max_examples=200, stateful_step_count=50, deadline=None),
    )
