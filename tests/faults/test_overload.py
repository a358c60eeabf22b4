"""The short form: too many connections that never pause, and nothing is lost."""

from pathlib import Path

import pytest

from tests.faults.overload import overload
from tests.faults.row import Scale


@pytest.mark.system
@pytest.mark.timeout(600)  # 5 s on two idle cores
def test_what_is_too_much_is_refused_and_what_is_accepted_is_kept(tmp_path: Path) -> None:
    told: list[str] = []

    rows = list(overload(Scale.SHORT, tmp_path, told.append))

    assert [row for row in rows if not row.is_reached] == []
    assert len(rows) == 2
    assert told
