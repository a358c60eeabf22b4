"""A few of all calls: one that fails costs no event, and no second try on its descriptor."""

from pathlib import Path

import pytest

from tests.faults import preload
from tests.faults.io_errors import io_errors
from tests.faults.io_hangs import hanging_syncs
from tests.faults.row import Scale

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(preload.missing() != "", reason=f"SKIPPED: {preload.missing()}"),
]


@pytest.mark.timeout(300)  # 22 starts of half a second each; on very busy cores 75 s
def test_any_call_that_fails_once_costs_no_event_and_heals(tmp_path: Path) -> None:
    rows = list(io_errors(Scale.SHORT, tmp_path, lambda _: None))

    assert [fault for row in rows for fault in row.faults] == []
    assert all(row.is_reached for row in rows)


def test_a_sync_that_hangs_is_told_and_counted_and_stops_no_other_lane(tmp_path: Path) -> None:
    rows = list(hanging_syncs(Scale.SHORT, tmp_path, lambda _: None))

    assert [fault for row in rows for fault in row.faults] == []
    assert all(row.is_reached for row in rows)
