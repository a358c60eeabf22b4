"""What hurts one lane does not reach the others, and a full spool keeps its reserve: in short."""

from pathlib import Path

import pytest

from tests.faults.bulkheads import FAULTS, bulkheads
from tests.faults.reserve import reserve
from tests.faults.row import Scale

pytestmark = pytest.mark.system


def silent(_: str) -> None:
    """Nobody watches."""


def test_what_hurts_one_lane_does_not_reach_the_others(tmp_path: Path) -> None:
    rows = list(bulkheads(Scale.SHORT, tmp_path, silent))

    assert [row.faults for row in rows] == [()] * len(FAULTS)
    assert all(row.is_reached for row in rows)


def test_telemetry_is_shed_first_and_money_keeps_its_reserve(tmp_path: Path) -> None:
    rows = list(reserve(Scale.SHORT, tmp_path, silent))

    assert [row.faults for row in rows] == [(), ()]
    assert all(row.is_reached for row in rows)
