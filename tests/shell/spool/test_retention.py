"""Acknowledged records leave by age, by bytes, or on demand; waiting ones never."""

from edge.config import SpoolSettings
from tests.fakes_disk import FakeDisk
from tests.fakes_spool import OneLane


def filled(settings: SpoolSettings | None = None) -> OneLane:
    """Five segments of six records, a second apart, all forwarded but the last six."""
    lane = OneLane(FakeDisk(), settings=settings)
    for start in range(0, 30, 6):
        assert lane.commit(*range(start, start + 6))
        lane.clock.advance(1)
    at = lane.reader.cursor
    for _ in range(4):
        at = lane.reader.read(at, bytes_max=1 << 16, records_max=6).after
    lane.reader.acknowledge(at)
    return lane


def segments(lane: OneLane) -> list[str]:
    """Name the segments on disk."""
    assert isinstance(lane.disk, FakeDisk)
    return sorted(path.stem[-1] for path in lane.disk.names if path.suffix == ".seg")


def test_records_stay_until_they_leave_the_window_one_by_one() -> None:
    lane = filled()
    assert segments(lane) == ["1", "2", "3", "4", "5"]

    lane.clock.advance(86400 - 3)
    lane.reader.wait(lane.reader.cursor, 0)
    assert segments(lane) == ["3", "4", "5"]

    lane.clock.advance(10 * 86400)
    lane.reader.wait(lane.reader.cursor, 0)
    assert segments(lane) == ["5"]
    assert lane.reader.holdings().records_waiting == 6


def test_a_lane_retains_no_more_than_it_may() -> None:
    one = filled().reader.holdings().bytes_retained // 4

    lane = filled(SpoolSettings(reserve_bytes=0, retained_bytes_max=2 * one))

    assert segments(lane) == ["3", "4", "5"]
    assert lane.reader.holdings().bytes_retained == 2 * one


def test_all_lanes_together_hold_no_more_than_they_may() -> None:
    one = filled().reader.holdings().bytes_retained // 4
    lane = filled(SpoolSettings(bytes_max=6 * one, reserve_bytes=0, lane_share_max=1))

    for start in (30, 36, 42):
        assert lane.commit(*range(start, start + 6))

    assert segments(lane) == ["3", "4", "5", "6", "7", "8"]


def test_what_was_deleted_is_remembered_by_its_newest_time() -> None:
    lane = filled()
    first_ms = lane.reader.oldest_ms()
    assert first_ms is not None
    assert lane.reader.forgotten_ms() is None, "nothing was ever deleted"

    lane.clock.advance(86400 - 3)
    lane.reader.wait(lane.reader.cursor, 0)
    assert lane.reader.forgotten_ms() == first_ms + 1000


def test_after_a_restart_all_before_the_oldest_record_may_have_been_deleted() -> None:
    lane = filled()
    assert OneLane(lane.disk).reader.forgotten_ms() is None, "the first segment is there"

    lane = filled()
    lane.clock.advance(86400 - 3)
    lane.reader.wait(lane.reader.cursor, 0)

    again = OneLane(lane.disk, clock=lane.clock).reader
    assert again.forgotten_ms() == again.oldest_ms()


def test_the_window_reaches_back_to_the_oldest_record_on_disk() -> None:
    lane = filled()
    first_ms = lane.reader.oldest_ms()
    assert first_ms is not None

    lane.clock.advance(86400 - 3)
    lane.reader.wait(lane.reader.cursor, 0)

    assert lane.reader.oldest_ms() == first_ms + 2000
