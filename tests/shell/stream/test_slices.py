"""``edge.shell.stream.slices``: a long job is done, and never at once."""

import asyncio
import logging
from collections.abc import Iterator
from typing import Final

import pytest

from edge.shell.stream import slices
from edge.shell.stream.slices import SLICE, Slices

# Below the suite's own, which a loop that never rests may swallow.
LIMIT_S: Final = 30


def test_a_long_job_lets_others_have_a_turn_after_each_slice() -> None:
    done, seen = 0, [0]

    def job() -> Iterator[int]:
        nonlocal done
        for _ in range(10):
            done += 1
            yield SLICE // 4

    async def story() -> None:
        Slices(job).begin()
        while done < 10:
            await asyncio.sleep(0)
            if done != seen[-1]:
                seen.append(done)

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))

    assert seen == [0, 4, 8, 10]


def test_a_job_begun_while_it_is_done_is_not_done_twice_at_once() -> None:
    begun: list[asyncio.Event] = []

    def job() -> Iterator[int]:
        ended = asyncio.Event()
        begun.append(ended)
        yield SLICE
        yield SLICE
        ended.set()

    async def story() -> None:
        job_in_slices = Slices(job)
        job_in_slices.begin()
        job_in_slices.begin()
        await asyncio.sleep(0)
        job_in_slices.begin()
        await begun[0].wait()
        assert len(begun) == 1
        job_in_slices.begin()
        await asyncio.sleep(0)
        await begun[1].wait()

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))

    assert len(begun) == 2


def test_a_bug_is_told_and_the_job_begins_again_after_a_pause(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(slices, "RESTART_S", 0.01)
    steps = iter([1, 0, 1, 1])  # divided by: the second has a bug
    done: list[float] = []

    async def story() -> None:
        is_done = asyncio.Event()

        def job() -> Iterator[int]:
            for step in steps:
                done.append(1 / step)
                yield 1
            is_done.set()

        job_in_slices = Slices(job)
        job_in_slices.begin()
        await asyncio.sleep(0)
        job_in_slices.begin()  # it is busy, though with a pause
        await is_done.wait()

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))

    assert done == [1, 1, 1]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "ZeroDivisionError" in caplog.text
