"""Whatever a crash or a bad disk left: the start works, and loses only what was hit."""

import errno
import itertools
import sys
import tracemalloc
from itertools import accumulate
from pathlib import Path
from zlib import crc32

import pytest

from edge.core.frame import (
    HEADER_BYTES,
    Header,
    UnknownVersion,
    encode,
    encode_header,
    seed,
    size,
)
from edge.core.record import Record
from edge.shell.spool.cursor import Position, load, store
from edge.shell.spool.key_index import pages, told_end
from edge.shell.spool.recovery import Recovered, recover
from edge.shell.spool.segment import LaneFiles
from tests.fakes_disk import Call, FakeDisk, Node, unreadable
from tests.fakes_spool import indexes, record

LANE = Path("/spool/0/bet")
RUN = "01234567-89ab-4cde-8f01-23456789abcd"
RECORDS = [record(index, padding=index) for index in range(5)]
SIZES = [size(r) for r in RECORDS]
ENDS = [HEADER_BYTES, *accumulate(SIZES, initial=HEADER_BYTES)][1:]
"""Offsets of the frames' beginnings, and the end."""


def name(number: int) -> Path:
    """Tell a segment's path."""
    return LANE / f"{number:010d}.seg"


def segment(
    number: int, records: list[Record], *, first: int = 1, before: tuple[int, int] = (0, 0)
) -> bytes:
    """Write a segment's bytes."""
    header = Header(number, RUN, first, *before)
    frames = [encode(r, n, seed(RUN)) for n, r in enumerate(records, first)]
    return encode_header(header) + b"".join(frames)


def lane(**segments: bytes) -> LaneFiles:
    """Make a directory with segments, ``s7=…``."""
    disk = FakeDisk()
    for key, content in segments.items():
        disk.names[name(int(key[1:]))] = Node(bytearray(content), bytearray(content))
    return LaneFiles(disk, LANE)


def disk_of(files: LaneFiles) -> FakeDisk:
    """Give back the fake."""
    assert isinstance(files.disk, FakeDisk)
    return files.disk


def ids(files: LaneFiles, found: Recovered) -> list[int]:
    """Tell which records recall would learn."""
    return indexes(pages(files, found.segments, 1000))


def test_an_empty_lane_begins_at_one() -> None:
    assert recover(lane()) == Recovered([], Position(1), None, 1, 0, {})


def test_the_tail_is_copied_synced_and_the_old_file_ends_before_it() -> None:
    files = lane(s3=segment(3, RECORDS, first=11))

    found = recover(files)

    assert [(s.number, s.records, s.end) for s in found.segments] == [
        (3, 0, HEADER_BYTES),
        (4, 5, ENDS[-1]),
    ]
    assert found.segments[1].header == Header(4, RUN, 11, 3, HEADER_BYTES)
    assert found.number_next == 5
    calls = [(c.name, c.path.name) for c in disk_of(files).calls if c.name != "read"]
    start = calls.index(("create", "0000000004.tmp"))
    assert calls[start : start + 7] == [
        ("create", "0000000004.tmp"),
        ("write", "0000000004.tmp"),
        ("sync", "0000000004.tmp"),
        ("rename", "0000000004.tmp"),
        ("sync_directory", "bet"),
        ("close", "0000000004.tmp"),
        ("resize", "0000000003.seg"),
    ]
    assert not any(name in {"resize", "unlink"} for name, _ in calls[:start])


def test_what_is_behind_the_cursor_stays_where_it_is() -> None:
    files = lane(s3=segment(3, RECORDS))
    store(files, Position(3, ENDS[2], 2))

    found = recover(files)

    assert [(s.number, s.records) for s in found.segments] == [(3, 2), (4, 3)]
    assert found.segments[1].header.seq_first == 3
    assert (found.cursor, found.oldest_waiting_ms) == (
        Position(3, ENDS[2]),
        RECORDS[2].accepted_ms,
    )
    assert ids(files, found) == [0, 1, 2, 3, 4]


def test_a_second_start_finds_the_same() -> None:
    files = lane(s3=segment(3, RECORDS))
    recover(files)

    assert ids(files, recover(files)) == [0, 1, 2, 3, 4]


