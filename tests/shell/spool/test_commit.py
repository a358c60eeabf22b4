"""Everybody who waits for a commit learns its outcome, whatever the others do."""

import asyncio

from edge.core.lane import Lane
from edge.shell.spool.commit import Commit, Synced


def test_all_waiters_learn_the_outcome_and_late_ones_at_once() -> None:
    async def story() -> list[Synced]:
        commit = Commit(Lane.BET, overdue_at_s=0)
        waiters = [commit.synced() for _ in range(3)]
        await asyncio.sleep(0)
        commit.settle(Synced.HELD)
        return [*await asyncio.gather(*waiters), await commit.synced()]

    assert asyncio.run(story()) == [Synced.HELD] * 4


def test_a_cancelled_waiter_takes_nobody_with_it() -> None:
    async def story() -> tuple[bool, Synced]:
        commit = Commit(Lane.BET, overdue_at_s=0)
        leaver = commit.synced()
        stayer = commit.synced()
        await asyncio.sleep(0)
        leaver.cancel()
        await asyncio.sleep(0)
        commit.settle(Synced.FAILED)
        return leaver.cancelled(), await stayer

    assert asyncio.run(story()) == (True, Synced.FAILED)


def test_an_overdue_commit_may_hold_all_the_same() -> None:
    async def story() -> list[Synced]:
        commit = Commit(Lane.BET, overdue_at_s=0)
        early = commit.synced()
        await asyncio.sleep(0)
        commit.settle(Synced.OVERDUE)
        while_overdue = await commit.synced()
        commit.settle(Synced.HELD)
        return [await early, while_overdue, await commit.synced()]

    assert asyncio.run(story()) == [Synced.OVERDUE, Synced.OVERDUE, Synced.HELD]


def test_a_listener_is_told_once_of_the_first_outcome_from_then_on() -> None:
    async def story() -> list[tuple[str, Synced]]:
        told: list[tuple[str, Synced]] = []
        commit = Commit(Lane.BET, overdue_at_s=0)
        commit.tell(
            lambda about, synced: told.append(("early", synced)) if about is commit else None
        )
        commit.settle(Synced.OVERDUE)
        commit.tell(lambda _, synced: told.append(("late", synced)))
        assert told == [("early", Synced.OVERDUE)], "never before tell returns"
        await asyncio.sleep(0)
        commit.settle(Synced.HELD)
        await asyncio.sleep(0)
        return told

    assert asyncio.run(story()) == [("early", Synced.OVERDUE), ("late", Synced.OVERDUE)]
