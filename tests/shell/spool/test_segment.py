"""The files of one lane: found by number, read around what is unreadable."""

import errno
from pathlib import Path

import pytest

from edge.core.frame import HEADER_BYTES, Frame, Gap, Header, encode, encode_header, seed, size
from edge.shell.spool.disk import OsDisk
from edge.shell.spool.segment import LaneFiles, Segment
from tests.fakes_disk import Call, FakeDisk, Node, unreadable
from tests.fakes_spool import record

LANE = Path("/spool/0/bet")
RUN = "01234567-89ab-4cde-8f01-23456789abcd"
HEADER = Header(1, RUN)
PATH = LANE / "0000000001.seg"


def files(content: bytes = b"") -> tuple[LaneFiles, FakeDisk]:
    """Make a lane with segment 1."""
    disk = FakeDisk()
    disk.names[PATH] = Node(bytearray(content))
    return LaneFiles(disk, LANE), disk


def test_segments_are_found_by_number_and_nothing_else_is_one() -> None:
    lane, disk = files(bytes(7))
    for name in ("0000000010.seg", "0000000002.seg", "0000000003.tmp", "cursor", "1.seg"):
        disk.names[LANE / name] = Node()

    assert list(lane.sizes().items()) == [(1, 7), (2, 0), (10, 0)]


def test_a_header_counts_in_its_own_file_only() -> None:
    lane, _ = files(encode_header(HEADER))
    assert lane.header(1) == HEADER

    lane, _ = files(encode_header(Header(2, RUN)))
    assert lane.header(1) == Header(1, "")


def test_a_page_that_cannot_be_read_comes_as_zeros_between_its_neighbours() -> None:
    lane, disk = files(b"x" * 10_000)
    reads = [0]

    def plan(_index: int, call: Call) -> OSError | None:
        reads[0] += call.name == "read"
        return OSError(errno.EIO, "planned") if reads[0] in (1, 3) else None

    disk.plan = plan

    content = lane.read(1, 100, 9_000)

    assert content == b"x" * 3_996 + bytes(4_096) + b"x" * 908
    assert lane.unreadable == 1


@pytest.mark.parametrize("number", [1, 2], ids=["a short file", "a missing file"])
def test_what_is_not_there_comes_as_zeros(number: int) -> None:
    lane, _ = files(b"xy")

    assert lane.read(number, 0, 6) == (b"xy" if number == 1 else b"\0\0") + bytes(4)


@pytest.mark.parametrize("code", [errno.EIO, errno.ENODATA, errno.EUCLEAN, errno.EBADMSG])
def test_what_the_disk_has_lost_comes_as_zeros(code: int) -> None:
    lane, disk = files(b"xy")
    disk.plan = unreadable(code, PATH)

    assert lane.read(1, 0, 2) == bytes(2)
    assert lane.unreadable == 1


def test_an_error_of_another_kind_at_a_page_passes() -> None:
    lane, disk = files(b"xy")
    codes = [errno.EIO, errno.EMFILE]
    disk.plan = lambda _index, _call: OSError(codes.pop(0), "planned")

    with pytest.raises(OSError, match="planned") as caught:
        lane.read(1, 0, 2)

    assert caught.value.errno == errno.EMFILE


def test_a_missing_directory_is_no_missing_file(tmp_path: Path) -> None:
    """A mount that has gone says nothing of what was in it."""
    with pytest.raises(FileNotFoundError):
        LaneFiles(OsDisk(), tmp_path / "gone").read(1, 0, 6)


def test_a_scan_goes_on_behind_a_window() -> None:
    """More than one window's worth of frames, one of them damaged."""
    records = [record(index, padding=200_000) for index in range(8)]
    frames = [encode(r, n, seed(RUN)) for n, r in enumerate(records, 1)]
    frames[4] = bytes(len(frames[4]))
    lane, _ = files(bytes(HEADER_BYTES) + b"".join(frames))
    end = HEADER_BYTES + sum(map(len, frames))

    found = list(lane.scan(HEADER, HEADER_BYTES, end))

    assert [type(one) for _, one in found] == [Frame] * 4 + [Gap] + [Frame] * 3
    assert [offset for offset, _ in found] == [
        HEADER_BYTES + index * size(records[0]) for index in range(8)
    ]


def test_a_segment_that_did_not_get_its_name_for_sure_is_removed() -> None:
    lane, disk = files()
    disk.plan = lambda _index, call: (
        OSError(errno.EIO, "planned") if call.name == "sync_directory" else None
    )

    with pytest.raises(OSError, match="planned"):
        lane.begin(Header(2, RUN))

    assert list(disk.names) == [PATH]


def test_deleting_and_cutting_may_fail() -> None:
    lane, disk = files(bytes(10))
    disk.plan = lambda _index, _call: OSError(errno.EIO, "planned")
    lane.remove(1)
    lane.cut(1, 5)

    disk.plan = lambda _index, _call: None
    lane.cut(1, 5)
    assert lane.sizes() == {1: 5}
    lane.remove(1)
    assert lane.sizes() == {}


def test_growth_keeps_the_first_and_the_last_time() -> None:
    segment = Segment(HEADER)
    segment.grow(10, 2, 5, 6)
    segment.grow(20, 1, 7, 7)

    assert segment == Segment(HEADER, HEADER_BYTES + 30, 3, 5, 7)
