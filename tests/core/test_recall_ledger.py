"""Recall against a ledger: lists and sets without hashes or bounds, told the same story."""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edge.core.event import Event, Spec
from edge.core.frame import row_of
from edge.core.key_index import page_of
from edge.core.lane import Lane
from edge.core.principal import Principal
from edge.core.record import Footprint
from edge.core.reject import Reason
from edge.core.session_window import WINDOW, Standing
from tests.fakes_recall import CONFLICT, WINDOW_S, Answer, House
from tests.fakes_stages import (
    FACT,
    INTENT,
    NOW_MS,
    OBSERVATION,
    PLAYER,
    SERVICE,
    FakeCommit,
    Note,
    at,
    client_event,
    event_id,
    fact,
    with_wire,
)

LAST: Final = 2**31 - 1
LANES: Final = (Lane.BET, Lane.TELEMETRY)  # of the types that the story tells of
WINDOW_MS: Final = WINDOW_S * 1000


class Name(NamedTuple):
    """Something an event is known by.

    Attributes:
        name: The id in its scope, or a business key in its.
        content: What a second copy must equal.
        pointer: Where a conflict points.
    """

    name: Hashable
    content: Hashable
    pointer: str


def names(event: Event, brand: str) -> list[Name]:
    """All an event is known by, in the order in which recall asks."""
    wire, spec = event.wire, event.spec
    assert isinstance(wire.data, Note)
    first, second = wire.data.first, wire.data.second
    without_first = (spec.type, wire.subject, brand, second, wire.data.body)
    content = (*without_first, first)
    named = [Name((spec is FACT, wire.id), content, "/id")]
    if spec is INTENT:
        named.append(Name(("first", spec.type, first), content, "/data/first"))
        named.append(Name(("second", spec.type, second), content, "/subject"))
    if spec is FACT:
        named.append(Name(("first", spec.type, brand, first), content, "/data/first"))
        named.append(Name(("second", spec.type, brand, second), without_first, "/data/second"))
    return named


@dataclass(eq=False)
class Line:
    """One event that was let in; *commit* is ``None`` once it is durable."""

    event: Event
    names: list[Name]
    footprint: Footprint
    accepted_ms: int
    commit: FakeCommit | None


@dataclass
class Ledger:
    """What an honest clerk would write down.

    Attributes:
        lines: Events, in order.
        seen: Durable numbers of the one session.
        pending: Pending numbers, each with its commit.
    """

    lines: list[Line] = field(default_factory=list[Line])
    seen: set[int] = field(default_factory=set[int])
    pending: list[tuple[int, FakeCommit]] = field(default_factory=list[tuple[int, FakeCommit]])

    def answer(self, event: Event, brand: str, now_ms: int) -> Answer:
        """Rule 2, and where it does not decide, rule 4."""
        since_ms = now_ms - WINDOW_MS
        for asked in names(event, brand):
            for line in reversed(self.lines):
                known = {name.name: name.content for name in line.names}
                is_same_lane = line.event.spec.lane is event.spec.lane
                if asked.name in known and is_same_lane and line.accepted_ms >= since_ms:
                    if known[asked.name] != asked.content:
                        return CONFLICT, asked.pointer
                    self.count(event.wire.seq, line.commit)
                    return "duplicate", line.commit
        return self.number(event, since_ms)

    def number(self, event: Event, since_ms: int) -> Answer:
        """Rule 4, and rule 5 for numbers."""
        seq = event.wire.seq
        if seq is None:
            return Standing.IN_ORDER
        waiting = [commit for number, commit in self.pending if number == seq]
        if seq < max(self.seen, default=0) - WINDOW:
            return Reason.SEQUENCE_TOO_OLD, "/seq"
        if seq in self.seen or waiting:
            if event.time_ms >= since_ms:
                return CONFLICT, "/seq"
            return "duplicate", None if seq in self.seen else waiting[0]
        highest = max([*self.seen, *(number for number, _ in self.pending)], default=0)
        if seq < highest:
            return Standing.LATE
        return Standing.IN_ORDER if seq == highest + 1 else Standing.SEQ_GAP

    def count(self, seq: int | None, commit: FakeCommit | None) -> None:
        """*seq* is seen, or will be if *commit* holds; below the window nothing is kept."""
        if seq is None:
            return
        if commit is not None:
            if (seq, commit) not in self.pending:
                self.pending.append((seq, commit))
        elif seq >= max(self.seen, default=0) - WINDOW:
            self.seen.add(seq)

    def settle(self, commit: FakeCommit, *, held: bool) -> None:
        """All lines and numbers of *commit* are durable, or never were."""
        if not held:
            self.lines = [line for line in self.lines if line.commit is not commit]
        for line in self.lines:
            line.commit = None if line.commit is commit else line.commit
        numbers = [seq for seq, carrier in self.pending if carrier is commit]
        self.pending = [entry for entry in self.pending if entry[1] is not commit]
        for seq in numbers if held else ():
            self.count(seq, None)

    def reopen(self) -> list[Line]:
        """A restart leaves durable lines, and the numbers that stand in them."""
        self.lines = [line for line in self.lines if line.commit is None]
        self.pending, self.seen = [], set()
        for line in self.lines:
            self.count(line.event.wire.seq, None)
        return self.lines


