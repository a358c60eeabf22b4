"""The short form: a start on a dirty spool counts and knows everything, however long it takes."""

from pathlib import Path

import pytest

from tests.faults.dirty_start import dirty_start
from tests.faults.row import Scale

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),  # three starts: 6 s on two idle cores
]


def test_a_start_on_a_dirty_spool_finds_everything(tmp_path: Path) -> None:
    rows = list(dirty_start(Scale.SHORT, tmp_path, lambda _: None))

    assert [row.faults for row in rows] == [()] * 2
    assert not (tmp_path / "spool").exists()
