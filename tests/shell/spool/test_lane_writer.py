"""One failure moves on to a new file, two refuse, a full disk waits; each heals by itself."""

import errno
import itertools

import pytest

from edge.core.reject import Reason, Reject
from edge.shell.spool.commit import Synced
from edge.shell.spool.lane_spool import Stored
from tests.fakes_disk import Call, FakeDisk
from tests.fakes_spool import SMALL, OneLane


def fail_next(disk: FakeDisk, code: int, *names: str) -> None:
    """Let the next calls of these names fail, one for each."""
    waiting = list(names)

    def plan(_index: int, call: Call) -> OSError | None:
        if waiting and call.name == waiting[0] and call.path.suffix == ".tmp":
            waiting.pop(0)
            return OSError(code, "planned")
        return None

    disk.plan = plan


def runs(lane: OneLane) -> list[tuple[str, int]]:
    """Tell the numbers of all waiting records, runs by their last digits."""
    frames, _ = lane.read()
    return [(f.edgespool[-2:], f.edgeseq) for f in frames if isinstance(f, Stored)]


def refused(lane: OneLane) -> Reason | None:
    """Tell whether an append is refused now."""
    try:
        lane.append(99)
    except Reject as caught:
        return caught.reason
    return None


@pytest.fixture
def disk() -> FakeDisk:
    """A disk that works."""
    return FakeDisk()


@pytest.fixture
def lane(disk: FakeDisk) -> OneLane:
    """A lane with one accepted record."""
    lane = OneLane(disk)
    assert lane.commit(0)
    return lane


@pytest.mark.parametrize("call", ["write", "sync"])
def test_after_one_failure_a_new_run_follows_and_the_failed_records_are_gone(
    lane: OneLane, disk: FakeDisk, call: str
) -> None:
    fail_next(disk, errno.EIO, call)

    assert not lane.commit(1, 2)
    assert lane.bulkhead.writer.is_writable
    assert lane.commit(3, 4)

    (first, one), (second, two), (third, three) = runs(lane)
    assert (one, two, three) == (1, 1, 2)
    assert first != second == third
    assert lane.bulkhead.statistics().failed_syncs == 1


def test_a_second_failure_makes_the_lane_unwritable_until_a_segment_is_in_place(
    lane: OneLane, disk: FakeDisk
) -> None:
    disk.plan = lambda _index, call: (
        OSError(errno.EIO, "planned") if call.name == "sync" else None
    )

    assert not lane.commit(1)
    assert lane.bulkhead.statistics().is_writable is False
    assert refused(lane) is Reason.LANE_FAILED

    lane.bulkhead.writer.begin()
    assert refused(lane) is Reason.LANE_FAILED

    disk.plan = lambda _index, _call: None
    lane.bulkhead.writer.begin()
    assert lane.bulkhead.statistics().is_writable
    assert lane.commit(2)
    assert [seq for _, seq in runs(lane)] == [1, 1]


def test_two_failed_commits_in_a_row_make_the_lane_unwritable(
    lane: OneLane, disk: FakeDisk
) -> None:
    fail_next(disk, errno.EIO, "write")
    assert not lane.commit(1)
    assert lane.bulkhead.writer.is_writable

    fail_next(disk, errno.EIO, "write")
    assert not lane.commit(2)
    assert not lane.bulkhead.writer.is_writable


def test_two_failures_with_a_success_between_them_are_two_first_ones(
    lane: OneLane, disk: FakeDisk
) -> None:
    for index in (1, 3):
        fail_next(disk, errno.EIO, "write")
        assert not lane.commit(index)
        assert lane.commit(index + 1)

    assert lane.bulkhead.writer.failures == 2
    assert lane.bulkhead.writer.is_writable


def test_a_broken_disk_that_is_now_only_full_counts_as_writable(
    lane: OneLane, disk: FakeDisk
) -> None:
    fail_next(disk, errno.EIO, "write", "write")
    assert not lane.commit(1)
    assert not lane.bulkhead.statistics().is_writable

    fail_next(disk, errno.ENOSPC, "write")
    lane.bulkhead.writer.begin()

    assert lane.bulkhead.statistics().is_writable
    assert refused(lane) is Reason.LANE_FULL


def test_what_gathered_before_the_refusal_fails_at_once(lane: OneLane, disk: FakeDisk) -> None:
    def plan(_index: int, call: Call) -> OSError | None:
        if call.name == "write":
            lane.append(2)
        return OSError(errno.EIO, "planned")

    disk.plan = plan
    assert not lane.commit(1)
    disk.calls.clear()

    lane.bulkhead.writer.step()

    assert [held for _, held in lane.settled] == [True, False, False]
    assert disk.calls == []


