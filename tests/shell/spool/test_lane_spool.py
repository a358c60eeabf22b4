"""The forwarder reads what was synced, in order, in the pieces it asked for, damage included."""

import errno
import time

import msgspec
import pytest

from edge.config import SpoolSettings
from edge.core.frame import HEADER_BYTES, MARK, size
from edge.core.reject import Reject
from edge.shell.spool.cursor import Position
from edge.shell.spool.lane_spool import Quarantined, Stored
from origin_client import give_way
from tests.fakes_disk import Call, FakeDisk, unreadable
from tests.fakes_spool import LANE, NOW_MS, ROOT, OneLane, record

ONE = size(record(0))
FIRST = ROOT / LANE.value / "0000000001.seg"


@pytest.fixture
def disk() -> FakeDisk:
    """A disk that works."""
    return FakeDisk()


@pytest.fixture
def lane(disk: FakeDisk) -> OneLane:
    """Twelve records in two segments."""
    lane = OneLane(disk)
    for start in (0, 6):
        assert lane.commit(*range(start, start + 6))
    return lane


def test_a_record_comes_out_numbered_as_it_went_in(lane: OneLane) -> None:
    (first, second), after = read(lane, records_max=2)

    assert isinstance(first, Stored)
    assert isinstance(second, Stored)
    assert (first.key, first.accepted_ms, first.edgeseq, second.edgeseq) == (
        b"player-0",
        NOW_MS,
        1,
        2,
    )
    assert msgspec.json.decode(second.value) == {
        "edgespool": first.edgespool,
        "edgeseq": "2",
        "index": 1,
        "padding": "xxxx",
    }
    assert (after, after.records) == (Position(1, HEADER_BYTES + 2 * ONE), 2)


def read(
    lane: OneLane,
    at: Position | None = None,
    *,
    bytes_max: int = 1 << 20,
    records_max: int = 99,
) -> tuple[list[Stored | Quarantined], Position]:
    """Read one chunk."""
    chunk = lane.reader.read(
        at or lane.reader.cursor, bytes_max=bytes_max, records_max=records_max
    )
    return chunk.frames, chunk.after


@pytest.mark.parametrize(
    ("bytes_max", "records_max", "expected"),
    [
        pytest.param(1 << 20, 99, 6, id="the rest of the segment"),
        pytest.param(1 << 20, 4, 4, id="by records"),
        pytest.param(3 * ONE, 99, 3, id="by bytes"),
        pytest.param(3 * ONE - 1, 99, 2, id="by bytes, whole records only"),
        pytest.param(1, 99, 1, id="one at least"),
    ],
)
def test_a_chunk_is_as_large_as_asked_for(
    lane: OneLane, bytes_max: int, records_max: int, expected: int
) -> None:
    frames, after = read(lane, bytes_max=bytes_max, records_max=records_max)

    assert len(frames) == after.records == expected


