"""A few of the hundred: rolling restarts under load lose nothing, and end in order."""

from pathlib import Path

import pytest

from tests.faults.restarts import RESTARTS, restarts
from tests.faults.row import Scale


@pytest.mark.system
@pytest.mark.timeout(180)  # four lives, ended in order: 10 s on idle cores, 29 at a load of 22
def test_no_restart_loses_what_was_accepted(tmp_path: Path) -> None:
    (row,) = restarts(Scale.SHORT, tmp_path, lambda _: None)

    assert row.faults == ()
    assert row.is_reached


def test_the_full_form_is_what_the_goal_asks() -> None:
    assert RESTARTS[Scale.FULL] >= 100