def test_a_full_disk_refuses_as_full_stays_ready_and_reopens_when_there_is_room(
    lane: OneLane, disk: FakeDisk
) -> None:
    disk.capacity -= disk.free - 10

    assert not lane.commit(1, 2, 3)
    assert lane.bulkhead.writer.is_writable
    assert refused(lane) is Reason.LANE_FULL
    assert lane.settled[-1][0].outcome is Synced.FAILED, "what fitted may be found after a kill"
    disk.capacity -= disk.free
    headroom = next(node for path, node in disk.names.items() if path.name == "headroom")

    lane.bulkhead.writer.begin()
    assert refused(lane) is Reason.LANE_FULL
    assert len(headroom.cached) == SMALL.headroom_bytes, "events never get it"

    lane.reader.acknowledge(lane.read()[1])
    assert lane.reader.failed_cursors == 0, "forwarding goes on"

    disk.capacity += SMALL.commit_bytes_max
    lane.bulkhead.writer.begin()
    assert lane.commit(4)
    assert [path.name for path in disk.names if path.name == "headroom"] == ["headroom"]


def test_a_full_disk_takes_retained_segments_first(disk: FakeDisk) -> None:
    lane = OneLane(disk)
    for start in range(0, 36, 6):
        assert lane.commit(*range(start, start + 6))
    lane.reader.acknowledge(lane.read()[1])
    before = lane.reader.holdings().bytes_retained
    disk.capacity -= disk.free - 10

    assert not lane.commit(36)

    assert lane.reader.holdings().bytes_retained < before
    assert any(path.name == "headroom" for path in disk.names)


