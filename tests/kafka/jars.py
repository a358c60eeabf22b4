"""Kafka's jars: resolved once by Maven, kept outside the tree, checked before each use.

In: ``pom.xml`` beside this file. Owns ``$XDG_CACHE_HOME/edge-gateway/kafka-<digest of the
pom>/``, which comes to be whole or not at all: Maven fills a directory of another name, a
manifest of names and sizes is written into it, and then it is renamed. Where Maven looks for
jars is the machine's affair: its settings stay as they are.
"""

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

POM: Final = Path(__file__).with_name("pom.xml")
MANIFEST: Final = "manifest.json"
JAVA_VERSION_MIN: Final = 17  # what Kafka 4 needs
# 46 jars, 44 MB, and Maven's own plugins: 46 s when nothing is cached; a slow line takes longer.
RESOLVE_TIMEOUT_S: Final = 600
JAVA_TIMEOUT_S: Final = 30  # a first start on a busy machine


class KafkaMissing(Exception):  # noqa: N818  # an expected state of a machine
    """No broker can be started here; the message says what to install."""


def class_path(environ: Mapping[str, str] = os.environ) -> str:  # noqa: TID251  # as any program
    """Return the class path of a broker, fetching it if need be (46 s, then 0.2 s).

    Raises:
        KafkaMissing: Java or Maven is not there, or Maven does not get the jars.
    """
    _check_java(environ)
    caches = Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edge-gateway"
    caches.mkdir(parents=True, exist_ok=True)
    place = caches / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:12]}"
    with place.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second run waits for the first one's jars
        if not _is_whole(place):
            shutil.rmtree(place, ignore_errors=True)
            _resolve(place, environ)
    return str(place / "*")


def _check_java(environ: Mapping[str, str]) -> None:
    java = shutil.which("java", path=environ.get("PATH", ""))
    if java is None:
        raise KafkaMissing(f"install Java {JAVA_VERSION_MIN} (no java on the PATH)")
    said = subprocess.run(
        [java, "-version"], capture_output=True, check=False, text=True, timeout=JAVA_TIMEOUT_S
    ).stderr
    version = re.search(r'version "(\d+)', said)
    if version is None or int(version[1]) < JAVA_VERSION_MIN:
        raise KafkaMissing(f"install Java {JAVA_VERSION_MIN} (found {said.splitlines()[:1]})")


def _is_whole(place: Path) -> bool:
    """Whether each jar is there in its full size."""
    try:
        manifest = cast("dict[str, int]", json.loads((place / MANIFEST).read_bytes()))
        return all((place / name).stat().st_size == size for name, size in manifest.items())
    except (OSError, ValueError):
        return False


def _resolve(place: Path, environ: Mapping[str, str]) -> None:
    """Have Maven copy the jars to *place*, all or nothing.

    Raises:
        KafkaMissing: It is not there, or does not get them.
    """
    maven = shutil.which("mvn", path=environ.get("PATH", ""))
    if maven is None:
        raise KafkaMissing("install Maven (no mvn on the PATH), which fetches the broker once")
    with tempfile.TemporaryDirectory(prefix=f"{place.name}-", dir=place.parent) as room:
        jars = Path(room) / "jars"
        shutil.copy(POM, room)  # Maven may write beside its pom, and the tree is not its place
        try:
            done = subprocess.run(
                [maven, "--quiet", "--batch-mode", "dependency:copy-dependencies",
                 f"-DoutputDirectory={jars}", "-DincludeScope=runtime"],
                cwd=room, env=dict(environ), capture_output=True, check=False, text=True,
                timeout=RESOLVE_TIMEOUT_S,
            )  # fmt: skip  # the command as one types it
        except subprocess.TimeoutExpired as slow:
            raise KafkaMissing(f"Maven took more than {RESOLVE_TIMEOUT_S} s") from slow
        if done.returncode != 0:
            words = (done.stdout + done.stderr).strip().splitlines()
            raise KafkaMissing(f"Maven cannot fetch the broker: {words[0] if words else '?'}")
        sizes = {jar.name: jar.stat().st_size for jar in sorted(jars.iterdir())}
        (jars / MANIFEST).write_text(json.dumps(sizes, indent=1))
        jars.rename(place)


if __name__ == "__main__":
    print(class_path())  # noqa: T201  # a command