class RecallStory(RuleBasedStateMachine):
    """Whatever happens, in whatever order, recall answers as the ledger does."""

    def __init__(self) -> None:
        super().__init__()
        self.house = House()
        self.ledger = Ledger()
        self.now_ms = NOW_MS
        self.unsettled: list[FakeCommit] = []

    @rule(
        spec=st.sampled_from([INTENT, OBSERVATION, FACT]),
        number=st.integers(1, 4),
        seq=st.sampled_from([1, 2, 3, 4, WINDOW + 2, WINDOW + 3, LAST]),
        note=st.builds(Note, st.sampled_from("ab"), st.sampled_from("ab"), st.integers(0, 1)),
        brand=st.sampled_from(["acme", "acme", "other"]),
        age_ms=st.sampled_from([0, WINDOW_MS, WINDOW_MS + 1]),
    )
    def send(
        self, spec: Spec, number: int, seq: int, note: Note, brand: str, age_ms: int
    ) -> None:
        """An event comes, from a world so small that most are related."""
        if spec is FACT:
            principal = SERVICE
            event = with_wire(fact(number=number, note=note), brand=brand)
        else:
            principal = msgspec.structs.replace(PLAYER, brand=brand)
            event = with_wire(client_event(spec, seq=seq, note=note), id=event_id(number))
        event = msgspec.structs.replace(event, time_ms=self.now_ms - age_ms)

        expected = self.ledger.answer(event, brand, self.now_ms)
        assert self.house.ask(event, at(self.now_ms), principal) == expected

        if isinstance(expected, Standing):
            self.let_in(event, principal, brand)

    def let_in(self, event: Event, principal: Principal, brand: str) -> None:
        """A first copy joins the commit of its lane."""
        lane = event.spec.lane
        commit = self.house.commits.get(lane)
        if commit is None:
            commit = self.house.commits[lane] = FakeCommit(lane)
            self.unsettled.append(commit)
        footprint = self.house.footprints.of(event, principal)
        self.house.recall.remember(lane, footprint, self.now_ms, commit)
        line = Line(event, names(event, brand), footprint, self.now_ms, commit)
        self.ledger.lines.append(line)
        self.ledger.count(event.wire.seq, commit)

    @rule(lane=st.sampled_from(LANES))
    def begin_sync(self, lane: Lane) -> None:
        """What comes next goes to another commit."""
        self.house.commits.pop(lane, None)

    @precondition(lambda self: self.unsettled)
    @rule(lane=st.sampled_from(LANES), held=st.booleans())
    def settle(self, lane: Lane, *, held: bool) -> None:
        """The oldest commit of a lane ends well or badly, if it has one."""
        for commit in [commit for commit in self.unsettled if commit.lane is lane][:1]:
            self.unsettled.remove(commit)
            if self.house.commits.get(lane) is commit:
                del self.house.commits[lane]
            self.house.recall.settle(commit, held=held)
            self.ledger.settle(commit, held=held)

    @rule(ms=st.sampled_from([1, WINDOW_MS // 2, WINDOW_MS, WINDOW_MS + 1]))
    def wait(self, ms: int) -> None:
        """Time passes: up to the window's last moment, and beyond."""
        self.now_ms += ms

    @rule()
    def restart(self) -> None:
        """The process is killed; what is durable is read back, oldest first."""
        self.unsettled.clear()
        self.house.restart()
        for line in self.ledger.reopen():
            lane = line.event.spec.lane
            page = page_of(row_of(line.footprint, line.accepted_ms))
            self.house.recall.rebuild(lane, page)

    @invariant()
    def what_is_pending_is_counted(self) -> None:
        """Every name of every pending line, and nothing else."""
        counted = self.house.recall.statistics().pending
        for lane in LANES:
            waiting = [
                len(line.names)
                for line in self.ledger.lines
                if line.commit is not None and line.event.spec.lane is lane
            ]
            assert counted[lane] == sum(waiting)


def test_recall_and_a_ledger_without_bounds_always_agree() -> None:
    run_state_machine_as_test(
        RecallStory, settings=settings(max_examples=150, stateful_step_count=30, deadline=None)
    )
