"""Full jitter: a random part of a span that doubles, up to a bound, until something succeeds."""

from random import Random

from loadtests.jitter import Jitter
from tests.fakes_replay import Longest


def test_the_span_doubles_up_to_its_bound() -> None:
    jitter = Jitter(Longest(), 0.25, 1.5)

    assert [jitter.draw_s() for _ in range(5)] == [0.25, 0.5, 1.0, 1.5, 1.5]


def test_after_a_success_it_begins_anew() -> None:
    jitter = Jitter(Longest(), 0.25, 1.5)
    jitter.draw_s()
    jitter.draw_s()

    jitter.rest()

    assert jitter.draw_s() == 0.25


def test_any_part_of_the_span_may_come_the_first_one_too() -> None:
    draws = [Jitter(Random(seed), 1, 1).draw_s() for seed in range(400)]  # noqa: S311  # no secret

    assert all(0 <= draw <= 1 for draw in draws)
    assert min(draws) < 0.05
    assert max(draws) > 0.95
