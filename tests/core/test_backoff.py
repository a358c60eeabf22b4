"""``edge.core.backoff``: every step of the breaker, and how long it waits."""

import pytest
from hypothesis import given, strategies as st

from edge.core.backoff import SPAN_MAX_NS, SPAN_MIN_NS, TRIP_FAILURES, Breaker, State

NOW_NS = 1_000_000_000_000
MS = 1_000_000

STEPS = {
    "one failure is bad luck": (Breaker(), Breaker(State.CLOSED, 1, NOW_NS + 50 * MS)),
    "the second waits twice as long": (
        Breaker(State.CLOSED, 1, 0),
        Breaker(State.CLOSED, 2, NOW_NS + 100 * MS),
    ),
    "the last of a row opens it": (
        Breaker(State.CLOSED, TRIP_FAILURES - 1, 0),
        Breaker(State.OPEN, TRIP_FAILURES, NOW_NS + 800 * MS),
    ),
    "a failed probe opens it again": (
        Breaker(State.HALF_OPEN, TRIP_FAILURES, 0),
        Breaker(State.OPEN, TRIP_FAILURES + 1, NOW_NS + 1_600 * MS),
    ),
    "the span stops growing": (
        Breaker(State.HALF_OPEN, 1_000_000, 0),
        Breaker(State.OPEN, 1_000_001, NOW_NS + 2_500 * MS),
    ),
}


@pytest.mark.parametrize(("before", "after"), STEPS.values(), ids=STEPS)
def test_a_failure_takes_the_breaker_one_step_on(before: Breaker, after: Breaker) -> None:
    assert before.failed(NOW_NS, 0.5) == after


@pytest.mark.parametrize(
    ("before", "state"),
    [(State.CLOSED, State.CLOSED), (State.OPEN, State.HALF_OPEN)],
    ids=["closed", "open"],
)
def test_only_an_open_breaker_makes_a_try_a_probe(before: State, state: State) -> None:
    assert Breaker(before, 7, NOW_NS).trying() == Breaker(state, 7, NOW_NS)


def test_the_wait_runs_out() -> None:
    breaker = Breaker(State.OPEN, 9, NOW_NS)

    assert breaker.wait_ns(NOW_NS - 3) == 3
    assert breaker.wait_ns(NOW_NS) == 0
    assert breaker.wait_ns(NOW_NS + 3) == 0


@given(
    failures=st.integers(0, 10**6),
    draw=st.floats(0, 1, exclude_max=True),
)
def test_no_wait_is_longer_than_its_span(failures: int, draw: float) -> None:
    after = Breaker(State.CLOSED, failures).failed(NOW_NS, draw)

    assert 0 <= after.wait_ns(NOW_NS) <= min(SPAN_MAX_NS, SPAN_MIN_NS * 2 ** min(failures, 20))
