"""The gateway as a process, played by stand-ins: what is read of it, and that it is reaped."""

import os
import tomllib
from pathlib import Path

import pytest

from edge.demo import gateway as house
from edge.demo.gateway import Gateway, GatewayError, toml

LISTENS = """\
import json, signal, sys, time
signal.signal(signal.SIGTERM, {answer})
print(json.dumps({{"event": "listening", "public": "127.0.0.1:81", "admin": "127.0.0.1:82"}}))
sys.stdout.flush()
while True: time.sleep(1)
"""


def stand_in(room: Path, monkeypatch: pytest.MonkeyPatch, program: str) -> Gateway:
    """A gateway whose ``python -m edge`` is *program*."""
    (room / "edge.py").write_text(program)
    monkeypatch.chdir(room)
    return Gateway(room, {"node": {"name": "n"}})


def test_it_learns_where_the_gateway_listens_and_reaps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = LISTENS.format(answer="lambda *_: sys.exit(3)")
    gateway = stand_in(tmp_path, monkeypatch, program)

    gateway.start()

    assert (gateway.public, gateway.admin) == (("127.0.0.1", 81), ("127.0.0.1", 82))
    assert gateway.stop() == 3
    assert gateway.process is None


def test_it_asks_for_the_same_ports_in_the_next_life(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = stand_in(tmp_path, monkeypatch, LISTENS.format(answer="signal.SIG_DFL"))

    gateway.start()
    gateway.kill()
    gateway.start()
    gateway.close()

    assert gateway.lives == 2
    assert 'host = "127.0.0.1"\nport = 81\n' in (tmp_path / "edge.toml").read_text()
    assert gateway.process is None


def test_a_frozen_one_stands_still_until_it_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = stand_in(tmp_path, monkeypatch, LISTENS.format(answer="signal.SIG_DFL"))
    gateway.start()
    assert gateway.process is not None
    stat = Path(f"/proc/{gateway.process.pid}/stat")

    gateway.freeze()

    assert stat.read_text().rpartition(")")[2].split()[0] == "T"
    gateway.kill()
    assert not stat.exists()


def test_one_that_has_ended_is_frozen_at_once_and_still_reaped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = LISTENS.format(answer="signal.SIG_DFL").replace("while True: time.sleep(1)", "")
    gateway = stand_in(tmp_path, monkeypatch, program)
    gateway.start()
    assert gateway.process is not None
    os.waitid(os.P_PID, gateway.process.pid, os.WEXITED | os.WNOWAIT)

    gateway.freeze()

    gateway.kill()
    assert gateway.process is None


def test_its_own_settings_of_a_port_stand_beside_the_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, LISTENS.format(answer="signal.SIG_DFL"))
    gateway = Gateway(tmp_path, {"http": {"allowed_origins": ["x"]}})

    gateway.start()
    gateway.close()

    http = tomllib.loads((tmp_path / "edge.toml").read_text())["http"]
    assert http == {"host": "127.0.0.1", "port": 0, "allowed_origins": ["x"]}


def test_one_that_does_not_start_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = "import sys; sys.exit('edge: spool.path: cannot be written')"
    gateway = stand_in(tmp_path, monkeypatch, program)

    with pytest.raises(
        GatewayError, match=r"exit code 1 .*\nedge: spool.path: cannot be"
    ) as seen:
        gateway.start()

    gateway.close()
    assert seen.value.code == 1
    assert gateway.process is None


def test_one_that_never_listens_is_told_from_one_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house, "START_TIMEOUT_S", 0.2)
    silent = stand_in(tmp_path, monkeypatch, "import time; time.sleep(60)")
    with pytest.raises(GatewayError, match="not listening") as hangs:
        silent.start()
    killed = stand_in(tmp_path, monkeypatch, "import os; os.kill(os.getpid(), 9)")
    monkeypatch.setattr(house, "START_TIMEOUT_S", 20.0)
    with pytest.raises(GatewayError) as ended:
        killed.start()

    assert (hangs.value.code, ended.value.code) == (None, -9)
    assert silent.process is None


def test_one_that_does_not_leave_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = stand_in(tmp_path, monkeypatch, LISTENS.format(answer="signal.SIG_IGN"))
    gateway.start()

    with pytest.raises(GatewayError, match="no exit"):
        gateway.stop(0.2)

    assert gateway.process is None


def test_sections_become_tables_and_lists_arrays_of_tables() -> None:
    text = toml(
        {"node": {"name": 'a"b', "drain_s": 1}, "auth.issuers": [{"a": True}, {"b": None}]}
    )

    assert text == (
        '[node]\nname = "a\\"b"\ndrain_s = 1\n[[auth.issuers]]\na = true\n[[auth.issuers]]\n'
    )
