"""A few of the thousand: SIGKILL at random moments and at named points loses nothing."""

from pathlib import Path

import pytest

from tests.faults import kills as campaign
from tests.faults.kills import PLANS, kills, kills_before_kafka
from tests.faults.row import Scale
from tests.kafka.jars import KafkaMissing


@pytest.mark.system
@pytest.mark.timeout(900)  # 13 lives of a second each; where points are missed, of 6 s more
def test_no_kill_loses_what_was_accepted(tmp_path: Path) -> None:
    rows = list(kills(Scale.SHORT, tmp_path, lambda _: None))

    assert [row.faults for row in rows] == [(), ()]
    assert all(row.is_reached for row in rows)


def test_the_full_plan_is_what_the_goal_asks() -> None:
    plan = PLANS[Scale.FULL]

    assert plan.random_kills + plan.point_kills >= 1000
    assert plan.point_kills >= 300
    assert plan.events >= 5_000_000


def test_kills_with_kafka_that_cannot_be_done_are_a_goal_missed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def nowhere() -> str:
        raise KafkaMissing("no Java")

    monkeypatch.setattr(campaign, "class_path", nowhere)
    (row,) = kills_before_kafka(PLANS[Scale.SHORT], tmp_path, lambda _: None)

    assert (row.is_reached, row.found) == (False, "skipped: no Java")


def test_a_life_that_says_next_to_nothing_is_not_enough() -> None:
    assert PLANS[Scale.SHORT].owed_min >= 100
    assert PLANS[Scale.FULL].owed_min == PLANS[Scale.FULL].events
