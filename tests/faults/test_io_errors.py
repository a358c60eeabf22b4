"""A few of all calls: one that fails costs no event, and no second try on its descriptor."""

from pathlib import Path

import pytest

from tests.faults import preload
from tests.faults.io_errors import WAYS, Telling, io_errors, row
from tests.faults.row import Scale

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(preload.missing() != "", reason=f"SKIPPED: {preload.missing()}"),
]


@pytest.mark.timeout(900)  # 12 starts of half a second each: 12 s on two idle cores
def test_any_call_that_fails_once_costs_no_event_and_heals(tmp_path: Path) -> None:
    rows = list(io_errors(Scale.SHORT, tmp_path, lambda _: None))

    assert [fault for row in rows for fault in row.faults] == []
    assert all(row.is_reached for row in rows)


@pytest.mark.parametrize(("hurt", "is_reached"), [(0, False), (94, False), (95, True)])
def test_calls_that_were_not_hurt_prove_nothing(hurt: int, *, is_reached: bool) -> None:
    told = [Telling({}, "a read", 0, ())] * hurt + [Telling({}, "", 0, ())] * (100 - hurt)

    found = row(WAYS[0], told)

    assert found.found == f"{hurt} of 100 calls hurt, 0 starts refused"
    assert found.is_reached is is_reached
