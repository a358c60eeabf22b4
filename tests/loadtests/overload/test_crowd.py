"""A connection sends when something falls due and it is free; what came of it is told."""

import itertools
from collections.abc import Callable, Sequence

import pytest

from loadtests.bench.client import WrongAnswerError
from loadtests.overload.crowd import NS_PER_S, Course, Crowd, dues
from tests.fakes_bench import GOOD, answer, server

BUSY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 2\r\n\r\n{}"
REQUEST = b"POST /%d HTTP/1.1\r\ncontent-length: 0\r\n\r\n"


def requests(count: int) -> list[bytes]:
    return [REQUEST % number for number in range(count)]


def run(
    reply: Callable[[bytes], Sequence[bytes]], play: Callable[[Crowd], Course]
) -> tuple[Course, Crowd]:
    with server(reply) as address:
        crowd = Crowd(address, connections=2)
        try:
            return play(crowd), crowd
        finally:
            crowd.close()


def accept(_: bytes) -> Sequence[bytes]:
    return [answer(GOOD)]


def test_requests_fall_due_at_the_rate_one_asks_for() -> None:
    due_ns = list(dues(1_000, 2, seed=3))

    assert due_ns == sorted(due_ns)
    assert 1_800 < len(due_ns) < 2_200
    assert due_ns[-1] < 2 * NS_PER_S


def test_a_closed_loop_sends_until_its_time_is_over_and_waits_for_answers() -> None:
    stock = requests(100_000)

    course, crowd = run(accept, lambda crowd: crowd.closed(stock, 1, 0.1))

    assert course.due == len(course.fates) == len(crowd.accepted) > 2
    assert all(fate.is_accepted and fate.took_ns > 0 for fate in course.fates)
    assert len(stock) + len(crowd.accepted) == 100_000


def test_what_was_refused_is_sent_again_and_counts_once_as_accepted() -> None:
    answers = itertools.cycle([BUSY, answer(GOOD)])
    stock = requests(100_000)

    course, crowd = run(lambda _: [next(answers)], lambda crowd: crowd.closed(stock, 1, 0.1))

    refused = [fate for fate in course.fates if not fate.is_accepted]
    assert refused
    assert len(set(crowd.accepted)) == len(crowd.accepted) == len(course.fates) - len(refused)
    assert sorted({*stock, *crowd.accepted}) == sorted(requests(100_000))


def test_what_falls_due_on_a_busy_connection_is_not_sent() -> None:
    stock = requests(1_000)

    course, _ = run(accept, lambda crowd: crowd.open(stock, 1, 20_000, 0.05, seed=1))

    assert 900 < course.due < 1_100
    assert 0 < len(course.fates) < course.due


def test_what_falls_due_on_a_free_connection_is_sent() -> None:
    course, _ = run(accept, lambda crowd: crowd.open(requests(9), 1, 10, 0.3, seed=1))

    assert len(course.fates) == course.due > 0


def test_a_refusal_without_retry_after_ends_it() -> None:
    wrong = answer(b"{}", b"503 Service Unavailable")

    with pytest.raises(WrongAnswerError, match="without Retry-After"):
        run(lambda _: [wrong], lambda crowd: crowd.closed(requests(9), 1, 0.1))


def test_any_other_answer_ends_it() -> None:
    with pytest.raises(WrongAnswerError, match="401"):
        run(
            lambda _: [answer(b"{}", b"401 Unauthorized")],
            lambda crowd: crowd.closed(requests(9), 1, 0.1),
        )


def test_a_server_that_is_faster_than_the_stock_ends_it() -> None:
    with pytest.raises(WrongAnswerError, match="more was accepted than prepared"):
        run(accept, lambda crowd: crowd.closed(requests(3), 1, 5))
