"""The short form of the backups: the whole older copy."""

from pathlib import Path

import pytest

from tests.faults.backups import backups
from tests.faults.row import Scale

pytestmark = pytest.mark.system


def test_a_restored_older_spool_starts_and_loses_nothing(tmp_path: Path) -> None:
    rows = list(backups(Scale.SHORT, tmp_path, lambda _: None))

    assert [(row.is_reached, row.faults) for row in rows] == [(True, ())]
