"""``edge demo`` against the real gateway, shortened: it adds up, and leaves nothing behind."""

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.demo.audit import read_log
from edge.demo.evening import drain, main
from edge.demo.gateway import Gateway
from edge.demo.stage import Stage

SECONDS = 4.0
TIMEOUT_S = 50


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary directories are made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.system
def test_an_evening_adds_up_and_leaves_nothing_behind(room: Path) -> None:
    out = io.StringIO()

    exit_code = main(seed=7, out=out, seconds=SECONDS)

    told = out.getvalue()
    assert exit_code == 0, told
    assert "seed 7" in told
    assert "SIGKILL, with " in told
    assert re.search(r"\n  lost +0 ", told)
    assert told.endswith("everything adds up\n")
    assert list(room.iterdir()) == []


def cut_the_log(stage: Stage) -> None:
    """Take the last line of one partition away."""
    file = next(path for path in stage.room.glob("origin/edge.bet.v1/*/*.jsonl"))
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def change_a_payload(stage: Stage) -> None:
    """Let the origin show another stake than was sent."""
    file = next(path for path in stage.room.glob("origin/edge.game.v1/*/*.jsonl"))
    file.write_text(file.read_text().replace('"amount_minor":', '"amount_minor":9', 1))


@pytest.mark.system
@pytest.mark.parametrize(
    ("harm", "complaint"),
    [(cut_the_log, "accepted, and lost"), (change_a_payload, "data is not what was sent")],
)
def test_an_evening_that_does_not_add_up_says_what_and_fails(
    room: Path,
    monkeypatch: pytest.MonkeyPatch,
    harm: Callable[[Stage], None],
    complaint: str,
) -> None:
    stages: list[Stage] = []

    def remember(gateway: Gateway) -> list[str]:
        found = drain(gateway)
        (log,) = room.glob("*/origin")
        assert list(read_log(log))
        harm(stages[0])
        return found

    enter = Stage.casino

    def casino(stage: Stage) -> object:
        stages.append(stage)
        return enter(stage)

    monkeypatch.setattr(Stage, "casino", casino)
    monkeypatch.setattr("edge.demo.evening.drain", remember)
    out = io.StringIO()

    exit_code = main(seed=7, out=out, seconds=2.0)

    assert exit_code == 1
    assert complaint in out.getvalue()
    assert out.getvalue().endswith("does not add up\n")


def demo(room: Path, *, seconds: float, is_kept: bool) -> subprocess.Popen[str]:
    """Start an evening as a program, as ``edge demo`` does."""
    program = (
        "import sys; from edge.demo.evening import main; "
        f"sys.exit(main(seed=7, is_kept={is_kept}, out=sys.stdout, seconds={seconds}))"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(room)},  # noqa: TID251  # a child needs ours
    )


def read_until(process: subprocess.Popen[str], mark: str) -> str:
    """Read what it tells, until *mark* is there."""
    assert process.stdout is not None
    told = ""
    while mark not in told:
        line = process.stdout.readline()
        assert line, told
        told += line
    return told


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_evening_stops_and_removes_everything(
    tmp_path: Path, number: signal.Signals
) -> None:
    with demo(tmp_path, seconds=30, is_kept=False) as evening:
        told = read_until(evening, "accepted")
        port = told.partition("127.0.0.1:")[2].split("\n")[0]
        evening.send_signal(number)

        rest = evening.communicate(timeout=TIMEOUT_S)[0]

    assert evening.returncode == 1
    assert "it was interrupted" in rest
    assert list(tmp_path.iterdir()) == []
    assert port
    assert nobody_listens(int(port))


def nobody_listens(port: int) -> bool:
    """Whether the port is free again."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.system
def test_kept_it_stays_up_and_its_curl_line_is_accepted_once(tmp_path: Path) -> None:
    shell = shutil.which("sh")
    assert shell is not None
    with demo(tmp_path, seconds=2, is_kept=True) as evening:
        told = read_until(evening, "cloudevents+json")
        told += read_until(evening, "\n")
        line = told[told.index("curl -i") :]
        if shutil.which("curl"):
            answers = [
                subprocess.run([shell, "-c", line], capture_output=True, check=True, text=True)
                for _ in range(2)
            ]
            assert '"accepted":1,"duplicate":0' in answers[0].stdout
            assert '"accepted":0,"duplicate":1' in answers[1].stdout
        evening.send_signal(signal.SIGINT)
        rest = evening.communicate(timeout=TIMEOUT_S)[0]

    assert evening.returncode == 0, rest
    assert list(tmp_path.iterdir()) == []
