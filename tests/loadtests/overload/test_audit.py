"""What was accepted must lie in the log, once, and nothing else may."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from loadtests.overload.audit import audit


def write(room: Path, log: Mapping[str, Sequence[str]], accepted: Sequence[str]) -> list[str]:
    for topic, names in log.items():
        partition = room / "origin" / topic / "0"
        partition.mkdir(parents=True)
        lines = (
            json.dumps({"offset": offset, "key": "player", "value": {"id": name}}) + "\n"
            for offset, name in enumerate(names)
        )
        (partition / f"{0:020d}.jsonl").write_text("".join(lines))
    (room / "accepted").write_text("".join(f"{name}\n" for name in accepted))
    return audit(room / "origin", room / "accepted")


@pytest.mark.parametrize(
    ("bets", "accepted", "faults"),
    [
        pytest.param(["a", "b"], ["b", "a"], [], id="each once"),
        pytest.param(["a"], ["a", "b"], ["1 accepted, and lost: b"], id="lost"),
        pytest.param(
            ["a", "b"], ["a"], ["1 forwarded, never accepted: b"], id="never accepted"
        ),
        pytest.param(["a", "a"], ["a"], ["1 forwarded more than once: a"], id="twice"),
    ],
)
def test_a_fault_is_told(
    tmp_path: Path, bets: Sequence[str], accepted: Sequence[str], faults: list[str]
) -> None:
    assert write(tmp_path, {"edge.bet.v1": bets}, accepted) == faults


def test_every_lane_counts_and_what_is_told_of_refusals_does_not(tmp_path: Path) -> None:
    log = {"edge.bet.v1": ["a"], "edge.game.v1": ["b"], "edge.refused.v1": ["c"]}

    assert write(tmp_path, log, ["a", "b"]) == []


def test_what_is_only_a_dead_letter_has_not_arrived(tmp_path: Path) -> None:
    log = {"edge.bet.v1": ["a"], "edge.dead.v1": ["b"]}

    assert write(tmp_path, log, ["a", "b"]) == ["1 accepted, and lost: b"]


def test_of_many_a_few_are_quoted(tmp_path: Path) -> None:
    [fault] = write(tmp_path, {}, [f"{number:03d}" for number in range(100)])

    assert fault == "100 accepted, and lost: 000, 001, 002, 003, 004"
