"""``edge serve`` that cannot serve: one line, the right exit code, nothing overwritten."""

import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from edge.demo.gateway import Gateway, GatewayError, toml
from edge.demo.issuer import Issuer
from tests.system.conftest import Build
from tests.system.world import TABLE, Sections, World

pytestmark = pytest.mark.system

START_TIMEOUT_S = 20


def failed_start(room: Path, settings: Sections) -> tuple[int, str]:
    """Start ``edge serve`` with *settings*; return its exit code and its words."""
    config = room / "other.toml"
    config.write_text(toml(settings))
    done = subprocess.run(
        [sys.executable, "-m", "edge", "serve", "--config", str(config)],
        capture_output=True,
        check=False,
        text=True,
        timeout=START_TIMEOUT_S,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def sound(room: Path) -> Sections:
    """Settings that would do."""
    keys = room / "other-keys.json"
    keys.write_bytes(Issuer().jwks())
    return {
        "auth.issuers": [
            {"issuer": "https://x.example", "audience": "e", "jwks_path": str(keys)}
        ],
        "http": {"port": 0},
        "admin": {"port": 0},
        "spool": {"path": str(room / "other-spool")},
        "origin": {"url": f"log:{room / 'other-origin'}"},
    }


def test_a_taken_port_is_one_line_and_exit_code_1(here: World) -> None:
    port = here.gateway.public[1]

    code, words = failed_start(here.room, sound(here.room) | {"http": {"port": port}})

    assert code == 1
    assert len(words.splitlines()) == 1
    assert f"port {port}" in words
    assert not (here.room / "other-spool").exists()


def test_a_second_process_on_a_spool_is_one_line_and_exit_code_1(here: World) -> None:
    taken = {"spool": {"path": str(here.spool)}}

    code, words = failed_start(here.room, sound(here.room) | taken)

    assert code == 1
    assert len(words.splitlines()) == 1
    assert str(here.spool) in words
    assert here.say(here.visit(), TABLE.spin(here.visit(), 5)).counts == (1, 0)


@pytest.mark.parametrize(
    ("settings", "path"),
    [
        ({"http": {"prot": 1}}, "http"),
        ({"http": {"port": 70000}}, "http.port"),
        ({"node": {"drain_s": "soon"}}, "node.drain_s"),
        ({"origin": {"url": "carrier-pigeon:here"}}, "origin.url"),
    ],
    ids=["typo", "out of range", "wrong type", "unknown origin"],
)
def test_a_wrong_setting_is_named_with_exit_code_78(
    tmp_path: Path, settings: Sections, path: str
) -> None:
    code, words = failed_start(tmp_path, sound(tmp_path) | settings)

    assert code == 78
    assert len(words.splitlines()) == 1
    assert path in words


def test_a_spool_that_cannot_be_written_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    nowhere = {"spool": {"path": str(tmp_path / "file" / "spool")}}

    code, words = failed_start(tmp_path, sound(tmp_path) | nowhere)

    assert code == 78
    assert len(words.splitlines()) == 1
    assert "spool.path" in words


def test_a_spool_of_another_format_is_left_as_it_is(here: World) -> None:
    ada = here.visit()
    here.say(ada, TABLE.spin(ada, 5))
    here.gateway.kill()
    (segment,) = sorted(here.spool.glob("*/game/*.seg"))[-1:]
    segment.write_bytes(of_another_version(segment.read_bytes()))
    before = snapshot(here.spool)

    with pytest.raises(GatewayError, match="exit code 78"):
        here.gateway.start()

    assert snapshot(here.spool) == before


def of_another_version(segment: bytes) -> bytes:
    """The same segment as the next version of the format would write its header.

    Source: edge.core.frame, "Segment": two copies of 60 bytes and their CRC-32.
    """
    mark, version, rest = segment[:8], segment[8:10], segment[10:60]
    assert version == b"\x01\x00"
    copy = mark + b"\x02\x00" + rest
    return (copy + zlib.crc32(copy).to_bytes(4, "little")) * 2 + segment[128:]


def snapshot(root: Path) -> dict[str, bytes]:
    """Every file of a spool, whole."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def test_settings_also_come_from_the_environment(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGE_NODE__NAME", "from-the-environment")
    monkeypatch.setenv("EDGE_PORT", "tcp://10.0.0.1:80")  # what Kubernetes injects
    here = build({})
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    event = TABLE.spin(ada, 5)
    assert here.say(ada, event).counts == (1, 0)
    here.wait_until_forwarded(event)

    assert [each["edgenode"] for each in here.forwarded()] == ["from-the-environment"]


def test_the_stand_in_that_starts_gateways_reports_a_failed_start(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path, {"node": {"drain_s": -1}})

    with pytest.raises(GatewayError, match=r"(?s)exit code 78.*node\.drain_s"):
        gateway.start()
