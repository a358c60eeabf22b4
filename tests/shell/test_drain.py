"""A drain ends when nothing waits, when it is told to, or when its time is over."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from edge.core.lane import Lane
from edge.shell.courier import FLUSH_S
from edge.shell.drain import Drain, Drained
from edge.shell.forward import Statistics
from edge.shell.spool.bulkhead import LaneStatistics
from edge.shell.spool.shelf import Holdings
from tests.fakes import FakeClock, later
from tests.shell.test_readiness import lane_statistics


@dataclass
class FakeCarrier:
    """Ends after so many looks; writes down what it is told."""

    looks: int = 0
    told: list[str] = field(default_factory=list[str])
    on_look: Callable[[], object] = lambda: None
    deadlines_ns: list[int] = field(default_factory=list[int])

    def start(self) -> None:
        """Note it."""
        self.told.append("start")

    def begin_drain(self) -> None:
        """Note it."""
        self.told.append("drain")

    def join(self, deadline_steady_ns: int) -> bool:
        """Look at the clock; nothing waits after the last look."""
        self.deadlines_ns.append(deadline_steady_ns)
        self.looks -= 1
        self.on_look()
        return self.looks <= 0

    def abandon(self) -> None:
        """Note it."""
        self.told.append("abandon")

    def health(self) -> str | None:
        """Always ill."""
        return "away"

    def statistics(self) -> Statistics:
        """One record each."""
        return Statistics(forwarded=1)


@dataclass
class FakeSpool:
    """Holds as many records as its one busy forwarder has looks left."""

    busy: FakeCarrier

    def statistics(self) -> dict[Lane, LaneStatistics]:
        """Lane ``bet`` among empty ones."""
        waiting = Holdings(max(self.busy.looks, 0), 0, 0, None, None)
        return {
            lane: replace(lane_statistics(), holdings=waiting)
            if lane is Lane.BET
            else lane_statistics()
            for lane in Lane
        }


@dataclass(frozen=True)
class FakeDeadLetters:
    """Takes so much room."""

    size: int

    def bytes_used(self) -> int:
        """What it was made with."""
        return self.size


def drained(
    busy: FakeCarrier, courier: FakeCarrier, clock: FakeClock, timeout_s: float | None = None
) -> Drained:
    """Drain a spool of one busy lane; every look takes a second."""
    stop = threading.Event()
    forwarders = {lane: busy if lane is Lane.BET else FakeCarrier() for lane in Lane}
    letters = {lane: FakeDeadLetters(int(lane is Lane.GAME)) for lane in Lane}
    return Drain(FakeSpool(busy), forwarders, letters, [courier], clock).run(stop, timeout_s)


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.shell.drain.LOOK_S", 0)


def test_it_ends_when_every_lane_is_empty_and_the_couriers_come_last() -> None:
    told: list[str] = []
    busy, courier = FakeCarrier(5, told), FakeCarrier(0, told)

    assert drained(busy, courier, FakeClock()) == Drained(len(Lane), {}, [Lane.GAME])
    assert told == ["start", "start", "drain", "drain", "drain"]


def test_it_says_now_and_then_what_is_left_and_why(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = FakeClock()
    busy = FakeCarrier(12, on_look=lambda: clock.advance(1))

    drained(busy, FakeCarrier(), clock)

    said = [
        (each.message, each.__dict__["left"], each.__dict__["cause"]) for each in caplog.records
    ]
    assert said == [("draining", 7, "away"), ("draining", 2, "away")]


def test_when_its_time_is_over_it_gives_up_what_is_left() -> None:
    clock, told = FakeClock(), list[str]()
    busy = FakeCarrier(1000, told, lambda: clock.advance(1))

    result = drained(busy, FakeCarrier(), clock, timeout_s=3)

    assert result.left.keys() == {Lane.BET}
    assert told == ["start", "drain", "drain", "abandon"]


def test_told_to_stop_it_gives_up_what_is_left() -> None:
    told: list[str] = []
    busy = FakeCarrier(1000, told)
    stop = threading.Event()
    stop.set()
    forwarders: dict[Lane, FakeCarrier] = {Lane.BET: busy}

    courier, clock = FakeCarrier(1), FakeClock()
    result = Drain(FakeSpool(busy), forwarders, {}, [courier], clock).run(stop, None)

    assert result.left[Lane.BET] > 0
    assert told == ["start", "drain", "drain", "abandon"]
    assert courier.deadlines_ns == [clock.now().steady_ns], (
        "a closed origin: nothing to wait for"
    )


def test_a_courier_has_a_moment_when_all_was_forwarded() -> None:
    courier, clock = FakeCarrier(), FakeClock()

    drained(FakeCarrier(), courier, clock)

    assert courier.deadlines_ns == [later(FLUSH_S, than=clock.now()).steady_ns]


def test_whatever_fails_nothing_runs_on() -> None:
    def fail_once() -> None:
        busy.on_look = lambda: None
        raise ZeroDivisionError("bug")

    busy, courier = FakeCarrier(1000, on_look=fail_once), FakeCarrier()

    with pytest.raises(ZeroDivisionError):
        drained(busy, courier, FakeClock())

    assert busy.told == ["start", "drain", "drain", "abandon"]
    assert courier.told == ["start", "drain"]
