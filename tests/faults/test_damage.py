"""The short form of the damage campaign: every kind of damage, a part of the places."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.damage import damage
from tests.faults.damage_cases import SHAPES
from tests.faults.damage_judge import Damage, judge
from tests.faults.damage_spool import IDENTITY, lay, start, write
from tests.faults.row import Scale

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(600),  # hundreds of starts in this process: 6 s without coverage
]


def test_a_damaged_spool_always_starts_and_loses_only_what_was_hit(tmp_path: Path) -> None:
    rows = list(damage(Scale.SHORT, tmp_path, lambda _: None))

    assert [fault for row in rows for fault in row.faults] == []
    assert all(row.is_reached for row in rows)


@pytest.mark.parametrize(
    ("lines", "forgets_without_fault"), [((0,), False), ((1,), False), ((0, 1), True)]
)
def test_recall_may_forget_only_when_both_lines_of_the_id_are_hit(
    lines: tuple[int, ...], tmp_path: Path, *, forgets_without_fault: bool
) -> None:
    sound = write(tmp_path / "sound", SHAPES["nearly"])
    content = bytearray(sound.files[IDENTITY])
    for line in lines:
        content[line * len(content) // 2 + 20] ^= 1
    damage = Damage(IDENTITY, bytes(content))
    lay(tmp_path / "hit", sound.files | {IDENTITY: damage.content})

    came = start(tmp_path / "hit", sound.shape.segment_bytes_max)
    forgetful = replace(came, known=set())

    assert list(judge(sound, damage, came)) == []
    assert (list(judge(sound, damage, forgetful)) == []) is forgets_without_fault
