"""The command tells a row per phase, what is missed, and what was lost."""

import contextlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import cast

import pytest
from typing_extensions import override

from loadtests.bench.subjects import Subject, SubjectError
from loadtests.overload import __main__ as module
from loadtests.overload.__main__ import ROUNDS, main
from loadtests.overload.conductor import Conductor
from loadtests.overload.phases import Crew, Result
from loadtests.overload.stage import Stage
from tests.loadtests.overload.test_phases import phase


class Settled(Stage):
    """A stage on which nothing runs, and all is well or not."""

    @override
    def settle(self) -> tuple[int, list[str]]:
        """Say what was prepared."""
        return 1_234, ["1 lost"] if (self.room / "fault").exists() else []


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Crew]:
    """Who was measured, with one and the same result."""
    crews: list[Crew] = []

    @contextlib.contextmanager
    def stage(room: Path) -> Generator[Stage]:
        if (room.parent / "fault").exists():
            (room / "fault").touch()
        yield Settled(room, cast("Subject", None), cast("Conductor", None))

    def measure(
        _gateway: Subject, _conductor: Conductor, crew: Crew, seconds: float,
        tell: Callable[[str], object],
    ) -> Result:  # fmt: skip
        crews.append(crew)
        tell(f"{seconds} s")
        high = 31.0 if crew.many == 666 else 20.0
        return Result(crew, 100.0, phase(times=0.7, p99_ms=10.0), [phase(p99_ms=high)])

    monkeypatch.setattr(module, "stage", stage)
    monkeypatch.setattr(module, "measure", measure)
    return crews


def test_each_phase_of_each_load_is_a_row(
    measured: list[Crew], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quick"]) == 0

    told = capsys.readouterr()
    assert [crew.load for crew in measured] == ["single", "batch"]
    assert told.out.count("\n| ") == 5
    assert (
        "| single, 512 connections | 2 x | 200 | 120 | 95 | 0.95 | 25 | 4.0 | 20.0 " in told.out
    )
    assert "1,234 events accepted; at the origin: each once" in told.out
    assert "2.0 s" in told.err


def test_one_load_may_be_asked_for_and_how_many_connections(measured: list[Crew]) -> None:
    assert main(["--load", "batch", "--connections", "7"]) == 0

    assert measured == ROUNDS * [Crew("batch", 16, 7)]


def test_a_missed_goal_fails(measured: list[Crew], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--load", "single", "--connections", "666"]) == 1

    assert len(measured) == ROUNDS
    assert "single, 2 x: p99 is 3.1 times the baseline's" in capsys.readouterr().err


@pytest.mark.usefixtures("measured")
def test_a_lost_event_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fault").touch()

    assert main(["--room", str(tmp_path)]) == 1

    assert "at the origin: ['1 lost']" in capsys.readouterr().out


def test_a_gateway_that_does_not_start_ends_with_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stage(_: Path) -> Stage:
        raise SubjectError("gateway did not start")

    monkeypatch.setattr(module, "stage", stage)

    assert main([]) == 1
    assert capsys.readouterr().err == "overload: gateway did not start\n"
