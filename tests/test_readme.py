"""README's tables say what the code does: every refusal, setting, metric and stage, no more."""

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

import edge
from edge.app import build
from edge.config import Auth, Config, Issuer, Limit, OriginSettings, SpoolSettings
from edge.core.asyncapi import asyncapi_document
from edge.core.closing import BYES, CLOSE_CODES
from edge.core.reject import Reason
from edge.core.sayings import SAYINGS
from edge.settings import Size
from edge.shell.clock import SystemClock
from tests.fakes_stream import event
from tests.fakes_stream_server import StreamServer

README = Path(__file__).parent.parent / "README.md"

UNITS = {10: "KiB", 20: "MiB", 30: "GiB"}

Row = dict[str, str]


def table(heading: str) -> list[Row]:
    """The first table below *heading*, by column, without backticks."""
    _, found, below = README.read_text().partition(f"# {heading}\n")
    assert found, f"no heading {heading}"
    match = re.search(r"^\|.*\n\|[-| :]*\|\n((?:\|.*\n)+)", below, re.MULTILINE)
    assert match, f"no table below {heading}"
    names, _, *rows = [
        [cell.strip().replace("`", "") for cell in re.split(r"(?<!\\)\|", line.strip("|"))]
        for line in match[0].splitlines()
    ]
    return [dict(zip(names, row, strict=True)) for row in rows]


def test_every_refusal_is_listed_as_it_is_answered() -> None:
    listed = [(row["code"], row["status"], row["retry"] == "yes") for row in table("Refusals")]

    assert sorted(listed) == sorted(
        (reason.code, str(reason.status), reason.is_retryable) for reason in Reason
    )


def settings(section: msgspec.Struct, path: str = "") -> Iterator[tuple[str, str]]:
    """Every setting and its default, as an operator writes it."""
    for field in msgspec.structs.fields(section):
        value, here = getattr(section, field.name), f"{path}{field.name}"
        match value:
            case Limit(quota=quota, window_s=window_s, burst=burst):
                yield here, f"{{ quota = {quota}, window_s = {window_s}, burst = {burst} }}"
            case msgspec.Struct():
                yield from settings(value, f"{here}.")
            case () if field.name == "issuers":
                for each in msgspec.structs.fields(Issuer):
                    yield f"{here}[].{each.name}", "required" if each.required else "absent"
            case None:
                yield here, "absent"
            case int() if field.type == Size:
                shift = next(shift for shift in (30, 20, 10) if not value % (1 << shift))
                yield here, f"{value >> shift}{UNITS[shift]}"
            case _:
                yield here, msgspec.json.encode(value).decode()


def test_every_setting_is_listed_with_its_default() -> None:
    cost = [(f"limits.*.cost.{name}", "1") for name in ("intent", "observation", "fact")]

    listed = [(row["setting"], row["default"]) for row in table("Settings")]

    assert sorted(listed) == sorted([*settings(Config()), *cost])


@pytest.fixture
def exposed(tmp_path: Path) -> str:
    """What a gateway exposes before its first request."""
    config = Config(
        auth=Auth(issuers=(Issuer(issuer="i", audience="a", jwks_path="none.json"),)),
        spool=SpoolSettings(path=str(tmp_path / "spool"), allow_volatile=True),
        origin=OriginSettings(url=f"log:{tmp_path}/origin"),
    )
    gateway = build(config, SystemClock())
    try:
        return TestClient(gateway.admin).get("/metrics").text
    finally:
        gateway.spool.close()


def test_every_metric_is_listed_with_its_labels(exposed: str) -> None:
    listed = {row["metric"]: row["labels"] for row in table("Metrics")}
    families: list[Any] = list(text_string_to_metric_families(exposed))
    names = {f.name + ("_total" if f.type == "counter" else ""): f.samples for f in families}

    assert listed.keys() == names.keys()
    for name, samples in names.items():
        labels = {", ".join(label for label in s.labels if label != "le") for s in samples}
        assert labels <= {listed[name]}, name


def test_every_stage_is_listed_in_order() -> None:
    drawn = [line.split()[:2] for line in (edge.__doc__ or "").splitlines() if ":mod:" in line]

    listed = [(row["stage"], row["module"]) for row in table("Path of one event")]

    assert listed == [(stage, module.split("`")[1]) for stage, module in drawn]


def test_every_stage_refuses_with_reasons_there_are() -> None:
    codes = {reason.code for reason in Reason}

    named = [
        set(re.findall(r"[a-z]+_[a-z_]+", row["refuses with"]))
        for row in table("Path of one event")
    ]

    assert set().union(*named) <= codes


def test_every_frame_is_listed_with_who_sends_it() -> None:
    listed = {row["op"]: row["from"] for row in table("Frames")}

    senders = {"receive": "client", "send": "gateway"}
    assert listed == {saying.op: senders[saying.action] for saying in SAYINGS}


def fenced(heading: str, language: str) -> str:
    """The first block of *language* below *heading*."""
    _, _, below = README.read_text().partition(f"# {heading}\n")
    _, _, block = below.partition(f"\n```{language}\n")
    text, _, _ = block.partition("\n```\n")
    return text


def frames(heading: str) -> Iterator[dict[str, Any]]:
    """The JSON objects of the first fenced block below *heading*."""
    text = fenced(heading, "json")
    while text := text.lstrip():
        frame, end = json.JSONDecoder().raw_decode(text)
        yield frame
        text = text[end:]


def test_every_frame_is_shown_as_the_contract_shows_it() -> None:
    messages = asyncapi_document()["components"]["messages"]
    examples = [each["payload"] for op in messages.values() for each in op["examples"]]

    shown = {frame["op"]: frame for frame in frames("Frames")}

    assert shown == {example["op"]: example for example in examples}


def test_every_close_code_is_listed_with_its_reasons() -> None:
    listed = [
        (row["close code"], row["reason in bye"], row["what it means"])
        for row in table("Why a socket ends")
    ]

    reasons = {
        code: ", ".join(sorted(reason for reason in BYES if BYES[reason] == code))
        for code in CLOSE_CODES
    }
    assert listed == [(str(c), reasons[c], meaning) for c, meaning in CLOSE_CODES.items()]


def test_the_client_in_python_plays_as_it_is_shown(tmp_path: Path) -> None:
    script = tmp_path / "play.py"
    script.write_text(fenced("The socket", "python"))
    lines = [
        json.dumps(event(n, kind)) + "\n" for n, kind in enumerate(["fine", "bad", "fine"])
    ]
    server = StreamServer()

    async def play() -> tuple[int | None, str]:
        async with server.open():
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                script,
                server.url,
                "a.b.c",
                stdin=PIPE,
                stdout=PIPE,
                env={"PYTHONPATH": str(README.parent)},
            )
            told, _ = await process.communicate("".join(lines).encode())
            return process.returncode, told.decode()

    code, told = asyncio.run(play())

    assert code == 0
    said = ["1 e-0", "2 e-1", "3 e-2"]
    fates = ["1 accepted", "2 refused schema_violation", "3 accepted"]
    assert sorted(line.strip() for line in told.splitlines()) == sorted([*said, *fates])
    assert server.requests == [("/v1/stream?k=player-0001&topics=jackpots", "Bearer a.b.c")]
    assert server.gateway.log["bet"] == ["e-0", "e-2"]
