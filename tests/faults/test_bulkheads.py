"""What hurts one lane does not reach the others: in short, and only if it hurts that one."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.bulkhead_load import Heard
from tests.faults.bulkhead_origin import Mood, MoodyOrigin
from tests.faults.bulkheads import (
    FAULTS,
    OTHERS,
    RATIO_MAX,
    Pace,
    bulkheads,
    house_of,
    measure,
    worsts,
)
from tests.faults.row import Scale

PROVED_BY_NOTHING_ELSE = ("slow partition", "dead key server")
"""No verdict and no probe says anything of these faults."""

system = pytest.mark.system
pytestmark = [
    pytest.mark.timeout(600),  # 10 s each on two idle cores; each of its waits may take 20 s
]


def silent(_: str) -> None:
    """Nobody watches."""


@system
def test_what_hurts_one_lane_does_not_reach_the_others(tmp_path: Path) -> None:
    rows = list(bulkheads(Scale.SHORT, tmp_path, silent))

    assert [row.faults for row in rows] == [()] * len(FAULTS)
    assert all(row.is_reached for row in rows)


def stay(_: MoodyOrigin, **__: Mood) -> None:
    """Be told to change, and change nothing."""


@system
def test_a_fault_that_nobody_meets_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MoodyOrigin, "become", stay)
    monkeypatch.setattr("tests.faults.bulkheads.MET_S", 0.0)  # nobody is waited for in vain
    faults = {fault.name: fault for fault in FAULTS}

    with house_of(tmp_path, {}) as house:
        rows = [
            measure(faults[name], house, Scale.SHORT, silent) for name in PROVED_BY_NOTHING_ELSE
        ]

    assert [row.is_reached for row in rows] == [False, False]
    assert [row.faults for row in rows] == [
        (f"{name}: no request met it in 1 of 1 slices: it proves nothing",)
        for name in PROVED_BY_NOTHING_ELSE
    ]


def heard(**ms: float) -> dict[str, Heard]:
    """A slice in which each lane's verdicts took so long, or 2 ms."""
    return {v: Heard([round(ms.get(v, 2.0) * 1e6)] * 200, Counter()) for v in OTHERS}


def test_one_lane_that_suffers_is_not_hidden_by_those_that_do_not() -> None:
    median, tail = worsts([heard(), heard(), heard()], [heard(wallet=2.9), heard(wallet=2.8)])

    assert str(median) == "1.43 (wallet: calm 2.0 ms)"
    assert tail.ratio > RATIO_MAX


def test_the_pace_follows_what_the_machine_can_do() -> None:
    pace = Pace(per_s=300, slice_s=1.0, rounds=1, busy=0.4)

    assert pace.at(0.1) == pytest.approx(1200)
    assert pace.at(0.8) == pytest.approx(150)
    assert replace(pace, busy=None).at(0.8) == 300
