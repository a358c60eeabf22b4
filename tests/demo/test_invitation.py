"""The line one pastes: a shell makes one sound event of it, dated when it was pasted."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from edge.demo.invitation import invitation

EVENT: dict[str, object] = {"id": "1", "time": "long ago", "data": {"note": "it's"}}


@pytest.fixture
def curl(tmp_path: Path) -> Path:
    """A ``curl`` that prints its arguments, one a line."""
    stand_in = tmp_path / "curl"
    stand_in.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    stand_in.chmod(0o755)
    return stand_in


def test_a_shell_reads_it_as_meant(curl: Path) -> None:
    line = invitation(("127.0.0.1", 8080), "a.b.c", EVENT)
    shell = shutil.which("sh")
    assert shell is not None

    said = subprocess.run(
        [shell, "-c", line],
        env={"PATH": f"{curl.parent}:/usr/bin:/bin"},
        capture_output=True,
        check=True,
        text=True,
    ).stdout.splitlines()

    *arguments, body = said
    event = json.loads(body)
    assert arguments == [
        "-i",
        "http://127.0.0.1:8080/v1/events",
        "-H",
        "authorization: Bearer a.b.c",
        "-H",
        "content-type: application/cloudevents+json",
        "-d",
    ]
    assert event | {"time": "long ago"} == EVENT
    assert event["time"].endswith("Z")
    assert event["time"] > "2026"
