"""The kernel's word for the order of syncs, answers, publishing and deletions."""

from pathlib import Path

import pytest

from tests.faults.row import Scale
from tests.faults.strace import orders_of_syncs
from tests.faults.strace_calls import missing


@pytest.mark.system
@pytest.mark.timeout(600)  # a few starts: 5 s on two idle cores
@pytest.mark.skipif(missing() != "", reason=f"SKIPPED: {missing()}")
def test_nothing_is_said_forwarded_or_deleted_before_its_sync(tmp_path: Path) -> None:
    rows = list(orders_of_syncs(Scale.SHORT, tmp_path, lambda _: None))

    assert [fault for row in rows for fault in row.faults] == []
    assert all(row.is_reached for row in rows)
