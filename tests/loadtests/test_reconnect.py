"""Who comes back, when, and with which token."""

import math
from random import Random

import pytest

from loadtests.jitter import Jitter
from loadtests.reconnect import ASKED_MAX_S, STEADY_S, Loss, Reconnect
from tests.fakes_replay import Longest

FINAL = [
    *(Loss(code=code) for code in (1002, 1003, 1007, 1009, 4403, 4409)),
    *(Loss(status=status) for status in (400, 403, 404, 405, 414, 426, 431)),
]
PASSING = [
    Loss(),
    *(Loss(code=code) for code in (1000, 1001, 1008, 1011, 1012, 1013, 4401, 4408, 4429)),
    *(Loss(status=status) for status in (401, 408, 429, 500, 502, 503)),
]


def reconnect(first_s: float = 1.0, most_s: float = 8.0) -> Reconnect:
    return Reconnect(Jitter(Longest(), first_s, most_s))


def lose(back: Reconnect, loss: Loss, *, lived_s: float = 0.0, asked_s: float = 0.0) -> float:
    """Return how long it waits then."""
    back.lose(loss, 100.0, lived_s=lived_s, asked_s=asked_s)
    return back.knock_s - 100.0


@pytest.mark.parametrize("loss", FINAL, ids=str)
def test_what_would_end_the_same_way_is_over(loss: Loss) -> None:
    back = reconnect()

    assert lose(back, loss) == math.inf
    assert back.end == loss


@pytest.mark.parametrize("loss", PASSING, ids=str)
def test_everything_else_passes(loss: Loss) -> None:
    back = reconnect()

    assert lose(back, loss) == 1.0
    assert back.end is None


def test_a_spent_token_is_replaced_and_only_that() -> None:
    back = reconnect()
    needs: list[bool] = []

    for loss in PASSING:
        lose(back, loss)
        needs.append(back.needs_new_token)

    assert [loss for loss, need in zip(PASSING, needs, strict=True) if need] == [
        Loss(code=4401),
        Loss(status=401),
    ]


def test_each_failure_doubles_the_span_and_a_socket_that_was_good_for_something_ends_that() -> (
    None
):
    back = reconnect()

    assert [lose(back, Loss()) for _ in range(5)] == [1.0, 2.0, 4.0, 8.0, 8.0]
    back.rest()
    assert [lose(back, Loss()) for _ in range(2)] == [1.0, 2.0]
    assert lose(back, Loss(), lived_s=STEADY_S) == 1.0
    assert lose(back, Loss(), lived_s=STEADY_S / 2) == 2.0


def test_what_the_gateway_asks_for_comes_first_and_jitter_on_top() -> None:
    assert lose(reconnect(), Loss(code=1012), asked_s=7.0) == 8.0
    assert lose(reconnect(), Loss(status=503, retry_after_s=3.0)) == 4.0
    assert lose(reconnect(), Loss(status=503, retry_after_s=1e9)) == ASKED_MAX_S + 1.0


def test_those_whom_one_gateway_lost_do_not_come_back_at_once() -> None:
    rngs = [Random(seed) for seed in range(400)]  # noqa: S311  # no secret
    waits = [lose(Reconnect(Jitter(rng, 1.0, 8.0)), Loss()) for rng in rngs]

    assert min(waits) < 0.05
    assert max(waits) > 0.95
