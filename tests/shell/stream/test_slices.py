"""``edge.shell.stream.slices``: a long job is done, and never at once."""

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

import pytest
import uvloop

from edge.shell.stream import slices
from edge.shell.stream.slices import REST_NS_MIN, SLICE_NS, Slices

# Below the suite's own, which a loop that never rests may swallow.
LIMIT_S: Final = 30
ENOUGH: Final = 12  # slices, so that rests of all lengths are among those between them


def test_a_long_job_lets_others_have_a_turn_after_each_slice() -> None:
    done, seen = 0, [0]

    def job() -> Iterator[int]:
        nonlocal done
        for _ in range(10):
            done += 1
            yield SLICE_NS // 4

    async def story() -> None:
        Slices(job).begin()
        while done < 10:
            await asyncio.sleep(0)
            if done != seen[-1]:
                seen.append(done)

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))

    assert seen == [0, 4, 8, 10]


def long_job(ends_ns: list[int]) -> Iterator[int]:
    """One job of many slices."""
    for _ in range(ENOUGH):
        ends_ns.append(time.perf_counter_ns())
        yield SLICE_NS


def short_job(ends_ns: list[int]) -> Iterator[int]:
    """One of many jobs, each shorter than a slice."""
    ends_ns.append(time.perf_counter_ns())
    yield SLICE_NS - 1


@pytest.mark.parametrize("job", [long_job, short_job])
@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_there_is_a_rest_behind_each_slice_however_often_a_job_comes(
    run: Callable[[Coroutine[Any, Any, None]], None],
    job: Callable[[list[int]], Iterator[int]],
) -> None:
    """No shorter than it says, which is a lower bound of time: a busy machine only adds to it."""
    ends_ns: list[int] = []

    async def story() -> None:
        in_slices = Slices(lambda: job(ends_ns))
        while len(ends_ns) < ENOUGH:
            in_slices.begin()
            await asyncio.sleep(0.0003)  # not in step with the loop's milliseconds

    run(story())

    rests_ns = [later - earlier for earlier, later in itertools.pairwise(ends_ns)]
    assert min(rests_ns) >= REST_NS_MIN


def test_a_job_begun_while_it_is_done_is_not_done_twice_at_once() -> None:
    begun = 0

    async def story() -> None:
        ends = [asyncio.Event(), asyncio.Event()]

        def job() -> Iterator[int]:
            nonlocal begun
            end = ends[begun]
            begun += 1
            yield SLICE_NS
            yield SLICE_NS
            end.set()

        job_in_slices = Slices(job)
        job_in_slices.begin()
        job_in_slices.begin()
        await asyncio.sleep(0)
        job_in_slices.begin()
        await ends[0].wait()
        assert begun == 1
        job_in_slices.begin()  # within the rest behind it
        await ends[1].wait()

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))

    assert begun == 2


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
