"""One lane whole, on a disk that forgets, tears and fails: what was accepted comes out again."""

import contextlib
import errno
import itertools
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from itertools import pairwise
from random import Random

import msgspec
import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from edge.config import ConfigError
from edge.core.frame import HEADER_BYTES
from edge.core.reject import Reject
from edge.shell.spool.cursor import Position, store
from edge.shell.spool.lane_spool import Quarantined, Stored
from edge.shell.spool.segment import LaneFiles
from tests.fakes import FakeClock
from tests.fakes_disk import Call, FakeDisk
from tests.fakes_spool import LANE, ROOT, SMALL, OneLane


def index_of(stored: Stored) -> int:
    """Tell which event it is."""
    envelope = msgspec.json.decode(stored.value)
    assert isinstance(envelope["index"], int)
    return envelope["index"]


def indexes(frames: list[Stored | Quarantined]) -> list[int]:
    """Tell which events these are; there must be no damage."""
    return [index_of(frame) for frame in frames if isinstance(frame, Stored)]


class Life(RuleBasedStateMachine):
    """A lane under random use and random misfortune, beside a ledger of what it promised."""

    @initialize(fresh_bytes_max=st.sampled_from([0, 500, 4000]))
    def begin(self, fresh_bytes_max: int) -> None:
        """Open a new spool, whose forwarder finds all, some or nothing in memory."""
        self.bounds = replace(SMALL, fresh_bytes_max=fresh_bytes_max)
        self.disk = FakeDisk()
        self.clock = FakeClock()
        self.next_index = 0
        self.pending: list[int] = []
        self.held: list[int] = []
        self.uncertain: list[int] = []
        self.numbers: dict[tuple[str, int], bytes] = {}
        self.lane = self.open()

    def open(self) -> OneLane:
        """Start on whatever is there; the disk works while it starts."""
        self.disk.plan = lambda _index, _call: None
        self.disk.capacity = 1 << 30
        self.pending = []
        self.held = [index for index in self.held if index not in self.uncertain]
        self.uncertain = []
        lane = OneLane(self.disk, clock=self.clock, bounds=self.bounds)
        frames, _ = lane.read()
        self.readable = set(indexes(frames))
        self.torn = {frame for frame in frames if isinstance(frame, Quarantined)}
        return lane

    @rule(count=st.integers(1, 4))
    def append(self, count: int) -> None:
        """Bring some events."""
        for _ in range(count):
            try:
                self.lane.append(self.next_index)
            except Reject:
                return
            self.pending.append(self.next_index)
            self.next_index += 1

    @precondition(lambda self: self.pending)
    @rule()
    def write(self) -> None:
        """Let the writer take what has gathered."""
        self.lane.bulkhead.writer.step()
        if self.lane.settled[-1][1]:
            self.held += self.pending
            self.readable |= set(self.pending)
        self.pending = []

    @rule(
        after=st.sampled_from([0, 1, 1, 2, 3, 4, 6, 8]),  # 1 is often a commit's sync
        times=st.sampled_from([1, 1, 2, 3]),
        code=st.sampled_from([errno.EIO, errno.ENOSPC]),
    )
    def break_soon(self, after: int, times: int, code: int) -> None:
        """Let calls fail from some moment on."""
        first = len(self.disk.calls) + after
        self.disk.plan = lambda index, call: (
            OSError(code, "planned")
            if first <= index < first + times and call.name not in ("close", "read")
            else None
        )

    @rule(room=st.integers(0, 4000))
    def fill_disk(self, room: int) -> None:
        """Let somebody else take the room."""
        self.disk.capacity = self.disk.capacity - self.disk.free + room

    @rule()
    def free_disk(self) -> None:
        """Let somebody give it back."""
        self.disk.capacity = 1 << 30

    @precondition(lambda self: not self.lane.bulkhead.writer._segments.is_open)
    @rule()
    def probe(self) -> None:
        """Let a second pass on a lane that refuses."""
        self.lane.bulkhead.writer.begin()

    @rule(count=st.integers(1, 5))
    def forward(self, count: int) -> None:
        """Bring some records to the origin."""
        reader = self.lane.reader
        with self.undisturbed():
            on_disk, _ = self.lane.read(reader.cursor)
        chunk = reader.read(reader.cursor, bytes_max=1 << 16, records_max=count)
        self.check(chunk.frames)
        assert chunk.frames == on_disk[: len(chunk.frames)]
        if not chunk.frames:
            return
        reader.acknowledge(chunk.after)
        self.uncertain += indexes(chunk.frames)

    @rule(hours=st.integers(1, 30))
    def pass_time(self, hours: int) -> None:
        """Let records leave the dedupe window."""
        self.clock.advance(hours * 3600)
        self.lane.reader.wait(self.lane.reader.cursor, 0)

    @rule()
    def kill(self) -> None:
        """Start again on what the page cache shows: no damage but the old one."""
        torn_before = len(self.torn)
        self.lane = self.open()
        assert len(self.torn) <= torn_before

    @rule(seed=st.integers(0, 1 << 32))
    def cut_power(self, seed: int) -> None:
        """Start again on what the platter holds."""
        self.disk.crash(Random(seed))  # noqa: S311  # a test replays by its seed
        self.lane = self.open()

    @rule(after=st.integers(2, 20), seed=st.integers(0, 1 << 32))
    def cut_power_while_starting(self, after: int, seed: int) -> None:
        """Start again, but not to the end; and again."""
        first = len(self.disk.calls) + after
        self.disk.plan = lambda index, call: (
            OSError(errno.EIO, "planned")
            if index >= first and call.name not in ("close", "read")
            else None
        )
        with contextlib.suppress(OSError):
            OneLane(self.disk, clock=self.clock)
        self.cut_power(seed)

    @invariant()
    def nothing_is_lost_invented_or_disordered(self) -> None:
        """Read everything that waits."""
        durable = self.lane.bulkhead.shelf.cursor
        if durable == self.lane.reader.cursor:
            self.held = [index for index in self.held if index not in self.uncertain]
            self.uncertain = []
        with self.undisturbed():
            frames, _ = self.lane.read(durable)
            waiting, _ = self.lane.read(self.lane.reader.cursor)
        self.check(frames)
        found = indexes(frames)
        assert self.disk.misuses == []
        assert set(self.held) <= set(found) <= self.readable
        assert all(a < b for a, b in pairwise(found)), "order"
        assert len(waiting) == self.lane.reader.holdings().records_waiting

    @contextlib.contextmanager
    def undisturbed(self) -> Generator[None]:
        """Look at the disk without meeting, or using up, its faults."""
        plan, length = self.disk.plan, len(self.disk.calls)
        self.disk.plan = lambda _index, _call: None
        with self.lane.without_memory():
            yield
        del self.disk.calls[length:]
        self.disk.plan = plan

    def check(self, frames: list[Stored | Quarantined]) -> None:
        """No new damage, nothing that was not brought, no number given twice.

        A crash may tear the first record of an unsynced commit and keep the second: then the
        start finds damage, but what it hit was never accepted.
        """
        for frame in frames:
            if isinstance(frame, Quarantined):
                assert frame in self.torn
                continue
            assert index_of(frame) < self.next_index
            name = (frame.edgespool, frame.edgeseq)
            assert self.numbers.setdefault(name, frame.value) == frame.value


