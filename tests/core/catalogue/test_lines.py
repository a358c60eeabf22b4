"""Lines are counted and priced as if each were written down as a bet of its own."""

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import given, strategies as st

from edge.core.catalogue.forms import INT_MAX
from edge.core.catalogue.lines import line_count, payout_minor_max

ODDS = st.integers(10_001, 10**9)
SIZES = st.sets(st.integers(0, 8)).map(sorted)


def lines_of(
    bankers: Sequence[int], others: Sequence[int], sizes: Sequence[int]
) -> list[tuple[int, ...]]:
    """Every line, as the odds of its legs."""
    return [
        (*bankers, *chosen) for size in sizes for chosen in itertools.combinations(others, size)
    ]


@pytest.mark.parametrize(
    ("foldable", "sizes", "count"),
    [
        pytest.param(0, [0], 1, id="single or accumulator"),
        pytest.param(3, [2, 3], 4, id="Trixie"),
        pytest.param(3, [1, 2, 3], 7, id="Patent"),
        pytest.param(4, [2, 3, 4], 11, id="Yankee"),
        pytest.param(5, [2, 3, 4, 5], 26, id="Canadian"),
        pytest.param(6, [2, 3, 4, 5, 6], 57, id="Heinz"),
        pytest.param(7, [2, 3, 4, 5, 6, 7], 120, id="Super Heinz"),
        pytest.param(8, [2, 3, 4, 5, 6, 7, 8], 247, id="Goliath"),
        pytest.param(8, [1, 2, 3, 4, 5, 6, 7, 8], 255, id="all there is"),
        pytest.param(3, [4], 0, id="more than there are"),
    ],
)
def test_named_systems_have_their_known_number_of_lines(
    foldable: int, sizes: list[int], count: int
) -> None:
    assert line_count(foldable, sizes) == count


@given(st.integers(0, 8), SIZES)
def test_lines_are_counted_as_if_written_down(foldable: int, sizes: list[int]) -> None:
    assert line_count(foldable, sizes) == len(lines_of([], [0] * foldable, sizes))


@pytest.mark.parametrize(
    ("unit_minor", "bankers", "others", "sizes", "payout_minor"),
    [
        pytest.param(1_000, [18_500], [], [0], 1_850, id="single"),
        pytest.param(1_000, [18_500, 21_000], [], [0], 3_885, id="accumulator"),
        pytest.param(100, [], [20_000] * 4, [2, 3, 4], 7_200, id="Yankee"),
        pytest.param(100, [30_000], [20_000] * 2, [1, 2], 2_400, id="banker in every line"),
        pytest.param(1, [], [19_999] * 3, [1], 3, id="each line rounded down"),
        pytest.param(0, [], [10**9] * 8, [8], 0, id="no stake"),
    ],
)
def test_a_payout_is_known_by_hand(
    unit_minor: int,
    bankers: list[int],
    others: list[int],
    sizes: list[int],
    payout_minor: int,
) -> None:
    bound = payout_minor_max(unit_minor, bankers=bankers, others=others, sizes=sizes)

    assert bound == payout_minor


@given(
    st.integers(0, INT_MAX),
    st.lists(ODDS, max_size=20),
    st.lists(ODDS, max_size=8),
    SIZES,
)
def test_a_payout_is_the_sum_of_lines_in_fractions(
    unit_minor: int, bankers: list[int], others: list[int], sizes: list[int]
) -> None:
    paid = [
        math.floor(unit_minor * math.prod(Fraction(odds, 10_000) for odds in line))
        for line in lines_of(bankers, others, sizes)
    ]

    bound = payout_minor_max(unit_minor, bankers=bankers, others=others, sizes=sizes)

    assert bound == sum(paid)


def test_a_system_too_large_to_walk_is_our_own_bug() -> None:
    with pytest.raises(AssertionError):
        payout_minor_max(1, bankers=[], others=[20_000] * 9, sizes=[1])
