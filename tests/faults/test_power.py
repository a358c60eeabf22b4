"""A few of the 500 images: what was accepted is on the disk, and not in a cache."""

from pathlib import Path

import pytest

from tests.faults import mounts, preload
from tests.faults.power import power_loss
from tests.faults.power_tail import recovered_tail
from tests.faults.row import Scale

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(mounts.missing() != "", reason=f"SKIPPED: {mounts.missing()}"),
]


@pytest.mark.timeout(900)  # 8 starts of half a second each, 4 disks: 15 s on two idle cores
def test_what_was_accepted_before_the_power_went_is_on_the_disk(tmp_path: Path) -> None:
    rows = list(power_loss(Scale.SHORT, tmp_path, lambda _: None))

    assert [fault for row in rows for fault in row.faults] == []
    assert all(row.is_reached for row in rows)


@pytest.mark.timeout(300)  # 2 s on two idle cores
@pytest.mark.skipif(preload.missing() != "", reason=f"SKIPPED: {preload.missing()}")
def test_a_recovered_tail_is_on_the_disk_before_anybody_is_told(tmp_path: Path) -> None:
    rows = list(recovered_tail(Scale.SHORT, tmp_path, lambda _: None))

    assert [fault for row in rows for fault in row.faults] == []
    assert all(row.is_reached for row in rows)
