"""How far a session is: durable or given up is done, pending never is."""

from typing import Final

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from edge.core.headway import Headway
from edge.core.lane import Lane
from edge.core.progress import MISSING_RANGES_MAX, Progress
from edge.core.session_window import WINDOW, Sessions
from tests.fakes_stages import FakeCommit

LAST: Final = 2**31 - 1
ADA, BOB = 0xADA, 0xB0B
FOR_GOOD, RETRYABLE = False, True
NONE: Final[list[tuple[int, int]]] = []


class Session:
    """Ada's numbers, and how far she is."""

    def __init__(self, *durable: int) -> None:
        self.sessions = Sessions(4)
        self.headway = Headway(self.sessions)
        for seq in durable:
            self.sessions.mark(ADA, seq)

    def refuse(self, *seqs: int) -> "Session":
        """These were refused for good, and their sender was told."""
        self.headway.refuse(ADA, [(seq, FOR_GOOD) for seq in seqs])
        return self

    def pend(self, *seqs: int) -> FakeCommit:
        """These came, and wait for the commit that is returned."""
        commit = FakeCommit(Lane.BET)
        for seq in seqs:
            self.sessions.mark_pending(ADA, seq, commit)
        return commit

    def settle(self, commit: FakeCommit, *seqs: int, held: bool) -> None:
        """The commit of these ends."""
        for seq in seqs:
            self.sessions.settle(ADA, seq, commit, held=held)

    def progress(self) -> tuple[int, int, list[tuple[int, int]]]:
        """What a client is told."""
        progress = self.headway.progress(ADA)
        return progress.settled, progress.highest, list(progress.missing)


def test_all_the_holes_of_a_window_and_of_what_is_given_up_above_it_are_told() -> None:
    """Else what is durable between the oldest of them has no verdict as long as they stay."""
    ada = Session(*range(2, WINDOW + 1, 2)).refuse(*range(WINDOW + 2, 2 * WINDOW + 1, 2))

    assert ada.progress() == (0, 2 * WINDOW, [(n, n) for n in range(1, 2 * WINDOW, 2)])


def test_a_session_nobody_knows_is_at_nought() -> None:
    ada = Session()

    assert ada.progress() == (0, 0, [])
    assert ada.headway.next_seq(ADA) == 1
    assert not ada.headway.is_known(ADA)


@pytest.mark.parametrize(
    ("durable", "given_up", "expected"),
    [
        pytest.param([1, 2, 3], [], (3, 3, NONE), id="in order"),
        pytest.param([1, 2, 4], [], (2, 4, [(3, 3)]), id="a gap"),
        pytest.param([3], [], (0, 3, [(1, 2)]), id="begun late"),
        pytest.param([1, 2, 4], [3], (4, 4, NONE), id="a gap that is given up"),
        pytest.param([1], [2, 3], (3, 3, NONE), id="given up above the highest"),
        pytest.param([1], [3], (1, 3, [(2, 2)]), id="given up beyond a gap"),
        pytest.param([], [1, 2], (2, 2, NONE), id="nothing but refusals"),
        pytest.param([1, 2], [1], (2, 2, NONE), id="given up and durable"),
        pytest.param([1], [LAST], (1, 1, NONE), id="given up far above"),
        pytest.param(
            [1, LAST], [], (LAST - WINDOW - 1, LAST, [(LAST - WINDOW, LAST - 1)]), id="a jump"
        ),
        pytest.param(
            [WINDOW + 2], [2, 3], (3, WINDOW + 2, [(4, WINDOW + 1)]), id="the window's end"
        ),
        pytest.param([WINDOW + 5], [1], (4, WINDOW + 5, [(5, WINDOW + 4)]), id="below it"),
    ],
)
def test_settled_is_where_the_first_number_is_missing(
    durable: list[int], given_up: list[int], expected: object
) -> None:
    assert Session(*durable).refuse(*given_up).progress() == expected


