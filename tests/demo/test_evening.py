"""``edge demo`` against the real gateway, shortened: it adds up, and leaves nothing behind."""

import io
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest

from edge.demo.evening import drain, main
from edge.demo.gateway import Gateway

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
    assert "seed 7 (--seed 7 plays it again)" in told
    assert "SIGKILL, with " in told
    assert '"op": "verdicts"' in told
    back = dict(re.findall("player-(.*) is back on a socket: known true, .* again: (.*)", told))
    assert sorted(back) == ["jun", "kim", "leo", "mallory"]
    # The gateway was frozen when these three spoke for the last time.
    assert all(int(back[player]) >= 1 for player in ("jun", "kim", "leo"))
    assert number(told, "resent") == sum(map(int, back.values()))
    # Nothing that was sent again lies at the origin twice.
    assert number(told, "forwarded") == number(told, "accepted")
    assert re.search("jackpot.pot.won, .*: at player-jun, player-kim, player-leo", told)
    assert re.search(r"\n  lost +0 ", told)
    assert told.endswith("everything adds up\n")
    assert list(room.iterdir()) == []


def number(told: str, row: str) -> int:
    """Read one row of the closing account."""
    (count,) = re.findall(rf"\n +{row} +(\d+) ", told)
    return int(count)


def spoil(origin: Path) -> None:
    """Lose the last record of one partition, and show another stake than was sent."""
    bets = next(origin.glob("edge.bet.v1/*/*.jsonl"))
    bets.write_text("".join(bets.read_text().splitlines(keepends=True)[:-1]))
    games = next(origin.glob("edge.game.v1/*/*.jsonl"))
    games.write_text(games.read_text().replace('"amount_minor":', '"amount_minor":9', 1))


@pytest.mark.system
def test_an_evening_that_does_not_add_up_says_what_and_fails(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = Gateway.stop

    def drain_and_spoil(gateway: Gateway) -> list[str]:
        found = drain(gateway)
        spoil(next(room.glob("*/origin")))
        return [*found, "a lane that lies"]

    def stop_and_complain(gateway: Gateway) -> int:
        return stop(gateway) + 3

    monkeypatch.setattr("edge.demo.evening.drain", drain_and_spoil)
    monkeypatch.setattr(Gateway, "stop", stop_and_complain)
    out = io.StringIO()

    exit_code = main(out=out, seconds=2.0)

    told = out.getvalue()
    assert exit_code == 1
    for complaint in (
        "accepted, and lost",
        "1 accepted events are lost",
        "data is not what was sent",
        "a lane that lies",
        "exit code 3 after SIGTERM",
    ):
        assert f"{complaint}\n" in told
    assert told.endswith("does not add up\n")


@dataclass
class Counting:
    """A gateway that only has metrics: each reading is the next of *texts*, then the last."""

    texts: list[str]

    def metrics(self) -> str:
        """Tell the next."""
        return self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]


WAITS = 'edge_spool_records{lane="bet"} 1.0\n'
DRAINED = 'edge_spool_records{lane="bet"} 0.0\n'
LOST = DRAINED + 'edge_forwarded_total{lane="bet"} 1.0\n'


@pytest.mark.parametrize(
    ("texts", "timeout_s", "faults"),
    [
        ([WAITS, WAITS, DRAINED], TIMEOUT_S, []),
        ([WAITS, LOST], 5.0, ["/metrics, lane bet: came in 0, went out 1"]),
        ([WAITS], 0.2, ["records still wait for the origin after 0 s"]),
    ],
    ids=["drained", "drained and wrong", "stuck"],
)
def test_counters_are_judged_once_nothing_waits(
    texts: list[str], timeout_s: float, faults: list[str]
) -> None:
    gateway = cast("Gateway", Counting([*texts]))  # all that is asked of one

    assert drain(gateway, timeout_s) == faults


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
