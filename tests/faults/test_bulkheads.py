"""What hurts one lane does not reach the others, and a full spool keeps its reserve: in short."""

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.bulkhead_load import Heard
from tests.faults.bulkheads import FAULTS, OTHERS, RATIO_MAX, Pace, bulkheads, worsts
from tests.faults.reserve import Sizes, Told, reserve, row
from tests.faults.row import Scale

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


@system
def test_telemetry_is_shed_first_and_money_keeps_its_reserve(tmp_path: Path) -> None:
    rows = list(reserve(Scale.SHORT, tmp_path, silent))

    assert [row.faults for row in rows] == [(), ()]
    assert all(row.is_reached for row in rows)


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


@pytest.mark.parametrize(
    ("used_mib", "faults"),
    [(13, ()), (0.25, ("money had 2% of its reserve to itself",))],
    ids=["kept", "none to speak of"],
)
def test_a_reserve_that_money_had_not_to_itself_is_told(
    used_mib: float, faults: tuple[str, ...]
) -> None:
    endings = defaultdict(Counter[str], telemetry=Counter(lane_shed=1, accepted=1))
    firsts = [("telemetry", "lane_shed")]
    firsts += [(lane, "lane_full") for lane in ("game", "wallet", "bet")]
    told = Told(endings, firsts, money_bytes=1 << 20)
    told.money_bytes_last = (1 + used_mib) * (1 << 20)

    assert row(told, Sizes(16, 13)).faults == faults
