"""What waits and what is retained, counted exactly, whichever way the cursor moves."""

from edge.core.frame import HEADER_BYTES, Header
from edge.shell.spool.cursor import Position
from edge.shell.spool.segment import Segment
from edge.shell.spool.shelf import Holdings, Shelf, Stretch

RUN = "01234567-89ab-4cde-8f01-23456789abcd"


def segment(number: int, records: int, *, at_ms: int = 0) -> Segment:
    """Make a segment of records of 100 bytes, a millisecond apart."""
    made = Segment(Header(number, RUN))
    if records:
        made.grow(100 * records, records, at_ms, at_ms + records - 1)
    return made


def at(number: int, records: int) -> Position:
    """Stand behind that many records of a segment."""
    return Position(number, HEADER_BYTES + 100 * records, records)


def shelf() -> Shelf:
    """3 records forwarded, 2 + 0 + 4 waiting; nobody writes to the last segment yet."""
    found = [segment(2, 5, at_ms=20), segment(3, 0), segment(5, 4, at_ms=50)]
    return Shelf(found, at(2, 3), oldest_waiting_ms=23)


def pass_by(lane: Shelf, to: Position, next_ms: int | None) -> int:
    """Acknowledge, and have the cursor follow."""
    lane.acknowledge(to, next_ms)
    return lane.advance(to)


def test_what_is_found_at_the_start_is_counted() -> None:
    assert shelf().holdings() == Holdings(
        records_waiting=6,
        bytes_waiting=600,
        bytes_retained=300,
        oldest_waiting_ms=23,
        oldest_ms=20,
    )


def test_an_empty_lane_holds_nothing() -> None:
    assert Shelf([], Position(1), None).holdings() == Holdings(0, 0, 0, None, None)


def test_progress_within_a_segment_and_across_others() -> None:
    lane = shelf()

    assert pass_by(lane, at(2, 4), 23) == 100
    assert pass_by(lane, at(5, 1), 50) == 200
    assert lane.holdings() == Holdings(3, 300, 600, 50, 20)

    assert pass_by(lane, at(5, 4), 53) == 300
    assert lane.holdings() == Holdings(0, 0, 900, None, 20)


def test_what_is_acknowledged_waits_no_more_though_the_cursor_cannot_follow() -> None:
    lane = shelf()
    lane.acknowledge(at(2, 4), 23)
    lane.acknowledge(at(5, 1), 50)

    assert lane.holdings() == Holdings(3, 300, 600, 50, 20)
    assert lane.discard(before_ms=1000, above_bytes=0) is None, "a start may need all of it"
    assert lane.advance(at(5, 1)) == 300
    assert lane.holdings() == Holdings(3, 300, 600, 50, 20)


def test_what_is_synced_waits() -> None:
    lane = shelf()
    pass_by(lane, at(5, 4), 53)
    lane.grow(200, 2, 60, 61)

    assert lane.holdings() == Holdings(2, 200, 900, 60, 20)

    lane.grow(100, 1, 70, 70)
    assert lane.holdings().oldest_waiting_ms == 60


def test_the_next_stretch_is_found_past_what_is_finished_empty_or_deleted() -> None:
    lane = shelf()
    five = Stretch(Header(5, RUN), Position(5), HEADER_BYTES + 400, 4)

    assert lane.find(at(2, 3)) == Stretch(Header(2, RUN), at(2, 3), HEADER_BYTES + 500, 5)
    assert lane.find(at(2, 5)) == five
    assert lane.find(Position(3)) == five
    assert lane.find(Position(4, 999)) == five
    assert lane.find(at(5, 4)) is None
    assert lane.find(Position(9)) is None


def test_a_closed_shelf_wakes_who_waits_but_can_be_read() -> None:
    lane = shelf()
    lane.close()

    assert lane.find(at(5, 4), timeout_s=60) is None
    assert lane.find(at(5, 3), timeout_s=60) is not None


def test_only_what_is_sealed_acknowledged_and_unneeded_is_discarded() -> None:
    lane = shelf()

    assert lane.discard(before_ms=1000, above_bytes=0) is None, "partly waiting"

    pass_by(lane, at(2, 5), 24)
    assert lane.discard(before_ms=24, above_bytes=500) is None, "young, and not too much"
    assert lane.discard(before_ms=25, above_bytes=500) == segment(2, 5, at_ms=20), "old"
    assert lane.holdings().bytes_retained == 0

    assert lane.discard(before_ms=0, above_bytes=0) is None, "its beginning was not passed"
    pass_by(lane, at(5, 4), 53)
    assert lane.discard(before_ms=0, above_bytes=500) == segment(3, 0), "empty"
    assert lane.discard(before_ms=1000, above_bytes=0) == segment(5, 4, at_ms=50), "sealed"
    assert lane.discard(before_ms=1000, above_bytes=0) is None, "there is none"


def test_the_segment_being_written_is_discarded_only_once_it_is_sealed() -> None:
    lane = shelf()
    pass_by(lane, at(5, 4), 53)
    lane.add(segment(6, 0))
    lane.grow(100, 1, 60, 60)
    pass_by(lane, at(6, 1), 60)
    found = [lane.discard(before_ms=0, above_bytes=0) for _ in range(4)]
    assert [each and each.number for each in found] == [2, 3, 5, None]

    lane.seal()

    assert lane.discard(before_ms=0, above_bytes=0) == segment(6, 1, at_ms=60)
    assert lane.bytes_held == 0
    lane.add(segment(7, 0))
    assert lane.find(at(6, 1)) is None


def test_who_has_passed_a_segment_has_passed_all_that_it_was_said_to_hold() -> None:
    """Frames that are damaged in a row are read as one; an index counted them all."""
    lane = shelf()

    assert pass_by(lane, Position(2, HEADER_BYTES + 500, 4), 24) == 200
    assert pass_by(lane, Position(5, HEADER_BYTES + 200, 2), 51) == 200
    assert lane.holdings().records_waiting == 2
    pass_by(lane, at(5, 4), 53)

    assert lane.holdings().records_waiting == 0


def test_too_much_is_discarded_however_young() -> None:
    lane = shelf()
    pass_by(lane, at(2, 5), 24)

    assert lane.discard(before_ms=0, above_bytes=499) == segment(2, 5, at_ms=20)