def test_a_torn_end_costs_the_records_it_cut() -> None:
    for length in range(HEADER_BYTES, ENDS[-1] + 1):
        files = lane(s1=segment(1, RECORDS)[:length])
        kept = sum(end <= length for end in ENDS[1:])

        found = recover(files)

        assert ids(files, found) == list(range(kept)), length
        assert found.torn_bytes == length - ENDS[kept], length


def flips(sizes: list[int]) -> list[int | None]:
    """Tell for every byte of a segment which record it belongs to; ``None``: the header."""
    owners: list[int | None] = [None] * HEADER_BYTES
    for index, length in enumerate(sizes):
        owners += [index] * length
    return owners


@pytest.mark.parametrize("is_last", [True, False], ids=["last segment", "sealed segment"])
def test_every_flipped_bit_costs_the_record_it_hits(is_last: bool) -> None:  # noqa: FBT001  # a table
    whole = segment(1, RECORDS[:3])
    owners = flips(SIZES[:3])
    for bit in range(8 * len(whole)):
        broken = bytearray(whole)
        broken[bit // 8] ^= 1 << bit % 8
        sealed = {} if is_last else {"s2": segment(2, [], first=4, before=(1, len(whole)))}
        files = lane(s1=bytes(broken), **sealed)

        found = recover(files)

        assert ids(files, found) == [n for n in range(3) if n != owners[bit // 8]], bit
        records = sum(s.records for s in found.segments)
        assert records + (found.torn_bytes > 0) == 3, bit


def test_a_successor_tells_how_far_a_segment_is_valid() -> None:
    """What was written after a failed sync is on disk, and never comes back."""
    files = lane(s1=segment(1, RECORDS), s2=segment(2, [], first=3, before=(1, ENDS[2])))

    assert ids(files, recover(files)) == [0, 1]


def test_an_unused_successor_does_not_hide_where_its_predecessor_ends() -> None:
    """The rename was done, the directory's sync failed, the next number was used."""
    files = lane(
        s1=segment(1, RECORDS),
        s2=segment(2, [], first=3, before=(1, ENDS[2])),
        s3=segment(3, RECORDS[4:], first=3, before=(1, ENDS[2])),
    )

    assert ids(files, recover(files)) == [0, 1, 4]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        pytest.param(Position(2, HEADER_BYTES, 0), Position(2), id="at the data"),
        pytest.param(Position(1, 600, 5), Position(1, 600), id="its segment is deleted"),
        pytest.param(Position(4, HEADER_BYTES, 0), Position(4), id="between two"),
        pytest.param(Position(5, 1 << 20, 0), Position(2), id="ahead of its segment"),
        pytest.param(Position(9, HEADER_BYTES, 0), Position(2), id="ahead of all"),
        pytest.param(None, Position(2), id="missing"),
    ],
)
def test_a_cursor_is_believed_as_far_as_there_is_data(
    stored: Position | None, expected: Position
) -> None:
    files = lane(s2=segment(2, RECORDS), s5=segment(5, [], before=(2, ENDS[-1])))
    if stored is not None:
        store(files, stored)

    found = recover(files)

    assert found.cursor == expected
    assert found.number_next == max(6, stored.segment + 1 if stored else 0)


def test_a_cursor_that_was_ahead_is_put_right_before_numbers_pass_it() -> None:
    """Else the next start would take what was never forwarded for forwarded."""
    files = lane(s2=segment(2, RECORDS))
    store(files, Position(9))

    recover(files)

    assert load(files) == Position(2)


def test_numbers_go_on_after_the_cursor_when_all_files_are_gone() -> None:
    files = lane()
    store(files, Position(9, 500, 3))

    found = recover(files)

    assert (found.cursor, found.number_next) == (Position(9, 500), 10)


@pytest.mark.parametrize("content", [b"", b"\0" * 40, b"?" * 40, b"\xffEDGECU\xfe"])
def test_a_damaged_cursor_sends_everything_again(content: bytes) -> None:
    files = lane(s2=segment(2, RECORDS))
    disk_of(files).names[LANE / "cursor"] = Node(bytearray(content), bytearray(content))

    assert recover(files).cursor == Position(2)


def test_remains_of_unfinished_files_are_removed() -> None:
    files = lane(s1=segment(1, []))
    disk_of(files).names[LANE / "0000000002.tmp"] = Node()

    recover(files)

    assert sorted(path.name for path in disk_of(files).names) == ["0000000001.seg"]


def test_another_version_stops_the_start_and_changes_nothing() -> None:
    copy = bytearray(encode_header(Header(1, RUN))[:60])
    copy[8] = 2
    start = (bytes(copy) + crc32(copy).to_bytes(4, "little")) * 2
    files = lane(s1=start + b"whatever")
    before = dict(disk_of(files).names)

    with pytest.raises(UnknownVersion):
        recover(files)

    assert disk_of(files).names == before


def fail_reads(files: LaneFiles, first: int, times: int, code: int = errno.EIO) -> None:
    """Let *times* reads of segment 1 fail, from the *first* one on."""
    reads = itertools.count()

    def plan(_index: int, call: Call) -> OSError | None:
        if call != Call("read", name(1)):
            return None
        is_bad = first <= next(reads) < first + times
        return OSError(code, "planned") if is_bad else None

    disk_of(files).plan = plan


def test_a_header_that_is_unreadable_once_is_read_again() -> None:
    files = lane(s1=segment(1, RECORDS))
    fail_reads(files, 0, 1)

    assert ids(files, recover(files)) == [0, 1, 2, 3, 4]


def test_an_unreadable_tail_does_not_pass_for_a_torn_one() -> None:
    """The first read is the header's; the next four are the tail's, each whole and by page."""
    files = lane(s1=segment(1, RECORDS))
    fail_reads(files, 1, 4)

    found = recover(files)

    assert [(s.number, s.records, s.oldest_ms) for s in found.segments] == [
        (1, 0, None),
        (2, 1, None),
    ]
    assert found.torn_bytes == 0
    assert disk_of(files).names[name(1)].cached == segment(1, RECORDS)


def test_a_tail_that_is_unreadable_only_when_it_is_copied_stays_in_its_file() -> None:
    files = lane(s1=segment(1, RECORDS))
    fail_reads(files, 2, 2)

    recover(files)

    assert disk_of(files).names[name(1)].cached == segment(1, RECORDS)


def test_a_tail_of_zeros_without_end_is_never_held_in_memory() -> None:
    files = lane(s1=segment(1, RECORDS) + bytes(5 << 20))

    tracemalloc.start()
    found = recover(files)
    _, most_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert ids(files, found) == [0, 1, 2, 3, 4]
    assert found.torn_bytes == 5 << 20
    assert most_bytes < 4 << 20


@pytest.mark.parametrize("path", [name(1), name(2), LANE / "cursor"], ids=lambda p: p.name)
@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES])
def test_what_only_cannot_be_read_now_stops_the_start_and_changes_nothing(
    code: int, path: Path
) -> None:
    files = lane(
        s1=segment(1, RECORDS[:3]), s2=segment(2, RECORDS[3:], first=4, before=(1, ENDS[3]))
    )
    store(files, Position(1, ENDS[2], 2))
    disk = disk_of(files)
    before = {path: bytes(node.cached) for path, node in disk.names.items()}
    disk.plan = unreadable(code, path)

    with pytest.raises(OSError, match="planned"):
        recover(files)

    assert {path: bytes(node.cached) for path, node in disk.names.items()} == before
    disk.plan = lambda _index, _call: None
    found = recover(files)
    assert (found.cursor, ids(files, found)) == (Position(1, ENDS[2]), [0, 1, 2, 3, 4])
    assert files.unreadable == 0


