"""The command: one tiny run against real processes, at full strength."""

import json
from pathlib import Path

import pytest

from loadtests.bench.sockets import __main__ as module
from loadtests.bench.sockets.__main__ import main
from loadtests.bench.sockets.contest import GATHERED, SINGLE, STREAM, Plan
from loadtests.bench.sockets.report import BEGIN, END
from loadtests.bench.sockets.subjects import TooFewDescriptorsError

TINY = Plan(
    1,
    {SINGLE: 2, STREAM: 4, GATHERED: 2},
    200,
    idle=40,
    hold_s=0.1,
    listeners=20,
    pushes=3,
    gap_s=0.05,
)


@pytest.fixture
def room(tmp_path: Path) -> Path:
    """Where spools lie."""
    room = tmp_path / "room"
    room.mkdir()
    return room


@pytest.mark.system
@pytest.mark.timeout(300)  # four servers: 8 s on two idle cores
def test_a_run_measures_both_servers_memory_and_pushes(
    tmp_path: Path,
    room: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(module, "QUICK", TINY)
    readme, figures = tmp_path / "README.md", tmp_path / "figures.json"
    readme.write_text(f"{BEGIN}\n{END}\n")
    where = ["--room", str(room), "--json", str(figures), "--readme", str(readme)]

    assert main(["--quick", *where]) == 0

    text = capsys.readouterr().out
    for row in (
        "| 1 | 64 | 1 | echo |",
        "| 1 | 16 | 8 | gateway |",
        "| 20 | 8 | 1 | gateway, HTTP batches |",
    ):
        assert row in text
    assert text in readme.read_text().replace(END, "")
    found = json.loads(figures.read_text())
    assert len(found["slices"]) == 7
    assert all(rate > 0 for row in found["slices"] for rate in row["events_per_cpu_s"])
    assert all(0 < each["median"] < 10 for each in found["of_the_echo"])
    assert {each["sockets"] for each in found["idle"].values()} == {40}
    assert found["idle"].keys() == {"echo", "gateway"}
    pushes = found["pushes"]
    assert 0 < pushes["p50_ms"] <= pushes["p99_ms"] <= pushes["slowest_ms"]
    assert list(room.iterdir()) == []


@pytest.mark.system
@pytest.mark.timeout(300)  # two servers: 4 s on two idle cores
def test_too_few_descriptors_cost_what_needs_them_and_no_more(
    room: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def too_few(count: int) -> None:
        raise TooFewDescriptorsError(f"{count} are too many")

    monkeypatch.setattr(module, "QUICK", TINY)
    monkeypatch.setattr(module, "allow_sockets", too_few)

    assert main(["--quick", "--room", str(room)]) == 0

    text = capsys.readouterr().out
    assert "| 1 | 64 | 1 | gateway |" in text
    assert text.count("Not measured: 40 are too many.") == 2


def test_a_disk_that_is_not_there_ends_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "QUICK", TINY)

    assert main(["--quick", "--room", str(tmp_path / "nowhere")]) == 1

    assert capsys.readouterr().err.startswith("bench: [Errno 2]")
