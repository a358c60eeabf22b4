"""A sync that hangs: whoever waits is told, other lanes go on, and all that came is compared."""

from pathlib import Path

import pytest

from tests.faults import preload
from tests.faults.io_hangs import Hangs, hanging_syncs
from tests.faults.preload import Preload
from tests.faults.row import Scale
from tests.system.world import TABLE, world

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(preload.missing() != "", reason=f"SKIPPED: {preload.missing()}"),
]


@pytest.mark.timeout(300)  # 3 s on two idle cores; each of its waits may take 20 s
def test_a_sync_that_hangs_is_told_and_counted_and_stops_no_other_lane(tmp_path: Path) -> None:
    rows = list(hanging_syncs(Scale.SHORT, tmp_path, lambda _: None))

    assert [fault for row in rows for fault in row.faults] == []
    assert all(row.is_reached for row in rows)


@pytest.mark.timeout(300)  # one start; each of its waits may take 20 s
def test_an_event_that_came_but_not_as_it_was_said_is_told(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        here.gateway.start()
        ada = here.visit()
        event = TABLE.spin(ada, 1)
        assert here.say(ada, event).counts == (1, 0)
        hangs = Hangs(here, Preload(tmp_path, tmp_path / "control", here.spool), ada)
        hangs.said = [event]
        hangs.compare()
        before = list(hangs.faults)
        hangs.said = [event | {"data": {}}]
        hangs.compare()

    assert before == []
    assert hangs.faults == [
        f"game.spin.requested: event {event['id']}: data not as it was said"
    ]
