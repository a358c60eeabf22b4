"""The lines of a slip: how many there are, and the most they can pay.

Every line is a bet of its own on some of the legs: the bankers, which stand in all of them,
and k of the others, for each k of the sizes. A single or an accumulator is the one line of
bankers alone, size 0. Amounts are exact integers; each line is rounded down by itself, as it
would be paid, so the sum cannot be had from polynomials over the odds: the lines are walked.

Source: catalogue.md, "Semantic invariants the edge checks without state".
"""

import math
from collections.abc import Sequence
from typing import Final

FOLDABLE_MAX: Final = 8
"""Legs among which a size chooses. 255 lines are 0.05 ms; 20 legs would be a second."""

ODDS_SCALE: Final = 10_000
"""Odds travel times 10,000."""


def line_count(foldable: int, sizes: Sequence[int]) -> int:
    """How many lines *sizes* make of *foldable* legs that are not bankers."""
    return sum(math.comb(foldable, size) for size in sizes)


def payout_minor_max(
    unit_minor: int, *, bankers: Sequence[int], others: Sequence[int], sizes: Sequence[int]
) -> int:
    """The most a slip can pay: the sum over its lines of unit times odds, each rounded down.

    Args:
        unit_minor: Stake of one line, minor units.
        bankers: Odds of the legs of every line, times 10,000.
        others: Odds of the legs that sizes choose from, times 10,000; at most
            :data:`FOLDABLE_MAX`.
        sizes: How many of *others* stand in a line; none of them twice.
    """
    assert len(others) <= FOLDABLE_MAX
    # Every subset of the others as (legs in the line, unit times the product of their odds).
    subsets = [(len(bankers), unit_minor * math.prod(bankers))]
    for odds_e4 in others:
        subsets += [(legs + 1, product * odds_e4) for legs, product in subsets]
    scales = {legs: ODDS_SCALE**legs for legs in (len(bankers) + size for size in sizes)}
    return sum(product // scales[legs] for legs, product in subsets if legs in scales)
