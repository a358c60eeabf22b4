"""A key may take its burst at once, then its rate to the ns, and never more."""

from collections.abc import Iterable
from itertools import product
from typing import TypeAlias

import pytest
from hypothesis import given, strategies as st

from edge.core.gcra import Buckets
from edge.core.instant import NS_PER_S
from tests.fakes_limit import FractionBuckets

Visit: TypeAlias = tuple[int, str, int]  # ns since the last visit, key, units


def waits(buckets: Buckets, visits: Iterable[Visit]) -> list[int]:
    """What each visit was told."""
    now_ns, told = 0, list[int]()
    for gap_ns, key, units in visits:
        now_ns += gap_ns
        told.append(buckets.take(key, units, now_ns))
    return told


def exact_waits(buckets: FractionBuckets, visits: Iterable[Visit]) -> list[int]:
    """What each visit should be told."""
    now_ns, told = 0, list[int]()
    for gap_ns, key, units in visits:
        now_ns += gap_ns
        told.append(buckets.wait_ns(key, units, now_ns))
        if not told[-1]:
            buckets.take(key, units, now_ns)
    return told


@pytest.mark.parametrize(("quota", "window_s", "burst"), [(1, 1, 2), (3, 1, 2), (7, 3, 3)])
def test_every_small_schedule_is_told_the_exact_wait(
    quota: int, window_s: int, burst: int
) -> None:
    """Exhaustive: gaps about one interval and one bucket; nothing is rounded."""
    interval_ns = window_s * NS_PER_S // quota
    gaps_ns = (0, interval_ns, interval_ns + 1, interval_ns * burst + 1)
    steps = [(gap_ns, "ada", units) for gap_ns in gaps_ns for units in (1, 2)]

    for visits in product(steps, repeat=4):
        limits = {"quota": quota, "window_s": window_s, "burst": burst}
        told = waits(Buckets(**limits), visits)
        assert told == exact_waits(FractionBuckets(**limits), visits), visits


def test_forgetting_changes_no_decision() -> None:
    """Exhaustive: two keys, in steps of half a bucket; who forgets one of them is caught."""
    limits = {"quota": 1, "window_s": 1, "burst": 2}
    steps = [
        (gap_s * NS_PER_S, key, units)
        for gap_s in (0, 1, 2)
        for key, units in (("ada", 1), ("ada", 2), ("bob", 1))
    ]
    for visits in product(steps, repeat=4):
        told = waits(Buckets(**limits), visits)
        assert told == exact_waits(FractionBuckets(**limits), visits), visits


@given(
    quota=st.integers(1, 50),
    window_s=st.integers(1, 60),
    burst=st.integers(2, 20),
    visits=st.lists(
        st.tuples(
            st.one_of(
                st.sampled_from([0, 1, NS_PER_S, 7 * NS_PER_S]), st.integers(0, 90 * NS_PER_S)
            ),
            st.sampled_from("abc"),
            st.integers(0, 2),
        ),
        max_size=40,
    ),
)
def test_no_schedule_of_several_keys_is_told_otherwise(
    quota: int, window_s: int, burst: int, visits: list[Visit]
) -> None:
    told = waits(Buckets(quota=quota, window_s=window_s, burst=burst), visits)

    assert told == exact_waits(
        FractionBuckets(quota=quota, window_s=window_s, burst=burst), visits
    )
    taken = sum(
        units for wait_ns, (_, _, units) in zip(told, visits, strict=True) if not wait_ns
    )
    elapsed_ns = sum(gap_ns for gap_ns, _, _ in visits)
    keys = len({key for _, key, _ in visits})
    assert taken <= keys * (burst + elapsed_ns * quota / (window_s * NS_PER_S))


@given(quota=st.integers(1, 1000), burst=st.integers(1, 50), late_ns=st.integers(0, NS_PER_S))
def test_the_wait_is_exact_to_the_ns(quota: int, burst: int, late_ns: int) -> None:
    buckets = Buckets(quota=quota, window_s=1, burst=burst)
    buckets.take("ada", burst, 0)
    wait_ns = buckets.take("ada", 1, late_ns)

    if wait_ns:
        assert buckets.take("ada", 1, late_ns + wait_ns - 1) == 1
        assert buckets.take("ada", 1, late_ns + wait_ns) == 0