def test_a_pending_number_is_missing_until_its_commit_holds() -> None:
    ada = Session(1, 3)
    commit = ada.pend(2, 4)
    assert ada.progress() == (1, 3, [(2, 2)])

    ada.settle(commit, 2, 4, held=True)

    assert ada.progress() == (4, 4, [])


def test_a_number_that_was_given_up_and_came_after_all_is_missing_while_it_is_pending() -> None:
    ada = Session(1, 3).refuse(2)
    commit = ada.pend(2)
    assert ada.progress() == (1, 3, [(2, 2)])

    ada.settle(commit, 2, held=False)

    assert ada.progress() == (1, 3, [(2, 2)])


def test_a_refusal_that_is_told_late_does_not_give_up_what_is_pending() -> None:
    ada = Session(1, 3)
    commit = ada.pend(2)

    ada.refuse(2)
    assert ada.progress() == (1, 3, [(2, 2)])

    ada.settle(commit, 2, held=False)
    assert ada.progress() == (1, 3, [(2, 2)])


def test_a_pending_number_below_the_window_is_missing_all_the_same() -> None:
    ada = Session(1)
    commit = ada.pend(2, 3, 5)
    for seq in range(6, WINDOW + 8):
        ada.sessions.mark(ADA, seq)
    highest = WINDOW + 7
    assert ada.progress() == (1, highest, [(2, 3), (5, 5)])

    ada.settle(commit, 2, 3, 5, held=False)

    assert ada.progress() == (highest, highest, [])


@pytest.mark.parametrize("highest", [WINDOW + 1, WINDOW + 2, WINDOW + 3, WINDOW + 4])
def test_a_pending_number_is_missing_on_both_sides_of_the_windows_end(highest: int) -> None:
    ada = Session(1)
    ada.pend(2)
    for seq in range(3, highest + 1):
        ada.sessions.mark(ADA, seq)

    assert ada.progress() == (1, highest, [(2, 2)])


def test_what_is_to_come_again_is_waited_for_again() -> None:
    ada = Session(1, 3).refuse(2)
    assert ada.progress() == (3, 3, [])

    ada.headway.refuse(ADA, [(2, RETRYABLE), (2, FOR_GOOD)])

    assert ada.progress() == (1, 3, [(2, 2)])


@pytest.mark.parametrize(
    ("durable", "pending", "given_up", "expected"),
    [
        pytest.param([4], [], [], 5, id="durable"),
        pytest.param([4], [7], [6], 8, id="pending"),
        pytest.param([4], [5], [9], 10, id="given up"),
    ],
)
def test_a_client_without_memory_goes_on_above_everything_that_came(
    durable: list[int], pending: list[int], given_up: list[int], expected: int
) -> None:
    ada = Session(*durable).refuse(*given_up)
    ada.pend(*pending)

    assert ada.headway.next_seq(ADA) == expected


def test_a_session_is_known_by_what_is_pending_or_durable() -> None:
    ada = Session().refuse(1)
    assert not ada.headway.is_known(ADA)

    commit = ada.pend(2)
    assert ada.headway.is_known(ADA)

    ada.settle(commit, 2, held=True)
    assert ada.headway.is_known(ADA)


def test_sessions_are_told_of_their_own_numbers() -> None:
    ada = Session(1, 2).refuse(3)

    assert ada.headway.progress(BOB) == Progress(0, 0)