def test_a_long_read_leaves_other_threads_their_turn(
    lane: OneLane, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[float] = []
    monkeypatch.setattr(give_way, "TURN_RECORDS", 2)
    monkeypatch.setattr(give_way, "HURRY", give_way.Hurry())
    monkeypatch.setattr(time, "sleep", turns.append)

    frames, _ = read(lane)

    assert len(frames) == 6
    assert turns == [give_way.TURN_S] * 2


def test_nothing_more_is_an_empty_chunk_where_one_stood(lane: OneLane) -> None:
    _, end = lane.read()

    assert read(lane, end) == ([], end)
    assert not lane.reader.wait(end, 0)
    assert lane.reader.wait(Position(1), 0)


def test_what_is_not_synced_is_not_there(lane: OneLane, disk: FakeDisk) -> None:
    _, end = lane.read()
    seen: list[int] = []

    def look(_index: int, call: Call) -> OSError | None:
        if call.name == "sync":
            disk.plan = lambda _index, _call: None
            seen.append(len(read(lane, end)[0]))
        return None

    disk.plan = look

    assert lane.commit(12)
    assert seen == [0]
    assert len(read(lane, end)[0]) == 1


def test_damage_comes_in_its_place_with_its_bytes_and_is_counted_when_passed(
    lane: OneLane, disk: FakeDisk
) -> None:
    cached = disk.names[FIRST].cached
    cached[HEADER_BYTES + 2 * ONE - 3] ^= 1
    cached[HEADER_BYTES + 3 * ONE] ^= 1

    frames, after = read(lane)

    assert [type(frame) for frame in frames] == [Stored, Quarantined, Stored, Quarantined] + [
        Stored
    ] * 2
    assert frames[1] == Quarantined(
        1,
        HEADER_BYTES + ONE,
        bytes(cached[HEADER_BYTES + ONE : HEADER_BYTES + 2 * ONE]),
        "checksum, length or number is wrong",
    )
    assert isinstance(frames[3], Quarantined)
    assert frames[3].reason == "no frame begins here"

    read(lane)
    assert lane.reader.quarantined == 0
    lane.reader.acknowledge(after)
    assert lane.reader.quarantined == 2
    assert lane.reader.holdings().records_waiting == 6


def test_a_segment_that_cannot_be_read_is_quarantined_and_the_lane_goes_on(
    lane: OneLane, disk: FakeDisk
) -> None:
    disk.plan = unreadable(errno.EIO, FIRST)

    frames, after = read(lane)
    assert [
        (getattr(frame, "frames", 0), getattr(frame, "reason", "")) for frame in frames
    ] == [(6, "unreadable, or never written")]

    frames, _ = read(lane, after)
    assert [type(frame) for frame in frames] == [Stored] * 6
    lane.reader.acknowledge(after)
    assert lane.reader.holdings().records_waiting == 6
    assert lane.reader.quarantined == 6


@pytest.mark.parametrize(
    "code", [errno.EMFILE, errno.ENFILE, errno.EACCES, errno.ENOMEM, errno.ESTALE]
)
def test_what_only_cannot_be_read_now_is_waited_for_and_stays_whole(
    lane: OneLane, disk: FakeDisk, code: int
) -> None:
    begin = lane.reader.cursor
    disk.plan = unreadable(code, FIRST)

    with pytest.raises(OSError, match="planned"):
        read(lane)

    disk.plan = lambda _index, _call: None
    assert (lane.reader.cursor, lane.reader.holdings().records_waiting) == (begin, 12)
    frames, end = lane.read()
    assert [type(frame) for frame in frames] == [Stored] * 12
    lane.reader.acknowledge(end)
    assert lane.reader.quarantined == 0


def test_damaged_neighbours_with_their_marks_are_counted_one_by_one(
    lane: OneLane, disk: FakeDisk
) -> None:
    for index in (1, 2, 3):
        disk.names[FIRST].cached[HEADER_BYTES + index * ONE + 50] ^= 1

    frames, after = read(lane)

    assert [type(frame) for frame in frames] == [Stored] + [Quarantined] * 3 + [Stored] * 2
    lane.reader.acknowledge(after)
    assert lane.reader.quarantined == 3


@pytest.mark.parametrize(
    ("first", "past", "expected"),
    [
        pytest.param(0, 3, [3, None, None, None], id="before whole ones"),
        pytest.param(1, 4, [None, 3, None, None], id="among them"),
        pytest.param(2, 6, [None, None, 4], id="up to the end"),
        pytest.param(0, 6, [6], id="all"),
    ],
)
@pytest.mark.parametrize("records_max", [1, 2, 99])
def test_damaged_neighbours_without_their_marks_are_counted_all_the_same(
    lane: OneLane,
    disk: FakeDisk,
    first: int,
    past: int,
    expected: list[int | None],
    records_max: int,
) -> None:
    start, end = HEADER_BYTES + first * ONE, HEADER_BYTES + past * ONE
    disk.names[FIRST].cached[start:end] = bytes(end - start)

    at, told = lane.reader.cursor, list[int | None]()
    while at < Position(1, HEADER_BYTES + 6 * ONE):
        frames, at = read(lane, at, records_max=records_max)
        told += [getattr(frame, "frames", None) for frame in frames]
        lane.reader.acknowledge(at)
        passed = 12 - lane.reader.holdings().records_waiting
        assert passed == at.records == lane.reader.quarantined + told.count(None)

    assert told == expected
    assert lane.reader.quarantined == past - first


@pytest.mark.parametrize("records_max", [2, 99])
def test_what_is_left_of_a_damaged_frame_beside_its_mark_is_kept_and_not_counted(
    lane: OneLane, disk: FakeDisk, records_max: int
) -> None:
    start = HEADER_BYTES + ONE
    count, rest = divmod(ONE, len(MARK))
    disk.names[FIRST].cached[start : start + ONE] = MARK * count + bytes(rest)

    frames, after = read(lane, records_max=records_max)
    while len(frames) < count + 5:
        more, after = read(lane, after, records_max=records_max)
        frames += more

    torn = [frame for frame in frames if isinstance(frame, Quarantined)]
    assert [frame.frames for frame in torn] == [1] + [0] * (count - 1)
    assert sum(len(frame.raw) for frame in torn) == ONE
    lane.reader.acknowledge(after)
    assert lane.reader.quarantined == 1


def test_a_lane_tells_its_directory(lane: OneLane) -> None:
    assert lane.reader.directory == ROOT / LANE.value


def test_the_newest_time_is_what_the_start_found(lane: OneLane, disk: FakeDisk) -> None:
    assert lane.reader.newest_ms() is None
    lane.clock.advance(7)
    assert lane.commit(12)

    assert OneLane(disk).reader.newest_ms() == NOW_MS + 7000


def test_a_cursor_that_cannot_be_written_is_written_later(
    lane: OneLane, disk: FakeDisk
) -> None:
    _, after = read(lane)
    disk.plan = lambda _index, call: (
        OSError(errno.ENOSPC, "planned") if call.name == "overwrite" else None
    )

    lane.reader.acknowledge(after)

    assert lane.reader.cursor == after, "the forwarder goes on"
    assert (lane.reader.failed_cursors, lane.reader.holdings().records_waiting) == (1, 6)
    assert not any(path.name == "headroom" for path in disk.names), "room for it was made"

    disk.plan = lambda _index, _call: None
    lane.reader.wait(after, 0)

    assert (lane.reader.failed_cursors, lane.reader.holdings().records_waiting) == (1, 6)
    assert OneLane(disk).reader.cursor == after


def test_acknowledged_bytes_may_be_filled_again(disk: FakeDisk) -> None:
    lane = OneLane(
        disk, settings=SpoolSettings(bytes_max=2 * ONE, reserve_bytes=0, lane_share_max=1)
    )
    assert lane.commit(0, 1)
    with pytest.raises(Reject):
        lane.append(2)

    lane.reader.acknowledge(lane.read()[1])

    assert lane.commit(2, 3)
