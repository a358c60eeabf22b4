"""Percentiles by rank, ratios round by round."""

import pytest

from loadtests.bench.figures import Slice, Spread, percentile, percentile_ms, ratio


def a_slice(events: int, cpu_ns: int) -> Slice:
    """One that took half a second."""
    return Slice(
        requests=events // 2,
        events=events,
        elapsed_ns=500_000_000,
        cpu_ns=cpu_ns,
        latencies_ns=[1],
        rss_bytes=1,
    )


def test_rates_are_told_by_the_wall_and_by_the_processor() -> None:
    took = a_slice(events=1_000, cpu_ns=250_000_000)

    rates = (took.requests_per_s, took.events_per_s, took.events_per_cpu_s)

    assert rates == (1_000, 2_000, 4_000)


@pytest.mark.parametrize(
    ("share", "expected"), [(0.5, 50), (0.99, 99), (0.991, 100), (1.0, 100), (0.001, 1)]
)
def test_a_percentile_is_one_of_the_values(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert percentile([7], 0.99) == 7


def test_one_bad_round_does_not_move_the_percentile_that_is_told() -> None:
    rounds = [[1_000_000, 2_000_000], [1_000_000, 3_000_000], [1_000_000, 900_000_000]]

    assert percentile_ms(rounds, 0.99) == 3.0


def test_a_machine_that_slows_down_changes_no_ratio() -> None:
    ours = [a_slice(100, cpu_ns) for cpu_ns in (2_000, 4_000, 40_000)]
    theirs = [a_slice(100, cpu_ns) for cpu_ns in (1_000, 2_000, 20_000)]

    assert ratio(ours, theirs) == Spread(0.5, 0.5, 0.5)


def test_a_spread_holds_half_of_the_rounds() -> None:
    assert Spread.of([5.0, 1.0, 4.0, 2.0, 3.0]) == Spread(median=3.0, low=2.0, high=4.0)


def test_one_round_has_no_spread() -> None:
    assert Spread.of([3.0]) == Spread(3.0, 3.0, 3.0)
