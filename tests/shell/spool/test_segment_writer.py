"""Numbers follow one another within a run; segments follow one another without a gap."""

import errno
from collections.abc import Sequence
from pathlib import Path

import pytest
from typing_extensions import override

from edge.core.frame import HEADER_BYTES, size
from edge.core.key_index import encode as encode_index
from edge.core.record import Record
from edge.shell.spool.cursor import Position
from edge.shell.spool.key_index import scanned
from edge.shell.spool.recovery import Recovered, recover
from edge.shell.spool.segment import LaneFiles
from edge.shell.spool.segment_writer import SegmentWriter
from edge.shell.spool.shelf import Shelf
from tests.fakes_disk import FakeDisk
from tests.fakes_spool import NOW_MS, counted, record

LANE = Path("/spool/0/bet")
NEW = Recovered([], Position(1), None, 1, 0, {})
ONE = size(record(0))


def writer(
    disk: FakeDisk, *, segment_records: int = 3, age_ms_max: int = 1000
) -> SegmentWriter:
    """Open an empty lane."""
    return SegmentWriter(
        LaneFiles(disk, LANE),
        Shelf([], Position(1), None),
        NEW,
        entropy=counted,
        bytes_max=HEADER_BYTES + segment_records * ONE,
        age_ms_max=age_ms_max,
    )


def records(count: int) -> Sequence[Record]:
    """Make records of equal size."""
    return [record(index) for index in range(count)]


def layout(disk: FakeDisk) -> list[tuple[int, int, int, tuple[int, int]]]:
    """Tell number, first edgeseq, records and predecessor of every segment."""
    disk.plan = lambda _index, _call: None
    files = LaneFiles(disk, LANE)
    headers = [files.header(number) for number in files.sizes()]
    return [
        (
            header.number,
            header.seq_first,
            (len(disk.names[LANE / f"{header.number:010d}.seg"].cached) - HEADER_BYTES) // ONE,
            (header.predecessor, header.predecessor_end - HEADER_BYTES),
        )
        for header in headers
    ]


def test_a_full_segment_is_followed_in_the_same_run() -> None:
    disk = FakeDisk()
    segments = writer(disk)
    segments.begin_run()
    for _ in range(3):
        segments.write(records(2), NOW_MS)

    assert layout(disk) == [
        (1, 1, 2, (0, -HEADER_BYTES)),
        (2, 3, 2, (1, 2 * ONE)),
        (3, 5, 2, (2, 2 * ONE)),
    ]
    assert len({LaneFiles(disk, LANE).header(n).edgespool for n in (1, 2, 3)}) == 1


def test_an_old_segment_is_followed_an_empty_one_never() -> None:
    disk = FakeDisk()
    segments = writer(disk)
    segments.begin_run()
    segments.follow(NOW_MS + 1 << 40)
    segments.write(records(1), NOW_MS)
    segments.follow(NOW_MS + 1000)
    assert len(layout(disk)) == 1

    segments.follow(NOW_MS + 1001)
    assert len(layout(disk)) == 2


def test_a_commit_larger_than_a_segment_has_one_for_itself() -> None:
    disk = FakeDisk()
    segments = writer(disk)
    segments.begin_run()
    segments.write(records(5), NOW_MS)

    assert [count for _, _, count, _ in layout(disk)] == [5]


def test_a_number_is_used_once_even_if_its_segment_never_was() -> None:
    disk = FakeDisk()
    segments = writer(disk)
    disk.plan = lambda _index, call: (
        OSError(errno.EIO, "planned") if call.name == "sync_directory" else None
    )
    with pytest.raises(OSError, match="planned"):
        segments.begin_run()
    was_open = segments.is_open

    disk.plan = lambda _index, _call: None
    segments.begin_run()

    assert (was_open, segments.is_open) == (False, True)
    assert [number for number, *_ in layout(disk)] == [2]


def test_a_failed_write_counts_for_nothing_in_the_next_run() -> None:
    disk = FakeDisk()
    segments = writer(disk, segment_records=9)
    segments.begin_run()
    segments.write(records(2), NOW_MS)
    disk.plan = lambda _index, call: (
        OSError(errno.EIO, "planned") if call.name == "sync" else None
    )
    with pytest.raises(OSError, match="planned"):
        segments.write(records(2), NOW_MS)
    segments.abandon()
    disk.plan = lambda _index, _call: None
    segments.begin_run()
    segments.write(records(1), NOW_MS)

    assert layout(disk) == [(1, 1, 4, (0, -HEADER_BYTES)), (2, 1, 1, (1, 2 * ONE))]
    assert [s.records for s in recover(LaneFiles(disk, LANE)).segments] == [2, 0, 1]


