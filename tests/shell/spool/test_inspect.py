"""A spool tells what is in it, owned or not, damaged or not."""

import shutil
from pathlib import Path

import msgspec
import pytest

from edge.config import ConfigError
from edge.core.lane import Lane
from edge.shell import dead
from edge.shell.dead import DeadLetters
from edge.shell.spool.cursor import Position, store
from edge.shell.spool.disk import OsDisk
from edge.shell.spool.inspect import (
    Command,
    Fault,
    LaneRow,
    RecordRow,
    SegmentRow,
    inspect,
    lines,
)
from edge.shell.spool.segment import LaneFiles
from tests.shell.test_dead import DEAD_MS, FRAME

GOLDEN = Path(__file__).parents[2] / "golden"
FIRST_RUN = "00000000-0000-4000-8000-000000000002"
SECOND_RUN = "00000000-0000-4000-8000-000000000003"
START_MS = 1_771_099_200_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the golden spool: four of fourteen records forwarded."""
    shutil.copytree(GOLDEN / "spool", tmp_path / "spool")
    return tmp_path / "spool"


def test_ls_tells_every_segment(root: Path) -> None:
    rows = [row for row in inspect("ls", root) if isinstance(row, SegmentRow)]

    assert rows[0] == SegmentRow(
        worker="0",
        lane=Lane.BET,
        segment=1,
        edgespool=FIRST_RUN,
        state="partial",
        records=6,
        size_bytes=920,
        oldest_ms=START_MS,
        newest_ms=START_MS + 1000,
    )
    assert [(r.segment, r.edgespool, r.state, r.records) for r in rows[1:]] == [
        (2, FIRST_RUN, "waiting", 0),
        (3, FIRST_RUN, "waiting", 6),
        (4, SECOND_RUN, "waiting", 2),
    ]


def test_ls_knows_what_is_only_retained(root: Path) -> None:
    store(LaneFiles(OsDisk(), root / "0" / "bet"), Position(3, 128 + 132, 1))

    rows = [row for row in inspect("ls", root) if isinstance(row, SegmentRow)]

    assert [r.state for r in rows] == ["forwarded", "forwarded", "partial", "waiting"]


def test_cat_tells_every_record_as_the_origin_gets_it(root: Path) -> None:
    rows = [row for row in inspect("cat", root) if isinstance(row, RecordRow)]

    assert [row.is_forwarded for row in rows] == [True] * 4 + [False] * 10
    assert (rows[4].segment, rows[4].offset, rows[4].key) == (1, 656, "player-1")
    assert msgspec.json.decode(rows[4].value) == {
        "edgespool": FIRST_RUN,
        "edgeseq": "5",
        "index": 4,
        "padding": "xxxx",
    }


def test_stats_tells_what_waits(root: Path) -> None:
    assert list(inspect("stats", root)) == [
        LaneRow(
            worker="0",
            lane=Lane.BET,
            segments=4,
            records_waiting=10,
            bytes_waiting=10 * 132,
            bytes_retained=4 * 132,
            oldest_ms=START_MS,
            dead_letters=0,
            dead_bytes=0,
        )
    ]


def test_stats_tells_how_many_letters_are_dead(root: Path) -> None:
    letters = DeadLetters(OsDisk(), root / "0/bet/dead", bytes_max=1 << 20)
    letters.bury([dead.quarantined(FRAME, dead_ms=DEAD_MS)] * 3)

    (row,) = inspect("stats", root)

    assert isinstance(row, LaneRow)
    assert (row.dead_letters, row.dead_bytes) == (3, letters.bytes_used())


def test_verify_finds_nothing_in_a_sound_spool_nor_in_a_torn_end(root: Path) -> None:
    last = root / "0" / "bet" / "0000000004.seg"
    last.write_bytes(last.read_bytes()[:-1])

    assert list(inspect("verify", root)) == []
    assert len(list(inspect("cat", root))) == 13


def test_verify_names_each_damage(root: Path) -> None:
    lane = root / "0" / "bet"
    places = (("0000000001.seg", 300), ("0000000003.seg", 0), ("cursor", 20), ("cursor", 4116))
    for name, at in places:
        content = bytearray((lane / name).read_bytes())
        content[at] ^= 1
        content[at + (64 if at == 0 else 0)] ^= 1 if at == 0 else 0
        (lane / name).write_bytes(content)

    found = [row for row in inspect("verify", root) if isinstance(row, Fault)]

    assert found[:3] == [
        Fault(
            worker="0",
            lane=Lane.BET,
            segment=0,
            offset=0,
            length=0,
            complaint="cursor damaged or ahead: everything is sent again",
        ),
        Fault(
            worker="0",
            lane=Lane.BET,
            segment=1,
            offset=260,
            length=132,
            complaint="no valid frame",
        ),
        Fault(
            worker="0", lane=Lane.BET, segment=3, offset=0, length=128, complaint="header lost"
        ),
    ]
    assert [fault.segment for fault in found[3:]] == [3] * 6


def test_verify_names_a_missing_segment_that_was_not_forwarded(root: Path) -> None:
    (root / "0/bet/0000000003.seg").unlink()

    (fault,) = inspect("verify", root)

    assert isinstance(fault, Fault)
    assert (fault.segment, fault.length) == (3, 920)
    assert fault.complaint == "segment missing, and not all of it was forwarded"


def test_verify_does_not_mind_the_index_of_a_segment_whose_tail_was_moved(root: Path) -> None:
    """Killed between the copy of a tail and the next segment, twice: 2 was a copy itself."""
    (root / "0/bet/0000000002.idx").write_bytes(b"x" * 500)

    assert list(inspect("verify", root)) == []


def test_verify_names_a_damaged_index_and_says_that_it_is_harmless(root: Path) -> None:
    index = root / "0" / "bet" / "0000000003.idx"
    index.write_bytes(index.read_bytes()[:-1])

    assert list(inspect("verify", root)) == [
        Fault(
            worker="0",
            lane=Lane.BET,
            segment=3,
            offset=0,
            length=0,
            complaint="key index damaged: harmless, a start scans the segment instead",
        )
    ]
    assert len(list(inspect("cat", root))) == 14


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("nowhere", "there is no spool"), ("spool_of_version_2", "has format 2")],
)
@pytest.mark.parametrize("command", ["ls", "cat", "stats", "verify"])
def test_what_is_no_spool_of_ours_is_a_setting_to_mend(
    command: Command, name: str, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        list(inspect(command, GOLDEN / name))


def test_rows_are_json_lines_or_columns(root: Path) -> None:
    as_json = list(lines(inspect("stats", root), is_json=True))
    as_text = list(lines(inspect("stats", root), is_json=False))

    assert msgspec.json.decode(as_json[0])["records_waiting"] == 10
    assert as_text[0].split()[:3] == ["worker", "lane", "segments"]
    assert as_text[1].split()[:4] == ["0", "bet", "4", "10"]
    assert '"edgeseq":"1"' in list(lines(inspect("cat", root), is_json=False))[1]
    assert list(lines(iter([]), is_json=False)) == []
