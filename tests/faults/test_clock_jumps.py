"""The wall clock jumps by an hour, a day, ten years: nothing is lost, and limits do not notice."""

from pathlib import Path

import pytest

from tests.faults import preload
from tests.faults.clock_jumps import clock_jumps
from tests.faults.row import Scale


@pytest.mark.system
@pytest.mark.timeout(180)  # a few starts; on very busy cores 15 s
@pytest.mark.skipif(preload.missing() != "", reason=f"SKIPPED: {preload.missing()}")
def test_a_clock_that_jumps_loses_nothing_and_turns_nothing_round(tmp_path: Path) -> None:
    rows = list(clock_jumps(Scale.SHORT, tmp_path, lambda _: None))

    assert [fault for row in rows for fault in row.faults] == []
    assert all(row.is_reached for row in rows)
