"""Patience ends a publish that blocks, for a reason that it can name; and never a good one."""

import threading

import pytest
from typing_extensions import override

from edge.shell.clock import SystemClock
from edge.shell.patience import Patience
from origin_client.origin import OriginUnavailable, Outgoing
from tests.fakes import FakeClock
from tests.fakes_forward import LANE, RecordingOrigin, stored

RECORDS = [Outgoing(stored(1).key, stored(1).value)]


class BlockingOrigin(RecordingOrigin):
    """Blocks as a Kafka that is down does, until it is closed; says why, if it is told."""

    def __init__(self, cause: str | None = None) -> None:
        super().__init__(before_publish=self._block)
        self.cause = cause
        self.blocks = threading.Event()

    def _block(self) -> None:
        self.blocks.set()
        self.closed.wait()

    @override
    def health(self, topic: str | None = None) -> str | None:
        return "closed" if self.closed.is_set() else self.cause


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.shell.patience.LOOK_S", 0.001)


@pytest.mark.parametrize(
    ("cause", "told"), [("no broker", "no broker"), (None, "no answer for 30 s")]
)
def test_a_publish_that_blocks_is_ended_when_the_time_is_over(
    cause: str | None, told: str
) -> None:
    origin, clock, stop = BlockingOrigin(cause), FakeClock(), threading.Event()

    def pass_time() -> None:
        origin.blocks.wait()
        clock.advance(30)

    passing = threading.Thread(target=pass_time)
    passing.start()
    with Patience(origin, clock, stop, 30) as patience, pytest.raises(OriginUnavailable):
        origin.publish(LANE.topic, RECORDS)
    passing.join()

    assert patience.cause == told
    assert not patience.pause(0)


@pytest.mark.parametrize(
    ("cause", "told"), [("no broker", "no broker"), (None, "told to stop")]
)
def test_a_publish_that_blocks_is_ended_when_told_to_stop(cause: str | None, told: str) -> None:
    origin, stop = BlockingOrigin(cause), threading.Event()

    def stop_it() -> None:
        origin.blocks.wait()
        stop.set()

    stopping = threading.Thread(target=stop_it)
    stopping.start()

    with Patience(origin, FakeClock(), stop, 30) as patience, pytest.raises(OriginUnavailable):
        origin.publish(LANE.topic, RECORDS)
    stopping.join()

    assert patience.cause == told


def test_an_origin_that_answers_in_time_is_closed_only_at_the_end() -> None:
    origin, clock = RecordingOrigin(), FakeClock()

    with Patience(origin, clock, threading.Event(), 30) as patience:
        for _ in range(3):
            clock.advance(20)
            patience.renew()
            assert patience.pause(0.02), "looked at some times"
            origin.publish(LANE.topic, RECORDS)

    assert patience.cause == ""
    assert origin.closed.is_set()


def test_an_origin_is_closed_when_its_user_fails() -> None:
    origin = RecordingOrigin()

    with (
        pytest.raises(ZeroDivisionError),
        Patience(origin, SystemClock(), threading.Event(), 30),
    ):
        raise ZeroDivisionError

    assert origin.closed.is_set()
