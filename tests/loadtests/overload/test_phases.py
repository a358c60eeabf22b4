"""What came of a phase is told without its first second, and held against the goals."""

import io
import os
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from typing_extensions import override

from loadtests.bench.subjects import Subject
from loadtests.overload.conductor import Conductor
from loadtests.overload.crowd import NS_PER_S, Course, Fate
from loadtests.overload.phases import (
    MEMORY_MAX_BYTES,
    Crew,
    Phase,
    Result,
    measure,
    typical,
)

MS = 1_000_000


def course(*fates: tuple[float, float, bool], due: int = 100) -> Course:
    """Three seconds of requests: when sent, s; how long, ms; whether accepted."""
    told = [Fate(round(s * NS_PER_S), round(ms * MS), ok) for s, ms, ok in fates]
    return Course(3 * NS_PER_S, due, told)


class Played(Conductor):
    """Has had its courses played before."""

    def __init__(self, courses: Sequence[Course]) -> None:
        super().__init__("{}", io.StringIO(), io.StringIO())
        self.asked: list[tuple[str, float]] = []
        self._courses: Iterator[Course] = iter(courses)

    @override
    def stock(self, load: str, count: int) -> None:
        self.asked.append((load, count))

    @override
    def connect(self, address: tuple[str, int], connections: int) -> None:
        self.asked.append(("connect", connections))

    @override
    def hang_up(self) -> None:
        self.asked.append(("hang up", 0))

    @override
    def closed(self, seconds: float) -> Course:
        return next(self._courses)

    @override
    def open(self, per_s: float, seconds: float) -> Course:
        self.asked.append(("open", per_s))
        return next(self._courses)


class Ours(Subject):
    """This very process, never kept from its processor."""

    @override
    def kept_off_ns(self) -> int:
        return 0


def test_saturation_is_found_and_then_multiples_of_it_are_asked_for() -> None:
    steady = [(1 + number / 100, 5.0, True) for number in range(190)]
    late = [(0.5, 900.0, False), (1.5, 1_100.0, False), (2.9, 500.0, False)]
    played = Played([course(*steady), *[course(*steady, *late)] * 3])
    news: list[str] = []

    result = measure(
        Ours("ours", ("127.0.0.1", 0), None, os.getpid()),
        played,
        Crew("single", 4, 8),
        2.0,
        news.append,
    )

    assert result.saturation_per_s == pytest.approx(95)
    opened = [per_s for what, per_s in played.asked if what == "open"]
    assert opened == pytest.approx([0.7 * 95, 2 * 95, 5 * 95])
    assert [count for what, count in played.asked if what == "connect"] == [4, 8, 8, 8]
    phase = result.phases[0]
    assert (phase.accepted_per_s, phase.refused_per_s, phase.sent_per_s) == (95, 0.5, 95.5)
    assert (phase.p50_ms, phase.p99_ms, phase.longest_refused_ms) == (5, 5, 1_100)
    assert phase.offered_per_s == pytest.approx(100 / 3)
    assert phase.rss_bytes > 1 << 20
    assert len(news) == 4


def phase(*, rss_bytes: int = 1, **changes: float) -> Phase:
    figures = {
        "times": 2.0,
        "offered_per_s": 200.0,
        "sent_per_s": 120.0,
        "accepted_per_s": 95.0,
        "refused_per_s": 25.0,
        "p50_ms": 4.0,
        "p99_ms": 20.0,
        "longest_refused_ms": 1_010.0,
        "kept_off": 0.0,
    }
    return Phase(**(figures | changes), rss_bytes=rss_bytes)


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, []),
        ({"accepted_per_s": 89.0}, ["accepts 0.89 of the saturation"]),
        ({"accepted_per_s": 71.0, "times": 5.0}, []),
        ({"accepted_per_s": 69.0, "times": 5.0}, ["accepts 0.69 of the saturation"]),
        ({"p99_ms": 31.0}, ["p99 is 3.1 times the baseline's"]),
        ({"longest_refused_ms": 1_300.0}, ["a refused one waited 1300 ms"]),
        ({"rss_bytes": MEMORY_MAX_BYTES}, []),
        ({"rss_bytes": MEMORY_MAX_BYTES + (1 << 20)}, ["holds 385 MiB"]),
        ({"refused_per_s": 0.0, "longest_refused_ms": 0.0}, []),
        (
            {"refused_per_s": 0.0, "longest_refused_ms": 0.0, "times": 5.0},
            ["refuses nothing: it was no overload"],
        ),
    ],
)
def test_a_missed_goal_is_named(changes: dict[str, Any], missed: list[str]) -> None:
    result = Result(Crew("single", 4, 8), 100.0, phase(times=0.7, p99_ms=10.0), [])

    assert result.misses(phase(**changes)) == missed


def test_each_round_is_its_own_measure_and_the_middle_one_counts() -> None:
    def round_(saturation: float, accepted: float, baseline: float, p99: float) -> Result:
        phases = [phase(accepted_per_s=accepted, p99_ms=p99, longest_refused_ms=10 * p99)]
        return Result(
            Crew("single", 4, 8), saturation, phase(times=0.7, p99_ms=baseline), phases
        )

    result = typical(
        [round_(100, 95, 10, 20), round_(200, 160, 20, 100), round_(50, 49, 5, 12)]
    )

    only = result.phases[0]
    assert result.saturation_per_s == 100
    assert result.share(only) == pytest.approx(0.95)
    assert result.slower(only) == pytest.approx(2.4)
    assert only.longest_refused_ms == 1_000
