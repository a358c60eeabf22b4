"""An index saves a scan, and nothing else depends on it: missing, torn, foreign, unwritable."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from edge.core.frame import HEADER_BYTES, Header, row_of, size
from edge.core.key_index import HEADING_BYTES, encode
from edge.core.record import Footprint
from edge.shell.spool.key_index import doubt, pages, survey
from edge.shell.spool.recovery import recover
from edge.shell.spool.segment import LaneFiles, Segment
from tests.fakes_disk import FakeDisk, Node, unreadable
from tests.fakes_spool import LANE, ROOT, OneLane, indexes, record

DIRECTORY = ROOT / LANE
FIRST = DIRECTORY / "0000000001.idx"


def sealed(*, commits: int = 2) -> FakeDisk:
    """A lane of which each commit of six has filled a segment; the last one is open."""
    disk = FakeDisk()
    lane = OneLane(disk)
    for start in range(0, 6 * (commits + 1), 6):
        assert lane.commit(*range(start, start + 6))
    disk.calls.clear()
    return disk


def content(disk: FakeDisk, path: Path) -> bytes:
    """What a file holds."""
    return bytes(disk.names[path].cached)


def reads(disk: FakeDisk, suffix: str) -> list[str]:
    """Which files of a kind were read, and how often."""
    return [c.path.name for c in disk.calls if c.name == "read" and c.path.suffix == suffix]


def start(disk: FakeDisk, entries_max: int = 1000) -> tuple[list[tuple[int, int]], list[int]]:
    """Recover and read what recall needs: number and records of segments; what recall knows."""
    files = LaneFiles(disk, DIRECTORY)
    found = recover(files)
    known = indexes(pages(files, found.segments, entries_max))
    return [(segment.number, segment.records) for segment in found.segments], known


EVERYTHING = ([(1, 6), (2, 6), (3, 0), (4, 6)], list(range(18)))


def test_a_start_reads_no_frame_of_a_sealed_segment() -> None:
    disk = sealed()

    assert start(disk) == EVERYTHING

    assert [reads(disk, ".seg").count(f"000000000{n}.seg") for n in (1, 2, 3)] == [1, 1, 3]


def test_what_a_scan_has_found_is_left_for_the_next_start() -> None:
    """The copy of the last segment's tail is sealed, and nobody wrote its index meanwhile."""
    disk = sealed()
    written = content(disk, FIRST)
    del disk.names[FIRST]
    start(disk)

    disk.calls.clear()
    assert start(disk) == ([(1, 6), (2, 6), (3, 0), (4, 0), (5, 6)], list(range(18)))

    assert content(disk, FIRST) == written
    assert [reads(disk, ".seg").count(f"000000000{n}.seg") for n in (1, 2, 3)] == [1, 1, 1]


Damage: TypeAlias = Callable[[bytes], bytes]


def broken(position: int) -> Damage:
    """Flip a bit."""
    return lambda whole: whole[:position] + bytes([whole[position] ^ 1]) + whole[position:][1:]


