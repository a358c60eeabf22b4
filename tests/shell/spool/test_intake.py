"""Appends gather, are taken whole, settle in order, and are refused when that is over."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from edge.config import SpoolSettings
from edge.core.frame import size
from edge.core.lane import Lane
from edge.core.reject import Reason, Reject
from edge.shell.spool import commit as commit_module
from edge.shell.spool.budget import Budget
from edge.shell.spool.commit import Commit, Synced
from edge.shell.spool.intake import Intake
from edge.shell.spool.segment import Bounds
from origin_client.give_way import Hurry
from tests.fakes_spool import SMALL, FakeLoop, record


class Door:
    """An intake on a fake loop, and what it told."""

    def __init__(self, bounds: Bounds = SMALL, bytes_max: int = 1 << 20) -> None:
        self.loop = FakeLoop()
        self.told: list[tuple[Commit, bool]] = []
        self.budget = Budget(SpoolSettings(bytes_max=bytes_max, reserve_bytes=0))
        self.intake = Intake(Lane.BET, self.budget, bounds, sync_timeout_s=5)
        self.intake.start(self.loop, lambda commit, held: self.told.append((commit, held)))

    def take(self) -> Commit:
        """Take the commit that is filling."""
        commit = self.intake.take(0)
        assert commit is not None
        return commit

    def report(self, commit: Commit, *, held: bool) -> None:
        """Settle it."""
        self.intake.report(commit, Synced.HELD if held else Synced.FAILED, 1_000_000)


def refusal(call: Callable[[], object]) -> tuple[Reason, int | None]:
    """Tell why *call* was refused, and until when."""
    with pytest.raises(Reject) as caught:
        call()
    return caught.value.reason, caught.value.retry_after_ns


def test_what_is_appended_during_one_sync_shares_the_next() -> None:
    door = Door()
    first = door.intake.append(record(0))
    assert door.take() is first

    second = door.intake.append(record(1))
    assert door.intake.append(record(2)) is second

    assert (first.count, second.count, second.size_bytes) == (1, 2, 2 * size(record(1)))
    assert door.take() is second
    assert door.intake.take(0) is None


def test_commits_are_told_in_order_before_their_waiters_wake() -> None:
    async def story() -> list[object]:
        door = Door()
        heard: list[object] = []
        door.intake.start(door.loop, lambda commit, held: heard.append((commit.count, held)))
        commit = door.intake.append(record(0))

        async def wait() -> None:
            heard.append(await commit.synced())

        waiter = asyncio.create_task(wait())
        await asyncio.sleep(0)
        door.report(door.take(), held=True)
        await waiter
        return heard

    assert asyncio.run(story()) == [(1, True), Synced.HELD]


def test_a_failing_callback_does_not_leave_waiters_hanging() -> None:
    def fail(_commit: Commit, _held: bool) -> None:  # noqa: FBT001  # the callback's shape
        raise ZeroDivisionError

    door = Door()
    door.intake.start(door.loop, fail)
    commit = door.intake.append(record(0))

    with pytest.raises(ZeroDivisionError):
        door.report(door.take(), held=True)

    assert commit.outcome is Synced.HELD


@pytest.mark.parametrize(
    "bounds",
    [
        pytest.param(Bounds(commit_records_max=2), id="by records"),
        pytest.param(Bounds(commit_bytes_max=2 * size(record(0))), id="by bytes"),
    ],
)
def test_a_full_commit_refuses_and_charges_nothing(bounds: Bounds) -> None:
    door = Door(bounds, bytes_max=6 * size(record(0)))
    for index in range(2):
        door.intake.append(record(index))

    assert refusal(lambda: door.intake.append(record(2))) == (Reason.LANE_FULL, 10**9)

    door.take()
    assert door.intake.append(record(2)).count == 1, "the budget had room for three"


def test_a_failed_commit_gives_its_bytes_back() -> None:
    door = Door(bytes_max=2 * size(record(0)))
    door.intake.append(record(0))
    assert refusal(lambda: door.intake.append(record(1)))[0] is Reason.LANE_FULL

    door.report(door.take(), held=False)

    assert door.intake.append(record(1)).count == 1


@pytest.mark.parametrize(
    ("reason", "retry_after_ns"),
    [(Reason.LANE_FULL, 5 * 10**9), (Reason.LANE_FAILED, 10**9)],
    ids=["full", "failed"],
)
def test_a_refusing_lane_says_why_and_when(reason: Reason, retry_after_ns: int) -> None:
    door = Door()
    door.intake.refuse(reason)

    assert refusal(lambda: door.intake.append(record(0))) == (reason, retry_after_ns)

    door.intake.refuse(None)
    assert door.intake.append(record(0)).count == 1


def test_a_hanging_sync_is_told_after_its_time_and_the_lane_refuses_until_it_ends() -> None:
    door = Door()
    hanging = door.intake.append(record(0))
    door.take()
    door.loop.pass_time(3)
    behind = door.intake.append(record(1))
    door.loop.pass_time(1.9)
    assert (hanging.outcome, behind.outcome) == (None, None)

    door.loop.pass_time(0.1)
    assert (hanging.outcome, behind.outcome) == (Synced.OVERDUE, None)
    assert refusal(lambda: door.intake.append(record(2))) == (Reason.LANE_FAILED, 10**9)

    door.loop.pass_time(3)
    assert behind.outcome is Synced.OVERDUE

    door.report(hanging, held=True)
    assert (door.intake.is_overdue, door.intake.late_durable) == (True, 1)

    door.report(door.take(), held=False)
    assert (door.intake.is_overdue, door.intake.late_durable) == (False, 1)
    assert door.told == [(hanging, True), (behind, False)]
    assert (hanging.outcome, behind.outcome) == (Synced.HELD, Synced.FAILED)
    assert door.intake.append(record(2)).count == 1


def test_there_is_a_hurry_as_long_as_somebody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry = Hurry()
    monkeypatch.setattr(commit_module, "HURRY", hurry)
    door = Door()

    first = door.intake.append(record(0))
    door.intake.append(record(1))
    door.take()
    door.intake.append(record(2))
    assert hurry
    door.report(first, held=True)
    assert hurry
    door.report(door.take(), held=False)
    assert not hurry

    hanging = door.intake.append(record(3))
    door.take()
    assert hurry
    door.loop.pass_time(5)
    assert not hurry  # nobody waits for it any more
    door.report(hanging, held=True)
    door.intake.append(record(4))
    assert hurry


def test_one_timer_serves_the_whole_lane() -> None:
    door = Door()
    for index in range(50):
        door.intake.append(record(index))
        door.report(door.take(), held=True)

    assert len(door.loop.timers) == 1

    door.loop.pass_time(5)
    assert door.loop.timers == []


def test_flush_waits_for_what_is_in_hand() -> None:
    door = Door()
    door.intake.append(record(0))
    assert not door.intake.flush(0)
    commit = door.take()
    assert not door.intake.flush(0)

    waiter = threading.Thread(target=door.intake.flush, args=(5,))
    waiter.start()
    door.report(commit, held=True)
    waiter.join()

    assert door.intake.flush(0)


def test_a_closed_lane_takes_nothing_but_still_gives_what_it_has() -> None:
    door = Door()
    commit = door.intake.append(record(0))

    door.intake.close()
    door.intake.refuse(None)

    assert refusal(lambda: door.intake.append(record(1)))[0] is Reason.LANE_FAILED
    assert door.take() is commit
    assert door.intake.take(60) is None


def test_a_frame_beyond_its_bound_is_our_bug() -> None:
    with pytest.raises(AssertionError, match="decode bounds"):
        Door().intake.append(record(0, padding=300_000))


def test_a_shut_door_says_full_until_it_is_opened_and_keeps_its_own_reason() -> None:
    door = Door()
    door.intake.shut(is_shut=True)
    assert refusal(lambda: door.intake.append(record(0)))[0] is Reason.LANE_FULL

    door.intake.refuse(Reason.LANE_FAILED)
    assert refusal(lambda: door.intake.append(record(0)))[0] is Reason.LANE_FAILED
    door.intake.refuse(None)
    assert refusal(lambda: door.intake.append(record(0)))[0] is Reason.LANE_FULL

    door.intake.shut(is_shut=False)
    door.intake.append(record(0))


def test_what_a_commit_did_not_need_of_the_budget_is_free_once_it_is_taken() -> None:
    one = size(record(0))
    door = Door(Bounds(), bytes_max=10 * one)
    door.intake.append(record(0))

    door.take()

    assert door.budget.take(Lane.BET, 4 * one) == 4 * one, "half of all, less one"
