"""The command: cores, complaints, and one tiny run against real processes."""

import json
from contextlib import nullcontext
from pathlib import Path

import pytest

from loadtests.bench import __main__ as module
from loadtests.bench.__main__ import main, split_cores
from loadtests.bench.report import BEGIN, END
from loadtests.bench.rounds import Plan
from loadtests.bench.scenario import LOADS
from loadtests.bench.subjects import ROOT

NAMES = ("empty application", "gateway", f"gateway of {ROOT}")
TINY = Plan(
    1,
    {"single": 40, "mixed": 32, "batch": 4},
    1,
    0.2,
    entries=200,
    syncs=2,
    players=20,
    connections_max=8,
)


def test_servers_and_generator_have_a_core_each_where_there_are_two() -> None:
    assert split_cores({5, 3, 9}) == (frozenset({3}), frozenset({5}))
    assert split_cores({3}) == (frozenset({3}), frozenset({3}))


def test_a_commit_that_is_none_ends_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--base", "no-such-commit"]) == 1

    assert capsys.readouterr().err.startswith("bench: fatal: ")


@pytest.mark.system
@pytest.mark.timeout(300)  # three servers: 8 s on two idle cores
def test_a_run_tells_a_row_per_load_and_subject(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "QUICK", TINY)

    def ours(_: str) -> nullcontext[Path]:
        return nullcontext(ROOT)  # as if it were that commit's

    monkeypatch.setattr(module, "tree_of", ours)
    readme, figures = tmp_path / "README.md", tmp_path / "figures.json"
    readme.write_text(f"{BEGIN}\n{END}\n")
    room = tmp_path / "room"
    room.mkdir()

    options = [
        "--quick",
        "--base",
        str(ROOT),
        "--room",
        str(room),
        "--json",
        str(figures),
        "--readme",
        str(readme),
    ]
    assert main(options) == 0

    text = capsys.readouterr().out
    for load in LOADS:
        for name in NAMES:
            assert f"| {load.name} | {name} |" in text
    assert f"gateway / gateway of {ROOT}: single" in text
    assert text in readme.read_text().replace(END, "")
    slices = json.loads(figures.read_text())["slices"]
    assert [(row["load"], row["subject"]) for row in slices] == [
        (load.name, name) for load in LOADS for name in NAMES
    ]
    assert all(rate > 0 for row in slices for rate in row["events_per_cpu_s"])
    assert list(room.iterdir()) == []


@pytest.mark.system
@pytest.mark.timeout(300)  # 2 s on two idle cores
def test_a_soak_tells_what_is_held_and_by_how_much_it_grew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--soak", "500", "--room", str(tmp_path)]) == 0

    head, _, mark, _, growth = capsys.readouterr().out.splitlines()
    assert head == "| events | RSS MB |"
    assert mark.startswith("| 500 | ")
    assert growth == "growth in the second half: +0.0%"
