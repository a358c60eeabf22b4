"""The short form of the backups: the whole older copy."""

from pathlib import Path

import pytest

from tests.faults import faults
from tests.faults.backups import STORIES, backups, unrestored
from tests.faults.row import Scale


@pytest.mark.system
@pytest.mark.timeout(600)  # three lives: 5 s on two idle cores
def test_a_restored_older_spool_starts_and_loses_nothing(tmp_path: Path) -> None:
    rows = list(backups(Scale.SHORT, tmp_path, lambda _: None))

    assert [(row.is_reached, row.faults) for row in rows] == [(True, ())]


def test_a_restore_that_changes_nothing_is_a_fault(tmp_path: Path) -> None:
    copy, spool = tmp_path / "copy", tmp_path / "spool"
    for place in (copy, spool):
        (place / "0").mkdir(parents=True)
        (place / "0" / "cursor").write_bytes(b"9")
    (copy / "0" / "cursor").write_bytes(b"4")

    def put_back(source: Path, target: Path) -> None:
        (target / "0" / "cursor").write_bytes((source / "0" / "cursor").read_bytes())

    def forget(_: Path, __: Path) -> None:
        """What a restore must not do."""

    assert unrestored(forget, copy, spool) == ["nothing was restored"]
    assert unrestored(put_back, copy, spool) == []
    assert unrestored(put_back, copy, spool) == ["nothing was restored"]


def test_only_who_lost_records_or_the_key_of_their_hashes_may_take_them_anew() -> None:
    forgetful = {story.restore for story in STORIES if story.is_forgetful}

    assert forgetful == {faults.restore_all, faults.restore_segments, faults.lose_identity}
