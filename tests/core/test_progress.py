"""Bits become what a client is told: nothing is called done that is not."""

from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from edge.core.progress import MISSING_RANGES_MAX, Progress, progress_of
from edge.core.session_window import WINDOW

Range = tuple[int, int]


@pytest.mark.parametrize(
    ("missing", "stragglers", "settled", "ranges"),
    [
        pytest.param([], [], 64, [], id="all done"),
        pytest.param([58, 59, 60], [], 57, [(58, 60)], id="one range"),
        pytest.param([58, 60, 63], [], 57, [(58, 58), (60, 60), (63, 63)], id="three ranges"),
        pytest.param([1], [], 0, [(1, 1)], id="the very first"),
        pytest.param([60], [8, 7, 3], 2, [(3, 3), (7, 8), (60, 60)], id="stragglers"),
        pytest.param([], [3], 2, [(3, 3)], id="stragglers only"),
    ],
)
def test_what_is_missing_is_told_in_ranges(
    missing: list[int], stragglers: list[int], settled: int, ranges: list[Range]
) -> None:
    bits = sum(1 << 63 - seq for seq in missing)

    assert progress_of(64, bits, stragglers) == Progress(settled, 64, ranges or ())


@pytest.mark.parametrize(
    ("stragglers", "first"), [([], 943), ([7], 7), ([9, 7], 7), (range(8, 500, 2), 8)]
)
def test_of_too_many_ranges_the_oldest_are_melted_into_one(
    stragglers: Sequence[int], first: int
) -> None:
    """Every second number of the last 2,058 is missing, and perhaps some far below."""
    bits = sum(1 << n for n in range(0, 2058, 2))

    progress = progress_of(3000, bits, stragglers)

    assert len(progress.missing) == MISSING_RANGES_MAX
    assert progress.missing[0] == (first, 951)
    assert progress.missing[1:] == [(n, n) for n in range(953, 3000, 2)]
    assert (progress.settled, progress.highest) == (first - 1, 3000)


def test_as_many_ranges_as_may_be_are_told_as_they_are() -> None:
    bits = sum(1 << n for n in range(0, 2 * MISSING_RANGES_MAX, 2))

    progress = progress_of(3000, bits, ())

    assert progress.missing == [(n, n) for n in range(951, 3000, 2)]


def test_all_the_holes_of_a_window_are_told_as_they_are() -> None:
    """Else what is durable between them has no verdict as long as they stay."""
    bits = sum(1 << n for n in range(0, WINDOW, 2))

    progress = progress_of(3000, bits, [7])

    assert progress.missing == [(7, 7), *((n, n) for n in range(3001 - WINDOW, 3000, 2))]


few = st.lists(st.sampled_from([0x00, 0x55, 0x5B, 0xFF]), max_size=9)
many = st.lists(st.sampled_from([0x55, 0x5B, 0xAA]), min_size=257, max_size=300)
numbers = (few | many).map(
    lambda octets: {n for n in range(1, 8 * len(octets)) if octets[n // 8] >> n % 8 & 1}
)


@given(numbers, st.just(0) | st.integers(1, 60))
def test_nothing_is_called_done_that_is_not_and_the_newest_are_exact(
    missing: set[int], below: int
) -> None:
    """Planted: a range melted too few; one that ends too early; the oldest left out."""
    highest = max(missing, default=0) + 1
    bits = sum(1 << highest - 1 - n for n in missing if n >= below)

    progress = progress_of(highest, bits, {n for n in missing if n < below})

    told = [n for first, last in progress.missing for n in range(first, last + 1)]
    assert progress.settled == min(missing, default=highest + 1) - 1
    assert missing <= set(told)
    assert told == sorted(set(told))
    exact = [n for first, last in progress.missing[1:] for n in range(first, last + 1)]
    assert set(exact) == {n for n in missing if n >= min(exact, default=highest)}
    is_cut = set(told) != missing
    assert is_cut <= (len(progress.missing) == MISSING_RANGES_MAX)
    assert len(progress.missing) <= MISSING_RANGES_MAX