class HeadwayStory(RuleBasedStateMachine):
    """Whatever happens, in whatever order, a client is told what sets of numbers say.

    Planted: marks stay on numbers that become pending; marks on pending numbers; a straggler
    not looked for; the window one number wider, or narrower; a failed number counts as durable.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sessions = Sessions(4)
        self.headway = Headway(self.sessions)
        self.strangers = 0
        self.durable = set[int]()
        self.marks = set[int]()
        self.commits: list[tuple[FakeCommit, set[int]]] = []

    @property
    def highest(self) -> int:
        """The highest durable number."""
        return max(self.durable, default=0)

    def pending(self) -> set[int]:
        """What waits for any commit."""
        return {seq for _, seqs in self.commits for seq in seqs}

    numbers = st.integers(1, 12) | st.integers(WINDOW - 3, WINDOW + 12)

    @rule(seq=numbers)
    def mark(self, seq: int) -> None:
        """A durable event's copy bore this number."""
        if seq >= self.highest - WINDOW:
            self.durable.add(seq)
        self.sessions.mark(ADA, seq)

    @rule(first=numbers, count=st.integers(1, 250), step=st.sampled_from([1, 2]))
    def mark_many(self, first: int, count: int, step: int) -> None:
        """As many as make the window move on, or full of holes."""
        for seq in range(first, first + count * step, step):
            self.mark(seq)

    @rule(seq=numbers, is_new=st.booleans())
    def come(self, seq: int, is_new: bool) -> None:  # noqa: FBT001  # drawn, never written
        """An event bears it, in the youngest commit or a new one."""
        if seq < self.highest - WINDOW:
            return
        if is_new or not self.commits:
            self.commits.append((FakeCommit(Lane.BET), set()))
        commit, seqs = self.commits[-1]
        if seq not in seqs:
            seqs.add(seq)
            self.sessions.mark_pending(ADA, seq, commit)
            self.marks.discard(seq)

    @precondition(lambda self: self.commits)
    @rule(which=st.integers(0, 3), held=st.booleans())
    def settle(self, which: int, *, held: bool) -> None:
        """Any commit ends: they may be of several lanes."""
        commit, seqs = self.commits.pop(which % len(self.commits))
        for seq in sorted(seqs):
            if held and seq >= self.highest - WINDOW:
                self.durable.add(seq)
            self.sessions.settle(ADA, seq, commit, held=held)

    @rule(told=st.lists(st.tuples(numbers, st.booleans()), max_size=4))
    def refuse(self, told: list[tuple[int, bool]]) -> None:
        """The client is told of refusals."""
        self.headway.refuse(ADA, told)
        for seq, is_retryable in told:
            in_reach = abs(seq - self.highest) <= WINDOW
            if in_reach and not is_retryable and seq not in self.pending():
                if abs(max(self.marks, default=seq) - self.highest) > WINDOW:
                    self.marks.clear()
                self.marks.add(seq)
        self.marks -= {seq for seq, is_retryable in told if is_retryable}

    @rule()
    def evict(self) -> None:
        """Others come, and this session is forgotten, but for what is pending."""
        for _ in range(4):
            self.strangers += 1
            self.sessions.mark(1_000 + self.strangers, 1)
        if self.sessions.remembered(ADA)[:2] == (0, 0):
            self.durable.clear()

    @invariant()
    def a_client_is_told_what_sets_say(self) -> None:
        """Number by number."""
        pending, floor = self.pending(), self.highest - WINDOW
        marks = self.marks
        if abs(max(marks, default=0) - self.highest) > WINDOW:
            marks = set[int]()
        highest = max(self.highest, *marks, 0)
        done = self.durable | marks | set(range(1, floor))
        below = {seq for seq in pending if seq < floor}
        missing = [n for n in range(1, highest) if n not in done or n in below]

        progress = self.headway.progress(ADA)

        assert progress.highest == highest
        assert progress.settled == (missing[0] - 1 if missing else highest)
        told = [n for first, last in progress.missing for n in range(first, last + 1)]
        if len(progress.missing) == MISSING_RANGES_MAX:
            assert set(missing) <= set(told)
        else:
            assert told == missing

    @invariant()
    def a_new_number_is_above_all_that_came(self) -> None:
        """However they fared."""
        expected = max(self.highest, *self.pending(), *self.marks, 0) + 1
        assert self.headway.next_seq(ADA) == expected
        assert self.headway.is_known(ADA) == bool(self.durable or self.pending())


def test_headway_and_sets_of_numbers_always_agree() -> None:
    run_state_machine_as_test(
        HeadwayStory, settings=settings(max_examples=150, stateful_step_count=30, deadline=None)
    )
