"""The short form of the damage campaign: every kind of damage, a part of the places."""

from pathlib import Path

import pytest

from tests.faults.damage import damage
from tests.faults.row import Scale

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),  # hundreds of starts in this process: 6 s without coverage
]


def test_a_damaged_spool_always_starts_and_loses_only_what_was_hit(tmp_path: Path) -> None:
    rows = list(damage(Scale.SHORT, tmp_path, lambda _: None))

    assert [fault for row in rows for fault in row.faults] == []
    assert all(row.is_reached for row in rows)
