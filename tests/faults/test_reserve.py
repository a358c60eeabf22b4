"""A full spool keeps its reserve for money, in short; and what is said of one that did not."""

import json
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.reserve import FACTS, Sizes, Told, reserve, row
from tests.faults.row import Scale
from tests.system.raw import Answer


@pytest.mark.system
@pytest.mark.timeout(600)  # 10 s on two idle cores; each of its waits may take 20 s
def test_telemetry_is_shed_first_and_money_keeps_its_reserve(tmp_path: Path) -> None:
    rows = list(reserve(Scale.SHORT, tmp_path, lambda _: None))

    assert [row.faults for row in rows] == [(), ()]
    assert all(row.is_reached for row in rows)


def told_all() -> Told:
    """What clients have heard where nothing was wrong."""
    endings = defaultdict(Counter[str], telemetry=Counter(lane_shed=1, accepted=1))
    firsts = [("telemetry", "lane_shed")]
    firsts += [(lane, "lane_full") for lane in ("game", "wallet", "bet")]
    return Told(
        endings,
        firsts,
        money_bytes=1 << 20,
        money_bytes_last=14 << 20,
        turned_away=Counter(FACTS),
    )


@pytest.mark.parametrize(
    ("used_mib", "faults"),
    [(13, ()), (0.25, ("money had 2% of its reserve to itself",))],
    ids=["kept", "none to speak of"],
)
def test_a_reserve_that_money_had_not_to_itself_is_told(
    used_mib: float, faults: tuple[str, ...]
) -> None:
    told = replace(told_all(), money_bytes_last=(1 + used_mib) * (1 << 20))

    assert row(told, Sizes(16, 13)).faults == faults


def test_a_lane_of_which_nothing_was_ever_turned_away_is_told() -> None:
    told = replace(told_all(), turned_away=Counter(["wallet", "bet"]))

    assert row(told, Sizes(16, 13)).faults == ("game: never turned away",)


def answer(status: int, codes: list[str], wait: str | None = None) -> Answer:
    """What the gateway says of two events."""
    refused = [{"index": n, "code": code, "pointer": None} for n, code in enumerate(codes)]
    body = {"accepted": 2 - len(codes), "duplicate": 0, "refused": refused}
    headers = {} if wait is None else {"retry-after": wait}
    return Answer(status, headers, json.dumps(body).encode())


FULL = ["lane_full", "lane_full"]


@pytest.mark.parametrize(
    ("heard", "turned_away", "faults"),
    [
        (answer(503, FULL, "1"), 1, []),
        (answer(202, ["lane_full"]), 0, []),
        (answer(202, ["lane_full", "lane_shed"]), 0, []),
        (answer(202, []), 0, []),
        (answer(202, FULL), 1, ["game: ['lane_full'] under 202, Retry-After ''"]),
        (answer(429, FULL, "1"), 1, ["game: ['lane_full'] under 429, Retry-After '1'"]),
        (answer(503, FULL), 1, ["game: ['lane_full'] under 503, Retry-After ''"]),
        (answer(503, FULL, "soon"), 1, ["game: ['lane_full'] under 503, Retry-After 'soon'"]),
        (answer(503, FULL, "0"), 1, ["game: ['lane_full'] under 503, Retry-After '0'"]),
        (
            answer(503, ["lane_full"], "1"),
            0,
            ["game: ['lane_full'] under 503, Retry-After '1'"],
        ),
    ],
    ids=[
        "turned away",
        "half of it taken",
        "the rest shed",
        "taken",
        "turned away as if taken",
        "turned away as if too much",
        "without when",
        "without a number",
        "at once",
        "half of it taken as if not",
    ],
)
def test_who_is_turned_away_is_told_so_and_when_to_come_again(
    heard: Answer, turned_away: int, faults: list[str]
) -> None:
    told = told_all()
    told.turned_away.clear()
    for _ in range(2):  # the same is told once
        told.hear("game", [{"id": "a"}, {"id": "b"}], heard)

    assert told.turned_away["game"] == 2 * turned_away
    assert told.wrong == faults
    assert set(faults) <= set(row(told, Sizes(16, 13)).faults)
