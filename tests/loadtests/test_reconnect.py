"""Who comes back, when, and with which token."""

import math
from random import Random

import pytest

from loadtests.jitter import Jitter
from loadtests.reconnect import ASKED_MAX_S, LATE_MAX, LATE_S, STEADY_S, Loss, Reconnect
from tests.fakes_replay import Longest

FINAL = [
    *(Loss(code=code) for code in (1002, 1003, 1007, 1009, 4403, 4409)),
    *(Loss(status=status) for status in (400, 403, 404, 405, 414, 426, 431)),
]
PASSING = [
    Loss(),
    Loss(is_unanswered=True),
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


REPLACED = Loss(4409)
UNANSWERED = Loss(is_unanswered=True)


def comings_back(back: Reconnect, now_s: float) -> int:
    """Return how often it comes back if it is replaced at once, again and again."""
    count = 0
    while True:
        back.lose(REPLACED, now_s, lived_s=0.1, asked_s=0)
        if back.end is not None:
            assert back.end == REPLACED
            assert back.knock_s == math.inf
            return count
        assert back.knock_s > now_s
        count += 1
        assert count < 100, "they fight for ever"


@pytest.mark.parametrize("loss", [UNANSWERED, Loss(status=502), Loss(status=504)], ids=str)
@pytest.mark.parametrize(("late_s", "excused"), [(0.0, 1), (LATE_S - 1, 1), (LATE_S, 0)])
def test_a_handshake_without_an_answer_excuses_one_replacement_for_a_while(
    loss: Loss, late_s: float, excused: int
) -> None:
    back = reconnect()
    back.lose(loss, 100.0, lived_s=0, asked_s=0)

    assert comings_back(back, 100.0 + late_s) == excused


@pytest.mark.parametrize(
    "loss",
    [each for each in PASSING if each != UNANSWERED and each.status not in {502, 504}],
    ids=str,
)
def test_nothing_else_excuses_a_replacement(loss: Loss) -> None:
    back = reconnect()
    back.lose(loss, 100.0, lived_s=0, asked_s=0)

    assert comings_back(back, 100.0) == 0


@pytest.mark.parametrize(("late_s", "excused"), [(0.0, 1), (LATE_S - 1, 1), (LATE_S, 0)])
def test_an_earlier_life_may_have_left_one_handshake(late_s: float, excused: int) -> None:
    back = reconnect()
    for now_s in (100.0, 130.0, 159.0):
        back.knock(now_s)  # only the first begins a life

    assert comings_back(back, 100.0 + late_s) == excused


def test_each_handshake_excuses_one_replacement_and_the_oldest_is_forgotten_first() -> None:
    for unanswered in range(6):
        back = reconnect()
        for number in range(unanswered):
            back.lose(UNANSWERED, 100.0 + number, lived_s=0, asked_s=0)
        assert comings_back(back, 110.0) == min(unanswered, LATE_MAX)

        back = reconnect()
        for number in range(unanswered):
            back.lose(UNANSWERED, 100.0 + number, lived_s=0, asked_s=0)
        assert comings_back(back, 102.0 + LATE_S) == min(max(unanswered - 3, 0), LATE_MAX)


@pytest.mark.parametrize("loss", [each for each in FINAL if each != REPLACED], ids=str)
def test_no_other_end_is_excused(loss: Loss) -> None:
    back = reconnect()
    back.knock(100.0)
    back.lose(UNANSWERED, 100.0, lived_s=0, asked_s=0)

    assert lose(back, loss) == math.inf
    assert back.end == loss


def test_of_two_that_fight_for_a_session_one_gives_in_soon() -> None:
    """Both on a bad network, which held as many of their handshakes as they remember."""
    both = [reconnect(), reconnect()]
    for each in both:
        each.knock(100.0)
        for _ in range(LATE_MAX):
            each.lose(UNANSWERED, 100.0, lived_s=0, asked_s=0)
    ended = 0
    while all(each.end is None for each in both):
        both[ended % 2].lose(REPLACED, 101.0 + ended / 10, lived_s=0.1, asked_s=0)
        ended += 1

    assert ended == 2 * LATE_MAX + 1
    assert both[1].end is None
