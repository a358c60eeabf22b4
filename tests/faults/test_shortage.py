"""The short form of the shortages: of room, of the right to write, of a spool to oneself."""

from pathlib import Path

import pytest

from tests.faults.mounts import missing
from tests.faults.row import Campaign, Scale
from tests.faults.second_owner import second_owner
from tests.faults.shortage import shortage

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    "campaign",
    [
        pytest.param(
            shortage,
            marks=[
                pytest.mark.skipif(bool(missing()), reason=f"small disks: {missing()}"),
                pytest.mark.timeout(150),  # each of its waits may take 20 s
            ],
        ),
        second_owner,
    ],
)
def test_what_runs_short_is_said_and_nothing_is_lost(
    campaign: Campaign, tmp_path: Path
) -> None:
    rows = list(campaign(Scale.SHORT, tmp_path, lambda _: None))

    assert [fault for row in rows for fault in row.faults] == []
    assert rows
