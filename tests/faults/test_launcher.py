"""The launcher against a real gateway: each named point ends it there, its files as they stand."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.core.frame import HEADER_BYTES
from edge.demo.gateway import GatewayError
from tests.faults.failpoints import Point, Trap, end
from tests.faults.launcher import launcher
from tests.system.world import TABLE, world

WAIT_S = 20.0


def test_a_trap_is_sprung_once_by_the_pass_that_was_asked_for() -> None:
    trap = Trap(Point.COMMIT_HALF, 3)

    passed = [Point.COMMIT_HALF, Point.CURSOR_HALF, *[Point.COMMIT_HALF] * 4]

    assert [trap.is_sprung(point) for point in passed] == [False] * 3 + [True] + [False] * 2


def test_the_end_is_a_kill_that_nothing_survives() -> None:
    program = f"from {end.__module__} import end\ntry: end()\nfinally: print('alive')"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert (done.returncode, done.stdout) == (-signal.SIGKILL, b"")


@pytest.mark.system
def test_the_gateway_ends_in_the_midst_of_a_commit_and_recovers(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        spin = TABLE.spin(here.visit(), 100)
        here.gateway.command = launcher((Point.COMMIT_HALF, 1))
        here.gateway.start()
        process = here.gateway.process
        assert process is not None
        with here.line() as line:
            line.post(b"[%b]" % json.dumps(spin).encode(), here.headers(here.visit()))
            code = process.wait(WAIT_S)
        here.gateway.kill()
        segments = here.spool.glob("*/game/*.seg")
        torn_bytes = sum(path.stat().st_size for path in segments) - HEADER_BYTES

        here.gateway.command = launcher()
        here.gateway.start()
        answer = here.say(here.visit(), spin)

    assert code == -signal.SIGKILL
    assert 0 < torn_bytes < len(json.dumps(spin))
    assert answer.counts == (1, 0)


@pytest.mark.system
def test_one_that_ends_before_it_listens_tells_by_its_exit_code(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        here.gateway.command = launcher((Point.START_LOCKED, 1))

        with pytest.raises(GatewayError) as seen:
            here.gateway.start()

    assert seen.value.code == -signal.SIGKILL


@pytest.mark.system
def test_segments_are_as_small_as_is_asked_for_and_letters_are_written(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        visit = here.visit()
        sizes = {"segment_bytes_max": 4096, "commit_bytes_max": 4096, "fresh_bytes_max": 4096}
        here.gateway.command = launcher(bounds=sizes, refuses=2)
        here.gateway.start()
        for _ in range(4):
            here.say(visit, *(TABLE.spin(visit, 100) for _ in range(5)))
        letters = here.spool / "0" / "game" / "dead" / "0000000001.jsonl"
        here.wait(letters.exists, "a letter")
        segments = sorted(here.spool.glob("0/game/*.seg"))

    assert len(segments) > 2
    assert "refused by the launcher" in letters.read_text()
