"""A forwarder that keeps up gets from memory what the disk would give, and nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given, strategies as st

from edge.core.frame import HEADER_BYTES, size
from edge.shell.spool.cursor import Position
from edge.shell.spool.fresh import Fresh, Written
from edge.shell.spool.lane_spool import Stored
from tests.fakes_disk import FakeDisk, unreadable
from tests.fakes_spool import LANE, ROOT, SMALL, OneLane, record

ONE = size(record(0))


def written(segment: int, place: int, count: int = 1) -> Written:
    """A commit of *count* records that begins behind *place* others of its segment."""
    start = HEADER_BYTES + place * ONE
    records = [record(index) for index in range(place, place + count)]
    return Written(segment, start, start + count * ONE, place + 1, records)


def at(segment: int, place: int) -> Position:
    return Position(segment, HEADER_BYTES + place * ONE)


def test_what_was_read_is_dropped_and_what_follows_is_found() -> None:
    fresh = Fresh(100 * ONE)
    commits = [written(1, 0, 2), written(1, 2, 3), written(2, 0)]
    for each in commits:
        fresh.add(each)

    assert fresh.find(at(1, 1), 100 * ONE) == commits[:2]
    assert fresh.find(at(1, 2), 100 * ONE) == commits[1:2]
    assert fresh.find(at(1, 0), 100 * ONE) == [], "dropped: that is on the disk"
    assert fresh.find(at(1, 5), 100 * ONE) == [], "the segment's end"
    assert fresh.find(at(2, 0), 100 * ONE) == commits[2:]
    assert fresh.find(at(2, 1), 100 * ONE) == []


def test_no_more_is_found_than_is_wanted() -> None:
    fresh = Fresh(100 * ONE)
    commits = [written(1, place) for place in range(5)]
    for each in commits:
        fresh.add(each)

    assert fresh.find(at(1, 1), 2 * ONE) == commits[1:3]
    assert fresh.find(at(1, 1), 1) == commits[1:2]


def test_the_oldest_go_when_it_is_full() -> None:
    fresh = Fresh(3 * ONE)
    for place in range(5):
        fresh.add(written(1, place))

    assert fresh.find(at(1, 0), 100 * ONE) == []
    assert len(fresh.find(at(1, 2), 100 * ONE)) == 3


@given(
    commits=st.lists(st.integers(1, 5), min_size=1, max_size=12),
    pieces=st.lists(st.tuples(st.integers(1, 5 * ONE), st.integers(1, 7)), min_size=1),
    whole=st.booleans(),
    fresh_bytes_max=st.sampled_from([0, 300, 900, 1 << 20]),
)
def test_memory_gives_what_the_disk_would_give(
    commits: list[int],
    pieces: list[tuple[int, int]],
    fresh_bytes_max: int,
    *,
    whole: bool,
) -> None:
    lane = OneLane(bounds=replace(SMALL, fresh_bytes_max=fresh_bytes_max))
    index = 0
    for count in commits:
        assert lane.commit(*range(index, index + count), padding=0 if whole else index % 7)
        index += count
        lane.clock.advance(0.001)
    found, place = 0, lane.reader.cursor

    while found < index:
        bytes_max, records_max = pieces[found % len(pieces)]
        bytes_max = -(-bytes_max // ONE) * ONE if whole else bytes_max
        with lane.without_memory():
            disk = lane.reader.read(place, bytes_max=bytes_max, records_max=records_max)
            lane.reader.read(place, bytes_max=1 << 20, records_max=99)
        chunk = lane.reader.read(place, bytes_max=bytes_max, records_max=records_max)
        assert (chunk, chunk.after.records) == (disk, disk.after.records)
        found, place = found + len(chunk.frames), chunk.after
        lane.reader.acknowledge(place)
        last = chunk.frames[-1]
        assert isinstance(last, Stored)
        waiting_ms = lane.reader.holdings().oldest_waiting_ms
        assert waiting_ms == (None if found == index else last.accepted_ms)
    assert found == index


@pytest.mark.parametrize("keeps_up", [True, False])
def test_a_forwarder_that_keeps_up_does_not_touch_the_disk(*, keeps_up: bool) -> None:
    disk = FakeDisk()
    bounds = replace(SMALL, fresh_bytes_max=4 * ONE)
    lane = OneLane(disk, bounds=bounds)
    assert lane.commit(0, 1, 2)
    if not keeps_up:
        assert lane.commit(3, 4)
    disk.plan = unreadable(5, ROOT / LANE.value / "0000000001.seg")

    chunk = lane.reader.read(lane.reader.cursor, bytes_max=1 << 16, records_max=2)

    assert [hasattr(frame, "edgeseq") for frame in chunk.frames] == (
        [True, True] if keeps_up else [False]
    )


def test_what_is_acknowledged_the_moment_it_can_be_read_waits_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The forwarder may come between any two steps of the writer."""
    lane = OneLane(bounds=replace(SMALL, fresh_bytes_max=1 << 20))
    reader = lane.reader
    fresh = lane.bulkhead.shelf.fresh
    add = fresh.add

    def forward() -> None:
        chunk = reader.read(reader.cursor, bytes_max=1 << 16, records_max=9)
        reader.acknowledge(chunk.after)

    def add_between(written: Written) -> None:
        forward()
        add(written)
        forward()

    monkeypatch.setattr(fresh, "add", add_between)  # the only place to come between
    for index in range(3):
        assert lane.commit(index)

    assert reader.holdings().records_waiting == 0
    assert reader.holdings().bytes_waiting == 0
    assert not reader.wait(reader.cursor, 0)