Life.TestCase.settings = settings(
    max_examples=100,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
TestLife = Life.TestCase


def scripted_life(disk: FakeDisk, clock: FakeClock) -> Iterator[int]:
    """Live through everything that calls the disk; yields what was accepted and stays so."""
    lane = OneLane(disk, clock=clock)
    for start in range(0, 20, 2):
        if accepted(lane, start, start + 1):
            yield from (start, start + 1)
        if start % 6 == 0:
            lane.bulkhead.writer.begin()
    chunk = lane.reader.read(lane.reader.cursor, bytes_max=1 << 16, records_max=4)
    lane.reader.acknowledge(chunk.after)
    lane.reader.wait(chunk.after, 0)
    lane = OneLane(disk, clock=clock)
    if accepted(lane, 20, 21):
        yield from (20, 21)


def accepted(lane: OneLane, *new: int) -> bool:
    """Commit events, or have them refused."""
    try:
        return lane.commit(*new)
    except Reject:
        return False


def failing_once(at: int, code: int) -> Callable[[int, Call], OSError | None]:
    """Plan one failure, of the call with index *at*."""
    return lambda index, call: (
        OSError(code, "planned") if index == at and call.name != "close" else None
    )


@pytest.mark.parametrize(
    "code", [errno.EIO, errno.ENOSPC, errno.EMFILE], ids=["EIO", "ENOSPC", "EMFILE"]
)
def test_every_call_may_fail_once_and_nothing_accepted_is_lost(code: int) -> None:
    calls = FakeDisk()
    list(scripted_life(calls, FakeClock()))
    for failing in range(len(calls.calls)):
        disk = FakeDisk()
        disk.plan = failing_once(failing, code)
        promised: list[int] = []
        try:
            promised += scripted_life(disk, FakeClock())
        except OSError:  # a start may fail, and a read: their supervisors try again
            assert disk.calls[failing].name in STARTING | {"read"}
        disk.plan = lambda _index, _call: None
        disk.crash(Random(failing))  # noqa: S311  # a test replays by its seed

        frames, _ = OneLane(disk).read()

        assert set(promised[4:]) <= set(indexes(frames)), disk.calls[failing]
        assert disk.misuses == []


STARTING = {"files", "sync_directory", "make_directory", "create", "write", "sync", "rename"}


def ending(at: int) -> Callable[[int, Call], OSError | None]:
    """Plan that nothing works from the call with index *at* on."""
    return lambda index, _call: OSError(errno.EIO, "planned") if index >= at else None


def test_a_start_may_end_at_any_call_and_the_power_with_it() -> None:
    for after, seed in itertools.product(range(20), range(8)):
        disk = FakeDisk()
        assert OneLane(disk).commit(0, 1, 2)
        disk.plan = ending(len(disk.calls) + after)
        with contextlib.suppress(OSError):
            OneLane(disk)
        disk.plan = lambda _index, _call: None
        disk.crash(Random(seed))  # noqa: S311  # a test replays by its seed

        assert indexes(OneLane(disk).read()[0]) == [0, 1, 2], (after, seed)


def test_the_disk_is_asked_in_the_order_that_keeps_the_promise() -> None:
    """Write, sync, answer; cursor synced and in its directory, then deletion."""
    disk, clock = FakeDisk(), FakeClock()
    lane = OneLane(disk, clock=clock)
    commit = lane.append(*range(6))
    disk.calls.clear()

    lane.bulkhead.writer.step()

    names = [(call.name, call.path.name) for call in disk.calls]
    assert names == [("write", "0000000001.tmp"), ("sync", "0000000001.tmp")]
    assert lane.settled == [(commit, True)]

    assert lane.commit(*range(6, 12))
    clock.advance(2 * 86400)
    disk.calls.clear()
    lane.reader.acknowledge(lane.read()[1])

    names = [(call.name, call.path.name) for call in disk.calls if call.name != "read"]
    assert names == [
        ("overwrite", "cursor"),
        ("unlink", "0000000001.seg"),
        ("unlink", "0000000001.idx"),
    ]


def test_nothing_is_deleted_while_the_cursor_is_not_durable() -> None:
    disk, clock = FakeDisk(), FakeClock()
    lane = OneLane(disk, clock=clock)
    for start in (0, 6):
        lane.commit(*range(start, start + 6))
    clock.advance(2 * 86400)
    disk.plan = lambda _index, call: (
        OSError(errno.EIO, "planned")
        if call
        in (Call("overwrite", LANE_PATH / "cursor"), Call("sync", LANE_PATH / "cursor.tmp"))
        else None
    )

    lane.reader.acknowledge(lane.read()[1])

    assert LANE_PATH / "0000000001.seg" in disk.names
    assert lane.bulkhead.statistics().failed_cursors == 1
    assert lane.reader.holdings().records_waiting == 0, "all is at the origin"

    disk.plan = lambda _index, _call: None
    lane.reader.wait(lane.reader.cursor, 0)

    assert LANE_PATH / "0000000001.seg" not in disk.names
    assert lane.reader.holdings().records_waiting == 0


LANE_PATH = ROOT / LANE.value


def warned(caplog: pytest.LogCaptureFixture) -> list[tuple[str, dict[str, object]]]:
    """Tell what the start logged."""
    fields = ("lane", "segment", "bytes")
    return [
        (r.message, {name: r.__dict__[name] for name in fields if name in r.__dict__})
        for r in caplog.records
        if r.name == "edge.shell.spool.bulkhead"
    ]


def test_what_a_start_had_to_get_over_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    disk = FakeDisk()
    assert OneLane(disk).commit(0, 1)
    assert warned(caplog) == []
    disk.names[LANE_PATH / "0000000001.seg"].cached += b"torn"
    disk.names[LANE_PATH / "cursor"].cached[0] ^= 1

    OneLane(disk)
    OneLane(disk)

    assert warned(caplog) == [
        ("torn end of the last segment dropped", {"lane": LANE, "bytes": 4}),
        ("cursor missing or damaged: everything goes again", {"lane": LANE, "segment": 1}),
    ]


def test_a_lost_header_and_a_cursor_ahead_are_told(caplog: pytest.LogCaptureFixture) -> None:
    disk = FakeDisk()
    lane = OneLane(disk)
    assert lane.commit(0, 1)
    size = len(disk.names[LANE_PATH / "0000000001.seg"].cached)
    store(LaneFiles(disk, LANE_PATH), Position(1, size + 9))
    disk.names[LANE_PATH / "0000000001.seg"].cached[:HEADER_BYTES] = bytes(HEADER_BYTES)

    OneLane(disk)

    said = {"lane": LANE, "segment": 1}
    assert warned(caplog) == [
        ("last segment has no readable header", said | {"bytes": size - HEADER_BYTES}),
        ("cursor ahead of the segments: everything goes again", said),
    ]


def test_a_segment_that_vanished_while_it_waited_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = FakeDisk()
    lane = OneLane(disk)
    for start in (0, 6, 12):
        assert lane.commit(*range(start, start + 6))
    size = len(disk.names[LANE_PATH / "0000000002.seg"].cached)
    disk.unlink(LANE_PATH / "0000000002.seg")

    OneLane(disk)

    said = {"lane": LANE, "segment": 2, "bytes": size}
    assert warned(caplog) == [("a segment that waited is missing: its events are lost", said)]


def full_lane() -> FakeDisk:
    """Leave a tail to copy, an acknowledged segment, no headroom, and not a byte of room."""
    disk = FakeDisk()
    lane = OneLane(disk)
    assert lane.commit(*range(6))
    lane.reader.acknowledge(lane.read()[1])
    assert lane.commit(*range(6, 12))
    disk.unlink(ROOT / "headroom")
    disk.capacity -= disk.free
    return disk


def test_a_start_without_room_or_headroom_deletes_what_it_retains_and_serves() -> None:
    disk = full_lane()

    lane = OneLane(disk)

    assert indexes(lane.read()[0]) == [6, 7, 8, 9, 10, 11]
    with pytest.raises(Reject):
        lane.append(12)


def test_a_start_that_finds_no_room_at_all_says_what_it_needs() -> None:
    disk = FakeDisk()
    assert OneLane(disk).commit(*range(6))
    disk.unlink(ROOT / "headroom")
    disk.capacity -= disk.free

    with pytest.raises(ConfigError, match="needs room for a copy of its last segment"):
        OneLane(disk)

    disk.capacity += 2000
    assert indexes(OneLane(disk).read()[0]) == [0, 1, 2, 3, 4, 5]