def test_a_tail_that_only_cannot_be_read_now_is_not_copied_as_zeros() -> None:
    """The first read is the header's; the next two would be the tail's."""
    files = lane(s1=segment(1, RECORDS))
    fail_reads(files, 1, 2, errno.EACCES)

    with pytest.raises(OSError, match="planned"):
        recover(files)

    assert list(disk_of(files).names) == [name(1)]
    disk_of(files).plan = lambda _index, _call: None
    assert ids(files, recover(files)) == [0, 1, 2, 3, 4]


def test_a_lost_header_leaves_its_frames_to_quarantine_and_its_file_alone() -> None:
    whole = segment(1, RECORDS)
    files = lane(s1=bytes(HEADER_BYTES) + whole[HEADER_BYTES:])

    found = recover(files)

    assert [(s.number, s.records, s.end) for s in found.segments] == [(1, 5, len(whole))]
    assert disk_of(files).names[name(1)].cached[HEADER_BYTES:] == whole[HEADER_BYTES:]


def test_what_a_lost_header_had_declared_void_stays_so_by_its_predecessors_index() -> None:
    aborted = segment(1, RECORDS)
    after = segment(2, RECORDS[:1], first=3, before=(1, ENDS[2]))
    files = lane(s1=aborted, s2=after)
    recover(files)  # leaves the index of what is valid in the first
    disk_of(files).names[name(2)].cached[:HEADER_BYTES] = bytes(HEADER_BYTES)

    found = recover(files)

    assert (found.segments[0].records, found.segments[0].end) == (2, ENDS[2])


