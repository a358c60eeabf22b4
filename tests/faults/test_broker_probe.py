"""A fault of the campaign that hurts nothing is told; one that does its harm is not."""

import contextlib
import random
import socketserver
import threading
from collections.abc import Iterator, Set as AbstractSet
from dataclasses import dataclass
from typing import Any, cast

import pytest
from typing_extensions import override

from edge.core.lane import Lane
from tests.faults import broker_probe, faults
from tests.faults.broker_kinds import PADDING_BYTES, Kind, be_late, be_narrow, hang_5_s, stutter
from tests.faults.broker_probe import ANSWER_TIMEOUT_S, Question, check_mute, check_slow
from tests.faults.broker_stage import ALL, Stage
from tests.faults.proxy import Proxy
from tests.kafka.broker import Broker

MOMENT_S = 0.3  # an answer takes less than a millisecond
KINDS = [be_late, be_narrow, hang_5_s, stutter]


class Answers(socketserver.ThreadingTCPServer):
    """Answers each question at once, unless it is paused.

    Attributes:
        goes_on: Set unless it is paused.
        hangs_up: Whether it ends each connection instead.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.hangs_up = False

    def pause(self) -> None:
        """Answer nobody, as a broker that is frozen."""
        self.goes_on.clear()

    def resume(self) -> None:
        """Answer again."""
        self.goes_on.set()


class _Answer(socketserver.BaseRequestHandler):
    @override
    def handle(self) -> None:
        server = cast("Answers", self.server)
        left = int.from_bytes(self.request.recv(4))
        server.goes_on.wait()
        while left and (piece := self.request.recv(left)):
            left -= len(piece)
        with contextlib.suppress(OSError):  # of who did not wait
            if not server.hangs_up:
                self.request.sendall(b"answer")


@dataclass(slots=True)
class Short(Stage):
    """A stage without a gateway, on which a fault lasts while some questions could be answered."""

    @override
    def last(self, seconds: float, cause: str = "", *, lanes: AbstractSet[Lane] = ALL) -> None:
        assert seconds > 0
        assert not cause
        assert lanes == ALL
        self.ask()

    def ask(self) -> None:
        """Ask thrice, one after the other, as long as there are answers."""
        for _ in range(3):
            with Question(self.proxy.address) as question, contextlib.suppress(OSError):
                if not question.is_answered(MOMENT_S):
                    return


@pytest.fixture
def server() -> Iterator[Answers]:
    with Answers() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.resume()
        running.shutdown()
        thread.join()


@pytest.fixture
def stage(server: Answers) -> Iterator[Short]:
    rng = random.Random(1)  # noqa: S311  # replayable, no secret
    with Proxy(("127.0.0.1", server.server_address[1])) as proxy:
        nothing = cast("Any", None)
        yield Short(nothing, nothing, cast("Broker", server), proxy, rng, print)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_that_does_its_harm_is_none_of_the_campaign(stage: Short, kind: Kind) -> None:
    kind(stage)

    assert stage.faults == []


def harm_nothing(*_: object, **__: object) -> contextlib.nullcontext[None]:
    """A fault that has no effect."""
    return contextlib.nullcontext()


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_that_harms_nothing_is_a_fault_of_the_campaign(
    stage: Short, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("late", "narrow", "hung"):
        monkeypatch.setattr(faults, name, harm_nothing)

    kind(stage)

    assert stage.faults != []
    assert all(each.endswith(": no fault") for each in stage.faults)


def test_a_broker_that_hangs_up_is_neither_slow_nor_frozen(
    stage: Short, server: Answers
) -> None:
    server.hangs_up = True

    check_slow(stage, 0.1)
    assert [each.rpartition(":")[0] for each in stage.faults] == [
        "nobody can be asked whether it is slow"
    ]
    while len(stage.faults) == 1:
        with check_mute(stage):
            stage.ask()
    assert stage.faults[1].startswith("nobody can be asked whether it is frozen")


def test_an_answer_that_never_comes_is_not_a_slow_one(
    stage: Short, server: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_probe, "ANSWER_TIMEOUT_S", MOMENT_S)
    server.pause()

    check_slow(stage, 0.1)

    assert len(stage.faults) == 1


@pytest.mark.system
def test_a_real_broker_answers_what_is_asked(broker: Broker) -> None:
    """Or none would ever be caught: whoever does not understand it would be slow and mute."""
    with Proxy(broker.behind) as proxy:
        for padding_bytes in (0, PADDING_BYTES):
            with Question(proxy.address, padding_bytes) as question:
                assert question.is_answered(ANSWER_TIMEOUT_S)
