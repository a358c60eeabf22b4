"""The short form of the shortages: of room, of the right to write, of a spool to oneself."""

import json
from pathlib import Path
from typing import Any, cast

import pytest

from tests.faults.mounts import missing
from tests.faults.row import Campaign, Scale
from tests.faults.second_owner import second_owner
from tests.faults.shortage import shortage
from tests.faults.shortage_scene import Scene

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(900),  # 8 s on two idle cores; a disk may fill up slowly
]


@pytest.mark.parametrize(
    "campaign",
    [
        pytest.param(
            shortage,
            marks=pytest.mark.skipif(bool(missing()), reason=f"small disks: {missing()}"),
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


def test_what_the_prober_said_is_compared_with_what_is_there_and_nobody_elses_is(
    tmp_path: Path,
) -> None:
    partition = tmp_path / "edge.game.v1" / "0"
    partition.mkdir(parents=True)
    lines = [
        json.dumps({"offset": offset, "key": "p", "value": {"id": name}}) + "\n"
        for offset, name in enumerate(["taken", "late", "refused"])
    ]
    (partition / f"{0:020d}.jsonl").write_text("".join(lines))
    told = {"taken": "202", "late": "lane_failed", "refused": "lane_full", "gone": "202"}
    nobody = cast("Any", None)
    scene = Scene(nobody, nobody, tmp_path, tmp_path, nobody, ids=told)

    scene.compare(tmp_path, strays=4)

    assert scene.faults == [
        "the prober's event gone: lost",
        "the prober's event refused: refused",
        "1 records of nobody's",
    ]