def test_a_segment_that_outlived_its_successor_is_remembered_by_nobody() -> None:
    """Both were acknowledged and to be removed; who told where the first ends is gone."""
    files = lane(s1=segment(1, RECORDS), s3=segment(3, RECORDS[4:], before=(2, 900)))
    store(files, Position(3))

    assert ids(files, recover(files)) == [4]


def test_a_segment_that_waits_is_believed_though_its_successor_is_gone() -> None:
    files = lane(s1=segment(1, RECORDS), s3=segment(3, RECORDS[4:], before=(2, 900)))
    store(files, Position(1))

    assert ids(files, recover(files)) == [0, 1, 2, 3, 4, 4]


def test_an_index_of_another_life_tells_no_end() -> None:
    files = lane(
        s1=segment(1, RECORDS), s2=segment(2, RECORDS[:1], first=3, before=(1, ENDS[2]))
    )
    recover(files)
    other = Header(1, RUN.replace("0", "1"))
    disk_of(files).names[name(1)].cached[:HEADER_BYTES] = encode_header(other)

    assert told_end(files, files.header(1)) == sys.maxsize


def test_a_file_cut_within_its_header_has_no_torn_bytes() -> None:
    assert recover(lane(s1=segment(1, RECORDS)[:100])).torn_bytes == 0


def test_of_damaged_frames_in_a_row_the_next_one_whole_tells_how_many_they_were() -> None:
    content = bytearray(segment(1, RECORDS))
    content[ENDS[1] : ENDS[4]] = bytes(ENDS[4] - ENDS[1])
    files = lane(s1=bytes(content), s2=segment(2, [], first=6, before=(1, ENDS[5])))

    assert [found.records for found in recover(files).segments] == [5, 0]


def test_of_damaged_frames_at_the_end_the_next_segment_tells_how_many_they_were() -> None:
    content = bytearray(segment(1, RECORDS))
    content[ENDS[2] :] = bytes(ENDS[5] - ENDS[2])
    files = lane(s1=bytes(content), s2=segment(2, [], first=6, before=(1, ENDS[5])))

    assert [found.records for found in recover(files).segments] == [5, 0]


def test_of_damaged_frames_at_the_end_of_a_run_an_index_tells_how_many_they_were() -> None:
    content = bytearray(segment(1, RECORDS))
    follows = Header(2, RUN.replace("0", "1"), 1, 1, ENDS[5])
    files = lane(s1=bytes(content), s2=encode_header(follows))
    recover(files)  # leaves the index
    at = disk_of(files).names[name(1)].cached
    at[ENDS[2] :] = bytes(ENDS[5] - ENDS[2])

    assert [found.records for found in recover(files).segments] == [5, 0]

    del disk_of(files).names[name(1).with_suffix(".idx")]
    found = recover(files)
    assert [found.records for found in found.segments] == [3, 0], "one at least, nobody knows"


def test_damaged_frames_at_the_cursor_keep_their_numbers_in_the_copy() -> None:
    content = bytearray(segment(1, RECORDS))
    content[ENDS[1] : ENDS[3]] = bytes(ENDS[3] - ENDS[1])
    files = lane(s1=bytes(content))
    store(files, Position(1, ENDS[1], 1))

    found = recover(files)

    assert [(each.header.seq_first, each.records) for each in found.segments] == [
        (1, 1),
        (2, 4),
    ]


def test_a_cursor_that_counts_too_much_voids_no_frame() -> None:
    files = lane(s1=segment(1, RECORDS))
    store(files, Position(1, ENDS[1], 9))

    assert ids(files, recover(files)) == list(range(5))