def test_a_full_segment_leaves_the_index_a_scan_would_make() -> None:
    """Of all that was synced into it, and of nothing that was not."""
    disk = FakeDisk()
    segments = writer(disk)
    segments.begin_run()
    segments.write(records(2), NOW_MS)
    disk.plan = lambda _index, call: (
        OSError(errno.EIO, "planned") if call.name == "sync" else None
    )
    with pytest.raises(OSError, match="planned"):
        segments.write(records(1), NOW_MS)
    segments.abandon()
    disk.plan = lambda _index, _call: None
    segments.begin_run()
    segments.write(records(3), NOW_MS)
    segments.write(records(1), NOW_MS)
    segments.index()

    files = LaneFiles(disk, LANE)
    for number in (1, 2):
        header, end = files.header(number), files.header(number + 1).predecessor_end
        segment, rows = scanned(files, header, end)
        expected = encode_index(header, end, segment.records, rows)
        assert disk.names[LANE / f"{number:010d}.idx"].cached == expected
    assert not [path.name for path in disk.names if path.name == "0000000003.idx"]


def test_a_segment_of_another_process_is_not_given_an_index_of_ours() -> None:
    disk = FakeDisk()
    segments = writer(disk)
    segments.begin_run()
    segments.write(records(2), NOW_MS)
    found = recover(LaneFiles(disk, LANE))
    left = {path: bytes(node.cached) for path, node in disk.names.items()}

    shelf = Shelf(found.segments, found.cursor, None)
    SegmentWriter(
        LaneFiles(disk, LANE), shelf, found, entropy=counted, bytes_max=1000, age_ms_max=1000
    ).begin_run()

    assert {path: bytes(disk.names[path].cached) for path in left} == left


def test_a_segment_that_is_left_to_be_given_up_leaves_no_index() -> None:
    disk, shelf = FakeDisk(), Shelf([], Position(1), None)
    segments = SegmentWriter(
        LaneFiles(disk, LANE), shelf, NEW, entropy=counted, bytes_max=1000, age_ms_max=1000
    )
    segments.begin_run()
    segments.write(records(2), NOW_MS)
    assert not segments.leave()
    to = Position(1, HEADER_BYTES + 2 * ONE, 2)
    shelf.acknowledge(to, None)
    shelf.advance(to)

    assert segments.leave()
    segments.begin_run()
    segments.index()

    assert not [path for path in disk.names if path.suffix == ".idx"]


def test_a_segment_that_was_given_up_meanwhile_leaves_no_index() -> None:
    """It was abandoned on a full disk; or the forwarder was faster."""
    disk, shelf = FakeDisk(), Shelf([], Position(1), None)
    files = LaneFiles(disk, LANE)
    segments = SegmentWriter(
        files, shelf, NEW, entropy=counted, bytes_max=1000, age_ms_max=1000
    )
    segments.begin_run()
    segments.write(records(2), NOW_MS)
    segments.abandon()
    to = Position(1, HEADER_BYTES + 2 * ONE, 2)
    shelf.acknowledge(to, None)
    shelf.advance(to)
    gone = shelf.discard(before_ms=NOW_MS + 1, above_bytes=0)
    assert gone is not None
    files.remove(gone.number)

    segments.begin_run()
    segments.write(records(1), NOW_MS)
    segments.index()

    assert [path.name for path in disk.names] == ["0000000002.seg"]


def test_one_index_at_most_waits() -> None:
    disk = FakeDisk()
    segments = writer(disk)
    segments.begin_run()
    for _ in range(3):
        segments.write(records(2), NOW_MS)

    assert [path.name for path in disk.names if path.suffix == ".idx"] == ["0000000001.idx"]
    segments.index()
    assert len([path for path in disk.names if path.suffix == ".idx"]) == 2


class Failing(Shelf):
    """Fails once, before or after it has counted."""

    counts_first = False
    fails = False

    @override
    def grow(self, size_bytes: int, records: int, oldest_ms: int, newest_ms: int) -> None:
        if self.counts_first or not self.fails:
            super().grow(size_bytes, records, oldest_ms, newest_ms)
        if self.fails:
            self.fails = False
            raise MemoryError


@pytest.mark.parametrize("counts_first", [False, True])
def test_an_index_has_the_rows_of_what_counts_even_if_counting_fails(
    *, counts_first: bool
) -> None:
    disk, shelf = FakeDisk(), Failing([], Position(1), None)
    shelf.counts_first = counts_first
    files = LaneFiles(disk, LANE)
    segments = SegmentWriter(
        files, shelf, NEW, entropy=counted, bytes_max=1000, age_ms_max=1000
    )
    segments.begin_run()
    segments.write(records(2), NOW_MS)
    shelf.fails = True
    with pytest.raises(MemoryError):
        segments.write(records(1), NOW_MS)
    segments.abandon()
    segments.begin_run()
    segments.index()

    header, end = files.header(1), files.header(2).predecessor_end
    segment, rows = scanned(files, header, end)
    assert segment.records == (3 if counts_first else 2)
    expected = encode_index(header, end, segment.records, rows)
    assert disk.names[LANE / "0000000001.idx"].cached == expected
