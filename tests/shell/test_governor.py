"""Turns are given as long as there is time; an overload is told of when it begins and ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import pytest
from typing_extensions import override

from edge.core.closing import OVERLOADED
from edge.core.instant import NS_PER_MS, NS_PER_S
from edge.core.waiting_line import (
    CALM_NS,
    CALM_TURN_NS,
    INTERVAL_NS,
    PACE_NS_AT_FIRST,
    REFUSED_PER_TURN,
    WAIT_NS_MAX,
)
from edge.shell import governor as governor_module
from edge.shell.governor import HELD_BYTES_MAX, HELD_FRAMES_BYTES_MAX, REFUSED_AS, Governor
from edge.shell.meters import Meters
from tests.fakes import FakeClock

SHARE: Final = CALM_TURN_NS // PACE_NS_AT_FIRST
SOON_S: Final = 0.02
STEP_NS: Final = 20 * NS_PER_MS  # longer than a turn's work: the node is slow


class Caller:
    """A connection that keeps in mind how it was called."""

    def __init__(self, governor: Governor) -> None:
        self.calls: list[str] = []
        self._governor = governor

    def begin(self) -> None:
        """Its turn."""
        self.calls.append("begin")

    def refuse(self) -> None:
        """No turn."""
        self.calls.append("refuse")
        self._governor.count_refused()

    def fail(self) -> None:
        """Its call failed."""
        self.calls.append("fail")


class Broken(Caller):
    """A connection with a bug."""

    @override
    def begin(self) -> None:
        """Fail at its turn."""
        super().begin()
        raise ZeroDivisionError

    @override
    def refuse(self) -> None:
        """Fail at its refusal."""
        super().refuse()
        raise RecursionError


def play(story: Callable[[Governor, FakeClock], Awaitable[None]]) -> Meters:
    meters, clock = Meters(), FakeClock()

    async def played() -> None:
        await story(Governor(clock, meters), clock)

    asyncio.run(played())
    return meters


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def line_up(governor: Governor, count: int) -> list[Caller]:
    """Let so many come; return those that have to wait."""
    callers = [Caller(governor) for _ in range(count)]
    return [caller for caller in callers if not governor.line_up(caller)]


async def overload(governor: Governor, clock: FakeClock) -> list[Caller]:
    """Have a line stand for too long; return who has been in it."""
    waiting: list[Caller] = []
    for _ in range(2 * INTERVAL_NS // STEP_NS):
        waiting += line_up(governor, 2 * SHARE)
        clock.advance(STEP_NS / NS_PER_S)
        await turns(1)
    assert governor.is_overloaded
    return waiting


async def until(is_so: Callable[[], bool]) -> None:
    """Return when it is so; the test's own timeout ends it otherwise."""
    for _ in range(10_000):
        if is_so():
            return
        await asyncio.sleep(0.001)


def test_one_turn_begins_its_share_and_the_next_one_the_next() -> None:
    async def story(governor: Governor, _: FakeClock) -> None:
        waiting = line_up(governor, SHARE + 12)
        assert len(waiting) == governor.waiting == 12
        await turns()
        assert [caller.calls for caller in waiting] == [["begin"]] * 12
        assert line_up(governor, 1) == []

    play(story)


def test_what_begins_beside_the_line_takes_its_share_and_its_turn() -> None:
    async def story(governor: Governor, _: FakeClock) -> None:
        for _each in range(SHARE):
            governor.begin_beside()
        assert len(line_up(governor, 1)) == 1
        await turns()
        assert line_up(governor, SHARE) == []

    play(story)


def test_who_comes_while_others_wait_joins_them_even_in_the_next_turn() -> None:
    async def story(governor: Governor, _: FakeClock) -> None:
        line_up(governor, SHARE + 12)
        await turns(1)
        assert governor.waiting == 11
        [newcomer] = line_up(governor, 1)
        await turns()
        assert newcomer.calls == ["begin"]

    play(story)


def test_who_was_served_from_the_line_takes_the_share_of_those_who_come_then() -> None:
    async def story(governor: Governor, clock: FakeClock) -> None:
        line_up(governor, SHARE + 12)
        await turns(1)
        assert governor.waiting == 11
        clock.advance(PACE_NS_AT_FIRST / NS_PER_S)  # for the one that was served: as expected
        await turns(1)
        assert governor.waiting == 0
        assert len(line_up(governor, SHARE)) == 11
        await turns()

    play(story)