def test_a_quota_that_divides_nothing_is_admitted_to_the_ns_forever() -> None:
    """7 a second; were an interval cut to whole ns, each would come some ns earlier."""
    buckets = Buckets(quota=7, window_s=1, burst=2)
    buckets.take("ada", 2, 0)

    for number in range(1, 700):
        due_ns = -(-number * NS_PER_S // 7)
        assert buckets.take("ada", 1, due_ns - 1) == 1
        assert buckets.take("ada", 1, due_ns) == 0


def test_what_is_given_back_was_never_taken() -> None:
    buckets = Buckets(quota=1, window_s=1, burst=3)
    buckets.take("ada", 2, 0)

    buckets.take("ada", 1, 0)
    buckets.give_back("ada", 1)
    buckets.give_back("ada", 0)

    assert buckets.room("ada", 0) == (1, NS_PER_S)


@pytest.mark.parametrize(
    ("taken", "now_ns", "expected"),
    [
        pytest.param(0, 0, (3, 0), id="a full burst has nothing to come"),
        pytest.param(3, 0, (0, NS_PER_S), id="an empty one, in one interval"),
        pytest.param(3, 1, (0, NS_PER_S - 1), id="or what is left of it"),
        pytest.param(3, NS_PER_S, (1, NS_PER_S), id="one more is there, the next follows"),
        pytest.param(3, 3 * NS_PER_S - 1, (2, 1), id="nearly full"),
        pytest.param(3, 3 * NS_PER_S, (3, 0), id="full again"),
    ],
)
def test_room_and_the_time_to_one_more(
    taken: int, now_ns: int, expected: tuple[int, int]
) -> None:
    buckets = Buckets(quota=1, window_s=1, burst=3)
    buckets.take("ada", taken, 0)

    assert buckets.room("ada", now_ns) == expected


def test_drained_keys_are_forgotten() -> None:
    buckets = Buckets(quota=1, window_s=1, burst=1)
    for number in range(10):
        buckets.take(f"key {number}", 1, 0)

    buckets.take("ada", 1, NS_PER_S)
    buckets.take("ada", 1, 2 * NS_PER_S)

    assert (len(buckets), buckets.forgotten_early) == (2, 0)


def test_after_two_drains_both_generations_are_forgotten_at_once() -> None:
    buckets = Buckets(quota=1, window_s=1, burst=1)
    for number in range(10):
        buckets.take(f"key {number}", 1, 0)

    buckets.take("ada", 1, 2 * NS_PER_S)

    assert (len(buckets), buckets.forgotten_early) == (1, 0)


def test_free_events_leave_no_key_behind() -> None:
    buckets = Buckets(quota=1, window_s=1, burst=1)

    buckets.take("ada", 0, 0)

    assert len(buckets) == 0


def test_a_full_table_forgets_early_counts_it_and_errs_on_admitting() -> None:
    buckets = Buckets(quota=1, window_s=1, burst=1, keys_max=4)

    told = [buckets.take(key, 1, 0) for key in ("a", "b", "c", "d", "e")]

    assert told == [0] * 5
    assert (len(buckets), buckets.forgotten_early) == (3, 2)
    assert [buckets.take(key, 1, 0) > 0 for key in ("c", "d", "e")] == [True] * 3
    assert buckets.take("a", 1, 0) == 0


def test_a_key_that_is_already_there_makes_nobody_forgotten() -> None:
    buckets = Buckets(quota=1, window_s=1, burst=9, keys_max=4)

    for key in ("a", "b", "a", "b"):
        buckets.take(key, 1, 0)

    assert (len(buckets), buckets.forgotten_early) == (2, 0)


@pytest.mark.parametrize("zero", ["quota", "window_s", "burst"])
def test_a_quota_of_nothing_is_our_mistake(zero: str) -> None:
    with pytest.raises(AssertionError):
        Buckets(**{"quota": 1, "window_s": 1, "burst": 1} | {zero: 0})
