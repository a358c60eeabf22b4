"""A few of the thousand: SIGKILL at random moments and at named points loses nothing."""

from pathlib import Path

import pytest

from tests.faults.kills import PLANS, kills
from tests.faults.row import Scale


@pytest.mark.system
@pytest.mark.timeout(
    180
)  # fifteen starts of a second each on two busy cores, and as much again
def test_no_kill_loses_what_was_accepted(tmp_path: Path) -> None:
    rows = list(kills(Scale.SHORT, tmp_path, lambda _: None))

    assert [row.faults for row in rows] == [(), ()]
    assert all(row.is_reached for row in rows)


def test_the_full_plan_is_what_the_goal_asks() -> None:
    plan = PLANS[Scale.FULL]

    assert plan.random_kills + plan.point_kills >= 1000
    assert plan.point_kills >= 300
    assert plan.events >= 5_000_000
