"""Marks on numbers: they count as done, within reach, until somebody takes them back."""

import pytest
from hypothesis import given, strategies as st

from edge.core.given_up import GivenUp

LAST = 2**31 - 1
ADA = 0xADA
REACH = 4


def done(marks: GivenUp, highest: int) -> set[int]:
    """The numbers above *highest* that count as done, where it and nothing else is durable."""
    top, missing = marks.fill(ADA, highest, 0)
    return {
        n for n in range(highest + 1, top + 1) if n == top or not missing >> top - 1 - n & 1
    }


def marked(*seqs: int, highest: int = 0, reach: int = REACH) -> GivenUp:
    """Ada's marks on these numbers."""
    marks = GivenUp(reach)
    for seq in seqs:
        marks.add(ADA, seq, highest)
    return marks


@pytest.mark.parametrize(
    ("seqs", "expected"),
    [
        pytest.param([1], {1}, id="the next"),
        pytest.param([2], {2}, id="one is left out"),
        pytest.param([1, 2, 4], {1, 2, 4}, id="upwards"),
        pytest.param([4, 2, 1], {1, 2, 4}, id="downwards"),
        pytest.param([3, 3], {3}, id="twice"),
        pytest.param([5], set[int](), id="out of reach"),
        pytest.param([2, LAST], {2}, id="far out of reach"),
    ],
)
def test_what_is_marked_within_reach_counts_as_done(
    seqs: list[int], expected: set[int]
) -> None:
    assert done(marked(*seqs), 0) == expected


def test_marks_fill_holes_below_the_highest() -> None:
    """9 is durable, 5 to 8 are missing."""
    marks = marked(6, 8, highest=9)

    assert marks.fill(ADA, 9, 0b1111) == (9, 0b1010)


def test_marks_reach_down_as_far_as_up() -> None:
    assert marked(4, highest=9).fill(ADA, 9, 0b11111) == (9, 0b11111)
    assert marked(5, highest=9).fill(ADA, 9, 0b1111) == (9, 0b0111)


def test_marks_that_are_out_of_reach_by_now_are_nothing() -> None:
    marks = marked(10, highest=9)

    assert marks.fill(ADA, 5, 0) == (5, 0)
    assert marks.fill(ADA, LAST, 1) == (LAST, 1)
    assert marks.fill(ADA, 6, 0) == (10, 0b111)


def test_marks_out_of_reach_make_room_for_new_ones() -> None:
    marks = marked(10, 11, highest=9)

    marks.add(ADA, 1_000, 1_000)

    assert marks.top(ADA) == 1_000
    assert marks.fill(ADA, 9, 0) == (9, 0)


@pytest.mark.parametrize(
    ("taken_back", "expected"),
    [
        pytest.param([4], {1, 3}, id="the top"),
        pytest.param([4, 3], {1}, id="one top after the other"),
        pytest.param([3], {1, 4}, id="another"),
        pytest.param([2], {1, 3, 4}, id="none"),
        pytest.param([5, LAST], {1, 3, 4}, id="none, above"),
        pytest.param([1, 3, 4], set[int](), id="all"),
    ],
)
def test_a_mark_that_is_taken_back_is_gone(taken_back: list[int], expected: set[int]) -> None:
    marks = marked(1, 3, 4)

    for seq in taken_back:
        marks.drop(ADA, seq)

    assert done(marks, 0) == expected
    assert (ADA in marks.marks) == bool(expected)


def test_to_take_back_what_is_far_below_costs_nothing() -> None:
    """A shift by 2^31 bits would take 256 MiB."""
    marks = marked(LAST, highest=LAST)

    marks.drop(ADA, 1)

    assert marks.top(ADA) == LAST


def test_who_has_no_marks_has_none_to_take_back() -> None:
    marks = GivenUp(REACH)

    marks.drop(ADA, 1)

    assert (len(marks), marks.top(ADA), marks.fill(ADA, 7, 0b1)) == (0, 0, (7, 0b1))


def test_the_session_longest_without_a_new_mark_goes_first() -> None:
    marks = GivenUp(REACH, sessions_max=2)
    for session in (1, 2, 1, 3):
        marks.add(session, 1, 0)

    assert [session in marks.marks for session in (1, 2, 3)] == [True, False, True]
    assert len(marks) == 2


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 14), st.integers(0, 10)), max_size=30))
def test_marks_agree_with_a_set(history: list[tuple[bool, int, int]]) -> None:
    """Planted: the highest mark's next is one too low; the old top is lost under a new one."""
    marks, expected = GivenUp(REACH), set[int]()
    for is_added, seq, highest in history:
        if not is_added:
            marks.drop(ADA, seq)
            expected.discard(seq)
        elif abs(seq - highest) <= REACH:
            marks.add(ADA, seq, highest)
            if abs(max(expected, default=seq) - highest) > REACH:
                expected.clear()
            expected.add(seq)
            expected = {n for n in expected if max(expected) - n <= 2 * REACH}  # the bound
        for top in range(15):
            in_reach = expected and abs(max(expected) - top) <= REACH
            seen = {n for n in expected if n > top} if in_reach else set[int]()
            assert done(marks, top) == seen
        assert marks.top(ADA) == max(expected, default=0)
