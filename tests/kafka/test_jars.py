"""The jars come to be whole or not at all, and whoever cannot have them is told why."""

import shutil
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.kafka import jars
from tests.kafka.jars import KafkaMissing

JAVA_17 = "echo 'openjdk version \"17.0.15\" 2025-04-15' >&2"
JAVA_11 = "echo 'openjdk version \"11.0.2\" 2019-01-15' >&2"
# Writes what it was asked for, and a line per call, as the real one would write jars.
MAVEN = """\
echo called >>"$XDG_CACHE_HOME/calls"
for word; do case "$word" in -DoutputDirectory=*) out=${word#*=};; esac; done
mkdir -p "$out"
echo broker >"$out/kafka.jar"
"""
MAVEN_OFFLINE = 'echo "[ERROR] nobody answers"; echo "[ERROR] at all"; exit 1'


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A machine with Java and Maven that work, in a directory."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "cache").mkdir()
    machine = {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    for tool in ("sh", "mkdir", "sleep"):
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / "bin" / tool).symlink_to(found)
    install(machine, "java", JAVA_17)
    install(machine, "mvn", MAVEN)
    return machine


def install(environ: dict[str, str], name: str, script: str) -> None:
    program = Path(environ["PATH"]) / name
    program.write_text(f"#!/usr/bin/env sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


def calls(environ: dict[str, str]) -> int:
    return (Path(environ["XDG_CACHE_HOME"]) / "calls").read_text().count("called")


def test_maven_is_asked_once(environ: dict[str, str]) -> None:
    first = jars.class_path(environ)

    assert jars.class_path(environ) == first
    assert [jar.name for jar in Path(first).parent.glob("*.jar")] == ["kafka.jar"]
    assert calls(environ) == 1


def test_two_runs_at_once_ask_once(environ: dict[str, str]) -> None:
    install(environ, "mvn", f"{MAVEN}sleep 0.2")

    with ThreadPoolExecutor(2) as runs:
        first, second = runs.map(jars.class_path, [environ, environ])

    assert first == second
    assert calls(environ) == 1


def test_jars_once_fetched_need_no_maven(environ: dict[str, str]) -> None:
    first = jars.class_path(environ)
    (Path(environ["PATH"]) / "mvn").unlink()

    assert jars.class_path(environ) == first


@pytest.mark.parametrize("left", [None, "half"], ids=["gone", "cut short"])
def test_a_jar_that_is_not_whole_is_fetched_again(
    environ: dict[str, str], left: str | None
) -> None:
    jar = Path(jars.class_path(environ)).parent / "kafka.jar"
    jar.unlink()
    if left is not None:
        jar.write_text(left)

    jars.class_path(environ)

    assert jar.read_text() == "broker\n"
    assert calls(environ) == 2


@pytest.mark.parametrize(
    ("program", "script", "advice"),
    [
        ("java", None, r"install Java 17 \(no java"),
        ("java", JAVA_11, r"install Java 17 \(found .*11\.0\.2"),
        ("mvn", None, r"install Maven"),
        ("mvn", MAVEN_OFFLINE, r"Maven cannot fetch the broker: \[ERROR\] nobody answers$"),
    ],
)
def test_what_is_missing_is_named_in_one_line(
    environ: dict[str, str], program: str, script: str | None, advice: str
) -> None:
    (Path(environ["PATH"]) / program).unlink()
    if script is not None:
        install(environ, program, script)

    with pytest.raises(KafkaMissing, match=advice) as missing:
        jars.class_path(environ)

    assert "\n" not in str(missing.value)
    assert list(Path(environ["XDG_CACHE_HOME"]).rglob("*.jar")) == []
