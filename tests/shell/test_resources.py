"""What is short is noticed at the watermark, and forgotten only well below it."""

import asyncio
import contextlib
import os
import resource
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.shell.resources import (
    DESCRIPTORS_RESERVED,
    LOOKS_PER_TRIM,
    Resources,
    raise_descriptors,
    trim,
)

PAGE = os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def statm(tmp_path: Path) -> Path:
    """What the system would tell."""
    return tmp_path / "statm"


def holding(statm: Path, pages: int) -> None:
    """Let the process hold so much."""
    statm.write_text(f"999999 {pages} 5 1 0 99999 0\n")


@pytest.fixture
def _limits() -> Iterator[None]:
    """The process's limits as they were, afterwards."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def look_under(limit: int, resources: Resources) -> None:
    """Look once under a soft limit of descriptors, however many this process has open.

    A loop cannot be made when they are used up, so the limit comes and goes within one.
    """
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def look() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
        try:
            await resources.look()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)

    asyncio.run(look())


def test_memory_is_high_at_the_watermark_and_normal_again_below_95_percent(
    statm: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "edge.resources")
    holding(statm, 0)
    resources = Resources(100 * PAGE, statm)
    seen: list[bool] = []
    for pages in (99, 100, 99, 95, 94, 99, 100):
        holding(statm, pages)
        asyncio.run(resources.look())
        assert resources.memory_bytes == pages * PAGE
        seen.append(resources.is_memory_high)

    assert seen == [False, True, True, True, False, False, True]
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]


def test_what_is_free_is_given_back_before_memory_is_called_high(statm: Path) -> None:
    holding(statm, 100)

    resources = Resources(100 * PAGE, statm, give_back=lambda: holding(statm, 99))

    assert not resources.is_memory_high
    assert resources.memory_bytes == 99 * PAGE


def test_while_memory_is_high_it_is_given_back_now_and_then(statm: Path) -> None:
    holding(statm, 100)
    given: list[int] = []
    looks = 0
    resources = Resources(100 * PAGE, statm, give_back=lambda: given.append(looks))
    while looks < 2 * LOOKS_PER_TRIM:
        looks += 1
        asyncio.run(resources.look())

    assert given == [0, LOOKS_PER_TRIM, 2 * LOOKS_PER_TRIM]
    holding(statm, 10)
    asyncio.run(resources.look())
    assert len(given) == 3


def test_memory_that_swings_about_the_watermark_is_not_given_back_each_time(
    statm: Path,
) -> None:
    holding(statm, 100)
    given: list[int] = []
    resources = Resources(100 * PAGE, statm, give_back=lambda: given.append(1))

    for pages in (10, 100, 10, 100):
        holding(statm, pages)
        asyncio.run(resources.look())
        assert resources.is_memory_high == (pages == 100)

    assert len(given) == 1


def test_giving_back_holds_up_nobody(statm: Path) -> None:
    """It waits here for what only the loop does meanwhile."""
    holding(statm, 1)
    has_turned = threading.Event()
    seen: list[bool] = []
    resources = Resources(100 * PAGE, statm, lambda: seen.append(has_turned.wait(5)))
    holding(statm, 100)

    async def story() -> None:
        asyncio.get_running_loop().call_soon(has_turned.set)
        await resources.look()

    asyncio.run(story())
    assert seen == [True]


def test_what_this_process_holds_is_what_the_system_tells() -> None:
    resources = Resources(1 << 40)

    pages = int(Path("/proc/self/statm").read_text().split()[1])

    assert resources.memory_bytes == pytest.approx(pages * PAGE, rel=0.2)


def test_without_a_descriptor_to_look_with_the_last_figure_is_believed(statm: Path) -> None:
    holding(statm, 100)
    resources = Resources(100 * PAGE, statm)

    statm.unlink()
    asyncio.run(resources.look())

    assert resources.is_memory_high


def test_connections_are_what_descriptors_the_house_leaves_them(statm: Path) -> None:
    holding(statm, 1)
    resources = Resources(1 << 40, statm)

    look_under(DESCRIPTORS_RESERVED + 300, resources)

    assert not resources.is_full(299)
    assert resources.is_full(300)


def test_fewer_descriptors_than_the_house_needs_leave_none_to_connections(
    statm: Path,
) -> None:
    holding(statm, 1)
    resources = Resources(1 << 40, statm)

    with contextlib.ExitStack() as open_files:  # more than the limit allows
        for _ in range(DESCRIPTORS_RESERVED):
            open_files.enter_context(statm.open())
        look_under(DESCRIPTORS_RESERVED - 1, resources)

    assert resources.is_full(0)


def test_high_memory_leaves_no_room_for_a_connection(statm: Path) -> None:
    holding(statm, 100)

    assert Resources(100 * PAGE, statm).is_full(0)


@pytest.mark.usefixtures("_limits")
def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most // 2, most))

    raise_descriptors()

    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)


def test_freed_memory_goes_back_to_the_system() -> None:
    """Every second block is kept, so that nothing lies at an end."""
    blocks = [bytes(50_000) for _ in range(2000)]
    resources = Resources(1 << 40)
    full_bytes = resources.memory_bytes
    del blocks[::2]

    trim()
    asyncio.run(resources.look())

    assert resources.memory_bytes < full_bytes - 25_000_000
