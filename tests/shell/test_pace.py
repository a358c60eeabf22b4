"""A backlog's rate follows what comes in, holds for all lanes together, and hurries alone."""

import itertools
from dataclasses import dataclass
from typing import Final

import pytest

from edge.shell.pace import MULTIPLE, RECORDS_PER_S_MIN, REST_MAX_S, Pace
from tests.fakes import FakeClock

BATCH: Final = 500


@dataclass
class Node:
    """A clock and events that come in evenly with it."""

    clock: FakeClock
    per_s: int = 0
    received: float = 0.0

    def pass_time(self, seconds: float) -> None:
        """Let events come in for so long."""
        self.clock.advance(seconds)
        self.received += self.per_s * seconds


def paced(node: Node) -> Pace:
    return Pace(lambda: round(node.received), node.clock)


def drained_per_s(
    node: Node, pace: Pace, lanes: int = 1, seconds: float = 20, *, publish_s: float = 0
) -> float:
    """How many records went each second, all lanes together, resting as they are told."""
    due_s = [publish_s] * lanes
    sent, now_s = 0, 0.0
    while now_s < seconds:
        lane = due_s.index(min(due_s))
        node.pass_time(max(0.0, due_s[lane] - now_s))
        now_s = max(now_s, due_s[lane])
        rest_s = pace.rest_s(BATCH)
        assert 0 <= rest_s <= REST_MAX_S
        due_s[lane] = now_s + rest_s + publish_s
        sent += BATCH
    return sent / now_s


@pytest.fixture
def node() -> Node:
    return Node(FakeClock())


def test_nobody_is_waited_for_while_nothing_comes_in(node: Node) -> None:
    pace = paced(node)
    for _ in range(100):
        assert pace.rest_s(BATCH) == 0
        node.pass_time(0.1)


@pytest.mark.parametrize("per_s", [10, 100, 1_999, 5_000, 20_000])
@pytest.mark.parametrize("lanes", [1, 3])
def test_a_backlog_goes_at_a_multiple_of_what_comes_in(
    node: Node, per_s: int, lanes: int
) -> None:
    node.per_s = per_s
    pace = paced(node)
    node.pass_time(1)

    found = drained_per_s(node, pace, lanes)

    assert found == pytest.approx(max(RECORDS_PER_S_MIN, MULTIPLE * per_s), rel=0.05)


@pytest.mark.parametrize("publish_ms", [5, 20, 40, 60])
@pytest.mark.parametrize("lanes", [1, 3])
def test_the_time_that_publishing_takes_is_part_of_the_pace(
    node: Node, lanes: int, publish_ms: int
) -> None:
    node.per_s = 2_000
    pace = paced(node)
    node.pass_time(1)

    found = drained_per_s(node, pace, lanes, publish_s=publish_ms / 1000)

    assert found == pytest.approx(RECORDS_PER_S_MIN, rel=0.05)


def test_who_publishes_longer_than_the_pace_asks_never_rests(node: Node) -> None:
    node.per_s = 2_000
    pace = paced(node)

    for _ in range(100):
        node.pass_time(BATCH / RECORDS_PER_S_MIN)
        assert pace.rest_s(BATCH) == 0


def test_what_comes_in_is_measured_anew(node: Node) -> None:
    node.per_s = 1_000
    pace = paced(node)
    node.pass_time(1)
    assert drained_per_s(node, pace) == pytest.approx(RECORDS_PER_S_MIN, rel=0.05)
    node.per_s = 10_000
    node.pass_time(1)
    assert drained_per_s(node, pace) == pytest.approx(MULTIPLE * 10_000, rel=0.05)

    node.per_s = 0
    for _ in range(3):
        node.pass_time(1)
        pace.rest_s(BATCH)

    assert pace.rest_s(BATCH) == 0


def test_rest_that_was_not_needed_is_not_saved_up(node: Node) -> None:
    node.per_s = 1_000
    pace = paced(node)
    node.pass_time(3600)

    rests = list(itertools.islice(iter(lambda: pace.rest_s(BATCH), None), 3))

    assert rests == pytest.approx([n * BATCH / RECORDS_PER_S_MIN for n in (0, 1, 2)])
