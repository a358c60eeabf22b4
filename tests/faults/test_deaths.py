"""A death hits the life it is meant for, and no later one."""

import subprocess
import sys
import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from edge.demo.gateway import Gateway
from tests.faults.deaths import KILLED, killed_after

SOON_S = 0.05
NEVER_S = 3600.0  # a test that waits for it runs into its time limit


@pytest.fixture
def life() -> Generator["subprocess.Popen[str]"]:
    """A process that would go on for ever."""
    sleeps = [sys.executable, "-c", "import time; time.sleep(3600)"]
    with subprocess.Popen(sleeps, text=True) as process:
        yield process
        process.kill()


def test_what_runs_then_is_killed_and_waited_for(
    tmp_path: Path, life: "subprocess.Popen[str]"
) -> None:
    gateway = Gateway(tmp_path, {})

    with killed_after(gateway, SOON_S):
        gateway.process = life

    assert not [each for each in threading.enumerate() if isinstance(each, threading.Timer)]
    assert life.wait() == KILLED


def test_who_ended_before_leaves_no_death_to_those_after_it(
    tmp_path: Path, life: "subprocess.Popen[str]"
) -> None:
    gateway = Gateway(tmp_path, {})

    with killed_after(gateway, NEVER_S):
        gateway.process = None
    gateway.process = life

    assert life.poll() is None


def test_who_is_dead_already_is_not_killed_again(
    tmp_path: Path, life: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []
    monkeypatch.setattr("tests.faults.faults.kill", killed.append)
    gateway = Gateway(tmp_path, {})
    gateway.process = life
    life.kill()
    life.wait()

    with killed_after(gateway, 0):
        pass

    assert killed == []
