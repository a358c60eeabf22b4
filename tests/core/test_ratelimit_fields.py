"""The fields say what is left, as structured fields, and Retry-After is never too early."""

import pytest
from hypothesis import given, strategies as st

from edge.core.instant import NS_PER_S
from edge.core.limit import Quota, QuotaState
from edge.core.ratelimit_fields import fields, retry_after

PLAYER = Quota(name="player", quota=1200, window_s=60, burst=200)
NODE = Quota(name="node", quota=10_000, window_s=1, burst=500)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        pytest.param([], (), id="no quota, no field"),
        pytest.param(
            [QuotaState(PLAYER, 0, 12)],
            (
                (b"ratelimit-policy", b'"player";q=1200;w=60'),
                (b"ratelimit", b'"player";r=0;t=12'),
            ),
            id="one, as in the draft",
        ),
        pytest.param(
            [QuotaState(PLAYER, 7, 1), QuotaState(NODE, 500, 0)],
            (
                (b"ratelimit-policy", b'"player";q=1200;w=60, "node";q=10000;w=1'),
                (b"ratelimit", b'"player";r=7;t=1, "node";r=500;t=0'),
            ),
            id="several are a list",
        ),
    ],
)
def test_the_fields_are_written_so(
    states: list[QuotaState], expected: tuple[tuple[bytes, bytes], ...]
) -> None:
    assert fields(states) == expected


@pytest.mark.parametrize(
    ("wait_ns", "expected"),
    [(0, 1), (1, 1), (NS_PER_S, 1), (NS_PER_S + 1, 2), (12 * NS_PER_S - 1, 12)],
)
def test_retry_after_is_whole_seconds_rounded_up(wait_ns: int, expected: int) -> None:
    assert retry_after(wait_ns) == expected


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**6), max_size=3))
def test_retry_after_is_never_earlier_than_the_wait_or_a_t(
    wait_ns: int, more: list[int]
) -> None:
    states = [QuotaState(PLAYER, 0, more_s) for more_s in more]

    seconds = retry_after(wait_ns, states)

    assert seconds * NS_PER_S >= max(wait_ns, NS_PER_S)
    assert seconds >= max(more, default=1)
