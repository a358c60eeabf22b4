"""Under pressure telemetry alone is shed, and of each session one event in sixteen is kept."""

import itertools

import pytest
from hypothesis import given, strategies as st

from edge.core.lane import Lane
from edge.core.reject import Reason, Reject
from edge.core.shed import KEPT_ONE_IN, Shedder
from tests.house import FakePressure

HIGH = FakePressure(is_high=True)


def is_kept(shedder: Shedder, session: int, lane: Lane = Lane.TELEMETRY) -> bool:
    """Send one event; tell whether it may go on."""
    try:
        shedder.shed(lane, session)
    except Reject:
        return False
    return True


def runs(fates: list[bool]) -> list[int]:
    """How many were shed before each that was kept, and after the last."""
    return [len(list(group)) for kept, group in itertools.groupby(fates) if not kept]


def test_what_is_shed_is_refused_for_good() -> None:
    shedder = Shedder(HIGH)
    is_kept(shedder, 7)

    with pytest.raises(Reject) as shed:
        shedder.shed(Lane.TELEMETRY, 7)

    assert (shed.value.reason, shed.value.retry_after_ns) == (Reason.LANE_SHED, None)


def test_nothing_is_shed_without_pressure() -> None:
    shedder = Shedder(FakePressure())

    assert all(is_kept(shedder, 7) for _ in range(100))
    assert len(shedder) == 0


@pytest.mark.parametrize("lane", set(Lane) - {Lane.TELEMETRY})
def test_no_other_lane_is_ever_shed(lane: Lane) -> None:
    shedder = Shedder(HIGH)

    assert all(is_kept(shedder, 7, lane) for _ in range(100))


@given(st.integers(1, 2**64 - 1), st.integers(1, 200))
def test_of_any_sixteen_of_a_session_exactly_one_is_kept(session: int, events: int) -> None:
    shedder = Shedder(HIGH)

    fates = [is_kept(shedder, session) for _ in range(events)]

    for first in range(events - KEPT_ONE_IN + 1):
        assert sum(fates[first : first + KEPT_ONE_IN]) == 1


@given(st.lists(st.integers(0, 40), max_size=400))
def test_no_session_counts_for_another(senders: list[int]) -> None:
    """However their events are mixed: each fares as if it were alone."""
    together, alone = Shedder(HIGH), {name: Shedder(HIGH) for name in senders}

    assert [is_kept(together, name) for name in senders] == [
        is_kept(alone[name], name) for name in senders
    ]


def test_sessions_are_kept_in_turn_and_not_all_at_once() -> None:
    shedder = Shedder(HIGH)

    for _ in range(3):
        assert sum(is_kept(shedder, session) for session in range(160)) == 10


def test_a_pressure_that_comes_and_goes_starves_no_session() -> None:
    pressure = FakePressure()
    shedder = Shedder(pressure)
    fates: list[bool] = []
    for step in range(320):
        pressure.is_high = step % 2 == 0
        fate = is_kept(shedder, 5)
        fates += [fate] if pressure.is_high else []

    assert max(runs(fates)) < KEPT_ONE_IN


@given(st.lists(st.integers(0, 9), max_size=300))
def test_counts_are_bounded_and_those_in_use_last(senders: list[int]) -> None:
    """Session 5 is counted through, whoever comes between, as long as they are few."""
    shedder = Shedder(HIGH, sessions_max=8)
    fates: list[bool] = []
    for name in senders:
        is_kept(shedder, 100 + name)
        fates.append(is_kept(shedder, 5))
        assert len(shedder) <= 8

    for first in range(len(fates) - KEPT_ONE_IN + 1):
        assert sum(fates[first : first + KEPT_ONE_IN]) == 1