def test_a_rotation_that_fails_fails_its_commit_and_nothing_before(
    lane: OneLane, disk: FakeDisk
) -> None:
    assert lane.commit(*range(1, 6))
    fail_next(disk, errno.EMFILE, "create")

    assert not lane.commit(*range(6, 12))
    assert lane.commit(12)

    assert [seq for _, seq in runs(lane)] == [1, 2, 3, 4, 5, 6, 1]


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a step without a commit come at once."""
    monkeypatch.setattr("edge.shell.spool.lane_writer.IDLE_INTERVAL_S", 0)


@pytest.mark.usefixtures("idle")
def test_a_lane_that_kept_its_segment_fails_as_full_with_the_others_and_goes_on_in_it(
    lane: OneLane, disk: FakeDisk
) -> None:
    lane.append(1)
    lane.room.shut()
    disk.calls.clear()

    lane.bulkhead.writer.step()

    assert lane.settled[-1][0].outcome is Synced.FULL
    assert disk.calls == [], "nothing fills what is freed"
    assert refused(lane) is Reason.LANE_FULL

    lane.bulkhead.writer.step()

    assert refused(lane) is None
    lane.bulkhead.writer.step()
    assert [seq for _, seq in runs(lane)] == [1, 2], "99, in the same run"
    assert lane.bulkhead.writer.failures == 0


@pytest.mark.usefixtures("idle")
def test_an_idle_lane_gives_up_what_it_retains_as_long_as_the_disk_is_full(
    disk: FakeDisk,
) -> None:
    lane = OneLane(disk)
    for start in range(0, 12, 6):
        assert lane.commit(*range(start, start + 6))
    lane.room.shut()
    disk.capacity -= disk.free
    lane.reader.acknowledge(lane.read()[1])
    assert lane.reader.failed_cursors == 0, "not a byte is free"

    lane.bulkhead.writer.step()
    assert refused(lane) is Reason.LANE_FULL
    lane.bulkhead.writer.step()

    assert refused(lane) is None


@pytest.mark.usefixtures("idle")
def test_on_a_full_disk_the_last_segment_goes_too_once_all_of_it_is_acknowledged(
    disk: FakeDisk,
) -> None:
    lane = OneLane(disk)
    assert lane.commit(1, 2, 3)
    lane.room.shut()
    disk.capacity -= disk.free
    lane.bulkhead.writer.step()
    assert lane.bulkhead.writer.is_writable
    assert [seq for _, seq in runs(lane)] == [1, 2, 3], "what waits stays"

    lane.reader.acknowledge(lane.read()[1])
    disk.capacity += SMALL.commit_bytes_max - 300  # the segment has more than these
    lane.bulkhead.writer.step()
    assert not [path for path in disk.names if path.suffix == ".seg"]
    assert refused(lane) is Reason.LANE_FULL
    lane.bulkhead.writer.step()

    assert lane.commit(4)
    assert [seq for _, seq in runs(lane)] == [1], "in a new run"
    assert lane.reader.holdings().records_waiting == 1
    again = OneLane(disk)
    assert [seq for _, seq in runs(again)] == [1]


@pytest.mark.usefixtures("idle")
def test_to_wait_for_room_is_no_failure(
    lane: OneLane, disk: FakeDisk, caplog: pytest.LogCaptureFixture
) -> None:
    lane.room.shut()
    disk.capacity -= disk.free
    lane.reader.acknowledge(lane.read()[1])

    for _ in range(20):
        lane.bulkhead.writer.step()

    assert not [path for path in disk.names if path.suffix == ".seg"]
    assert lane.bulkhead.writer.is_writable
    assert (lane.bulkhead.writer.failures, caplog.messages) == (0, [])
    disk.capacity += 1 << 20
    lane.bulkhead.writer.step()
    assert lane.commit(4)


@pytest.mark.usefixtures("idle")
def test_a_lane_leaves_no_segment_for_another_error_than_a_full_disk(
    lane: OneLane, disk: FakeDisk
) -> None:
    lane.room.shut()
    lane.reader.acknowledge(lane.read()[1])
    disk.plan = lambda _index, call: (
        OSError(errno.EIO, "planned") if call.name == "resize" else None
    )

    for _ in range(3):
        lane.bulkhead.writer.step()

    assert refused(lane) is Reason.LANE_FULL
    assert lane.bulkhead.writer.is_writable
    disk.plan = lambda _index, _call: None
    lane.bulkhead.writer.step()
    assert lane.commit(4)
    assert [seq for _, seq in runs(lane)] == [2], "in the same run"


def indexed(disk: FakeDisk) -> list[int]:
    """Tell which segments have a key index."""
    return [int(path.stem) for path in disk.names if path.suffix == ".idx"]


def test_the_index_of_a_full_segment_waits_until_the_commit_is_reported(
    lane: OneLane, disk: FakeDisk
) -> None:
    assert lane.commit(*range(1, 6))
    settled: list[int] = []
    disk.plan = lambda _index, call: (
        settled.append(len(lane.settled)) if call.name == "write_unsynced" else None
    )

    assert lane.commit(*range(6, 12))

    assert settled == [len(lane.settled)]
    assert indexed(disk) == [1]


@pytest.mark.usefixtures("idle")
def test_an_idle_lane_and_one_after_a_failure_leave_an_index(
    lane: OneLane, disk: FakeDisk
) -> None:
    lane.clock.advance(86401)
    lane.bulkhead.writer.step()
    assert indexed(disk) == [1]

    assert lane.commit(1)
    fail_next(disk, errno.EIO, "write")
    assert not lane.commit(2)
    assert indexed(disk) == [1, 2]


@pytest.mark.usefixtures("idle")
def test_a_refusing_lane_tries_by_itself(lane: OneLane, disk: FakeDisk) -> None:
    disk.plan = lambda _index, _call: OSError(errno.EROFS, "planned")
    assert not lane.commit(1)

    assert lane.bulkhead.writer.step()
    assert refused(lane) is Reason.LANE_FAILED

    disk.plan = lambda _index, _call: None
    assert lane.bulkhead.writer.step()
    assert refused(lane) is None


@pytest.mark.usefixtures("idle")
def test_an_idle_lane_leaves_an_old_segment_but_no_empty_one(
    lane: OneLane, disk: FakeDisk
) -> None:
    for _ in range(2):
        lane.clock.advance(86401)
        lane.bulkhead.writer.step()
        lane.reader.acknowledge(lane.read()[1])

        names = [path.name for path in disk.names if path.suffix == ".seg"]
        assert names == ["0000000002.seg"]


@pytest.mark.usefixtures("idle")
def test_an_old_segment_that_cannot_be_left_is_a_failure(lane: OneLane, disk: FakeDisk) -> None:
    lane.clock.advance(86401)
    fail_next(disk, errno.EIO, "create")

    lane.bulkhead.writer.step()

    assert lane.bulkhead.statistics().failed_syncs == 1
    assert lane.commit(1)


def test_a_bug_fails_the_commit_and_not_the_lane(lane: OneLane, disk: FakeDisk) -> None:
    def plan(_index: int, call: Call) -> OSError | None:
        if call.name == "write":
            disk.plan = lambda _index, _call: None
            raise ZeroDivisionError
        return None

    disk.plan = plan

    assert not lane.commit(1)
    assert lane.commit(2)


@pytest.mark.usefixtures("idle")
def test_a_bug_beside_a_commit_refuses_until_the_next_probe(
    lane: OneLane, disk: FakeDisk, caplog: pytest.LogCaptureFixture
) -> None:
    def plan(_index: int, call: Call) -> OSError | None:
        if call.name == "create":
            lane.bulkhead.intake.close()
            raise ZeroDivisionError
        return None

    disk.plan = lambda _index, _call: OSError(errno.ENOSPC, "planned")
    assert not lane.commit(1)
    disk.plan = plan

    lane.bulkhead.writer.run()

    assert lane.bulkhead.statistics().is_writable is False
    assert "a bug in the spool" in caplog.text


@pytest.mark.usefixtures("idle")
def test_after_a_bug_the_lane_goes_on_in_another_segment(lane: OneLane, disk: FakeDisk) -> None:
    """The one that was being written is in a state that nobody has thought of."""
    creations = itertools.count()

    def plan(_index: int, call: Call) -> OSError | None:
        if call.name == "create":
            if next(creations) == 0:
                raise ZeroDivisionError
            lane.bulkhead.intake.close()
        return None

    lane.clock.advance(86401)
    disk.plan = plan

    lane.bulkhead.writer.run()

    assert lane.bulkhead.writer.is_writable
    closed = [call.path.stem for call in disk.calls if call.name == "close"][1:]
    assert closed == ["0000000001", "0000000003"]