@pytest.mark.parametrize("called", ["begin", "refuse"])
def test_a_bug_in_one_connection_ends_it_and_keeps_nobody_from_a_turn(
    called: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def story(governor: Governor, clock: FakeClock) -> None:
        line_up(governor, SHARE)
        broken = Broken(governor)
        assert not governor.line_up(broken)
        callers = line_up(governor, 2 * REFUSED_PER_TURN)
        if called == "refuse":
            clock.advance(WAIT_NS_MAX / NS_PER_S)
        await until(lambda: not governor.waiting)
        assert broken.calls == [called, "fail"]
        assert {len(caller.calls) for caller in callers} == {1}

    play(story)
    [record] = caplog.records
    assert record.exc_info


def test_who_leaves_is_not_called() -> None:
    async def story(governor: Governor, _: FakeClock) -> None:
        first, second = line_up(governor, SHARE + 2)
        governor.leave(first)
        await turns()
        assert (first.calls, second.calls) == ([], ["begin"])

    play(story)


def test_who_waits_too_long_is_refused() -> None:
    async def story(governor: Governor, clock: FakeClock) -> None:
        [late] = line_up(governor, SHARE + 1)
        clock.advance(WAIT_NS_MAX / NS_PER_S)
        await turns()
        assert late.calls == ["refuse"]

    assert play(story).requests_refused[REFUSED_AS] == 1


def test_what_is_held_has_a_bound() -> None:
    async def story(governor: Governor, _: FakeClock) -> None:
        assert governor.hold(HELD_BYTES_MAX - 1)
        assert not governor.hold(2)
        assert governor.hold(1)
        governor.release(HELD_BYTES_MAX)
        assert governor.held_bytes == 0

    play(story)


def test_sockets_leave_room_for_requests() -> None:
    async def story(governor: Governor, _: FakeClock) -> None:
        assert governor.hold_frames(HELD_FRAMES_BYTES_MAX)
        assert not governor.hold_frames(1)
        assert governor.hold(HELD_BYTES_MAX - HELD_FRAMES_BYTES_MAX)
        governor.release(HELD_FRAMES_BYTES_MAX)
        assert governor.hold_frames(
            HELD_FRAMES_BYTES_MAX - (HELD_BYTES_MAX - HELD_FRAMES_BYTES_MAX)
        )
        assert not governor.hold_frames(1), "nor take what requests have"

    play(story)


def test_those_who_are_late_are_seen_to_even_if_nobody_comes() -> None:
    async def story(governor: Governor, clock: FakeClock) -> None:
        waiting = await overload(governor, clock)
        await until(lambda: not governor.waiting)
        assert {len(caller.calls) for caller in waiting} == {1}

    play(story)


def test_an_overload_is_told_once_when_it_begins_and_once_when_it_ends(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(governor_module, "LOOK_AGAIN_S", SOON_S)
    caplog.set_level(logging.WARNING, "edge.governor")

    async def story(governor: Governor, clock: FakeClock) -> None:
        await overload(governor, clock)
        governor.count_refused(OVERLOADED.reason)  # a socket, whose text was parked too long
        await asyncio.sleep(2 * SOON_S)
        assert governor.is_overloaded
        await until(lambda: not governor.waiting)
        clock.advance(CALM_NS / NS_PER_S)
        await until(lambda: not governor.is_overloaded)

    meters = play(story)

    begun, ended = caplog.records
    assert begun.getMessage() == "overloaded: what waits too long is refused"
    assert ended.getMessage() == "no more overloaded"
    assert meters.requests_refused[REFUSED_AS] > 0
    assert ended.__dict__["refused_so_far"] == meters.requests_refused[REFUSED_AS] + 1
    assert ended.__dict__["lasted_s"] >= CALM_NS / NS_PER_S


def test_what_begins_at_once_tells_the_pace_too() -> None:
    async def story(governor: Governor, clock: FakeClock) -> None:
        for _each in range(20):
            line_up(governor, 2)
            await turns(1)
            clock.advance(0.02)
            await turns(2)
        assert len(line_up(governor, 3)) == 2

    play(story)
