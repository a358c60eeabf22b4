"""Three brokers take a minute: the short form leaves them out, and says so."""

from pathlib import Path

import pytest

from tests.faults.cluster import three_brokers
from tests.faults.row import Scale


@pytest.mark.system
def test_three_brokers_are_for_the_full_form_only(tmp_path: Path) -> None:
    told: list[str] = []

    assert list(three_brokers(Scale.SHORT, tmp_path, told.append)) == []
    assert told[0].startswith("SKIPPED: ")