DAMAGES: dict[str, Damage] = {
    "nothing was written out": lambda _: b"",
    "torn": lambda whole: whole[:-1],
    "torn in its heading": lambda whole: whole[: HEADING_BYTES - 1],
    "zeros": lambda whole: bytes(len(whole)),
    "a bit of the heading": broken(20),
    "a bit of a column": broken(HEADING_BYTES + 9),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_index_is_as_good_as_none(name: str) -> None:
    disk = sealed()
    whole = content(disk, FIRST)
    disk.names[FIRST] = Node(bytearray(DAMAGES[name](whole)))

    assert start(disk) == EVERYTHING
    assert content(disk, FIRST) == whole


def test_the_index_of_another_end_or_run_is_none() -> None:
    """A restored backup, or a successor that was lost: the segment ends elsewhere now."""
    files = LaneFiles(sealed(), DIRECTORY)
    header = files.header(1)
    end = survey(files, header, _end(files)).end
    strangers = [
        (Header(1, "01234567-89ab-4cde-8f01-23456789abcd"), end),
        (header, end - size(record(0))),
    ]
    for stranger, its_end in strangers:
        disk = sealed()
        wrong = encode(stranger, its_end, 1, row_of(record(7).footprint, 1))
        disk.names[FIRST] = Node(bytearray(wrong))

        assert start(disk) == EVERYTHING
        assert content(disk, FIRST) != wrong


def _end(files: LaneFiles) -> int:
    return files.header(2).predecessor_end


@pytest.mark.parametrize("failing", ["write_unsynced", "rename"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_an_index_that_cannot_be_written_harms_nobody(failing: str, code: int) -> None:
    disk = FakeDisk()
    lane = OneLane(disk)
    disk.plan = lambda index, call: (
        OSError(code, "planned")
        if call.name == failing
        and call.path.suffix == ".tmp"
        and (failing == "write_unsynced" or disk.calls[index - 1].name == "write_unsynced")
        else None
    )
    for first in (0, 6, 12):
        assert lane.commit(*range(first, first + 6))

    assert lane.bulkhead.statistics().failed_syncs == 0
    assert not any(path.suffix in {".idx", ".tmp"} for path in disk.names)
    disk.plan = lambda _index, _call: None
    assert start(disk) == EVERYTHING


def test_an_index_goes_with_its_segment() -> None:
    disk = sealed(commits=1)
    files = LaneFiles(disk, DIRECTORY)

    files.remove(1)

    assert sorted(path.name for path in disk.names if path.parent == DIRECTORY) == [
        "0000000002.seg",
        "cursor",
    ]


def test_behind_a_segment_without_an_index_everything_is_read() -> None:
    """How much it holds is not known before: what follows may be older than it seems."""
    disk = sealed(commits=4)
    files = LaneFiles(disk, DIRECTORY)
    disk.plan = lambda _index, call: (
        OSError(errno.EIO, "planned") if call.path.name == "0000000002.idx" else None
    )
    found = recover(files)

    read = list(pages(files, found.segments, 10))

    assert [page.entries is None for page in read] == [True, False, False, False, False]


def test_an_index_without_a_segment_is_swept_away() -> None:
    disk = sealed(commits=1)
    disk.names[DIRECTORY / "0000000009.idx"] = Node(bytearray(b"whatever"))

    start(disk)

    assert DIRECTORY / "0000000009.idx" not in disk.names
    assert FIRST in disk.names


def test_of_segments_that_no_table_would_keep_no_key_is_read() -> None:
    """Five segments of six entries, a table of ten: it keeps 21 to 30."""
    disk = sealed(commits=4)
    files = LaneFiles(disk, DIRECTORY)
    found = recover(files)

    read = list(pages(files, found.segments, 10))

    assert [page.entries is None for page in read] == [True, True, True, False, False]
    assert [(page.count, list(page.sessions)) for page in read] == [(6, [])] * 5


@pytest.mark.parametrize("is_skipped", [True, False])
def test_columns_that_are_damaged_are_read_from_the_segment(is_skipped: bool) -> None:  # noqa: FBT001  # a table
    disk = sealed(commits=4)
    files = LaneFiles(disk, DIRECTORY)
    found = recover(files)
    expected = list(pages(files, found.segments, 10 if is_skipped else 1000))
    whole = content(disk, FIRST)
    sessionless = Segment(found.segments[0].header, found.segments[0].end, 6)
    numbered = [row_of(_numbered(index), 5) for index in range(6)]
    disk.names[FIRST] = Node(bytearray(_heading_of(sessionless, numbered)))
    found = recover(files)

    again = list(pages(files, found.segments, 10 if is_skipped else 1000))

    assert again == expected
    assert content(disk, FIRST) == whole


def _numbered(index: int) -> Footprint:
    return Footprint(0, index + 1, 1, session=5, seq=index + 1)


def _heading_of(segment: Segment, rows: list[bytes]) -> bytes:
    """An index whose heading is whole, and nothing behind it."""
    return encode(segment.header, segment.end, segment.records, b"".join(rows))[:HEADING_BYTES]


def test_a_frame_damaged_behind_its_index_is_still_known() -> None:
    """It was accepted; the forwarder finds the damage, and quarantines it."""
    disk = sealed()
    disk.names[DIRECTORY / "0000000001.seg"].cached[HEADER_BYTES + 99] ^= 1

    assert start(disk) == EVERYTHING


def test_a_segment_that_lost_its_end_is_counted_as_it_was_written() -> None:
    disk = sealed()
    del disk.names[DIRECTORY / "0000000001.seg"].cached[HEADER_BYTES + 3 * size(record(0)) :]

    assert start(disk) == EVERYTHING


def test_a_heading_is_read_once_by_a_start() -> None:
    disk = sealed()

    start(disk)

    headings = [c for c in disk.calls if c.name == "read" and c.path == FIRST]
    assert len(headings) == 2, "and its columns"


def test_an_index_that_only_cannot_be_read_now_stops_the_start() -> None:
    disk = sealed()
    disk.plan = unreadable(errno.EMFILE, FIRST)

    with pytest.raises(OSError, match="planned"):
        start(disk)

    disk.plan = unreadable(errno.EIO, FIRST)
    assert start(disk)[1] == EVERYTHING[1]


def test_a_segment_without_a_readable_header_gets_no_index() -> None:
    disk = sealed()
    disk.names[DIRECTORY / "0000000001.seg"].cached[:HEADER_BYTES] = bytes(HEADER_BYTES)
    before = content(disk, FIRST)

    assert start(disk) == EVERYTHING, "the one it has still tells"
    assert content(disk, FIRST) == before


def test_without_header_and_index_as_many_are_counted_as_begin_like_a_frame() -> None:
    disk = sealed()
    disk.names[DIRECTORY / "0000000001.seg"].cached[:HEADER_BYTES] = bytes(HEADER_BYTES)
    del disk.names[FIRST]

    assert start(disk) == ([(1, 6), *EVERYTHING[0][1:]], list(range(6, 18)))
    assert FIRST not in disk.names


def test_what_is_wrong_with_an_index_is_told() -> None:
    disk = sealed()
    files = LaneFiles(disk, DIRECTORY)
    header, end = files.header(1), _end(files)
    rows = [row_of(record(index).footprint, record(index).accepted_ms) for index in range(6)]
    whole = content(disk, FIRST)

    def told(found: bytes, rows: list[bytes] | None) -> str:
        disk.names[FIRST] = Node(bytearray(found))
        return doubt(files, header, end, rows).partition(":")[0]

    assert [told(whole, rows), told(whole, None), told(b"", rows)] == [""] * 3
    assert told(whole[:-1], rows) == "key index damaged"
    assert told(whole[:9], rows) == "key index damaged"
    assert told(encode(header, end - 1, 6, b"".join(rows)), rows) == (
        "key index of another segment"
    )
    other = encode(header, end, 6, b"".join(rows[:5]) + rows[0])
    assert told(other, rows) == "key index does not agree with the segment"
    assert told(other, None) == ""
