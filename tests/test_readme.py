"""README's tables say what the code does: every refusal, setting, metric and stage, no more."""

import asyncio
import json
import re
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient
from typing_extensions import override

import edge
from edge.app import build
from edge.config import Auth, Config, Issuer, Limit, OriginSettings, SpoolSettings
from edge.core.answer import WORDS
from edge.core.asyncapi import asyncapi_document
from edge.core.attributes import PATTERNS
from edge.core.authenticate import LEEWAY_S
from edge.core.claims import Claims, principal_of, read_claims
from edge.core.closing import BYES, CLOSE_CODES
from edge.core.event import WireEvent
from edge.core.lane import Authority, Lane
from edge.core.limit import CLOCK_SKEW_FLAG
from edge.core.principal import Principal
from edge.core.reject import Reason, Reject
from edge.core.sayings import SAYINGS
from edge.core.session_window import Standing
from edge.core.unambiguous import Ambiguous
from edge.settings import Size
from edge.shell.clock import SystemClock
from origin_client.envelope import Envelope
from tests.fakes import ABSENT, player_claims, service_claims
from tests.fakes_stream import FakeGateway, FakeSocket, event
from tests.fakes_stream_server import StreamServer

README = Path(__file__).parent.parent / "README.md"

PUSH_TIMEOUT_S = 30.0  # a client that reads with its loop never tells of one

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
    listed = [
        (row["code"], row["status"], row["retry"] == "yes", row["what to do"])
        for row in table("Refusals")
    ]

    assert sorted(listed) == sorted(
        (reason.code, str(reason.status), reason.is_retryable, WORDS[reason].detail)
        for reason in Reason
    )


SPEAKERS = {"player's": player_claims, "service's": service_claims}


def principal(whose: str, **claims: object) -> Principal | None:
    """Who a token with these *claims* speaks for; ``None`` if it is refused."""
    try:
        return principal_of(read_claims(msgspec.json.encode(SPEAKERS[whose](**claims))))
    except (Ambiguous, Reject):
        return None


CLAIMS = player_claims() | {"nbf": 1, "brands": ["aurora"], "jurisdictions": ["MT"]}
"""One value of each claim that suits whoever may have it."""


def demand(whose: str, claim: str) -> str:
    """How the code takes *claim*, in README's words."""
    stated = {} if claim == "scope" else {claim: CLAIMS[claim]}
    with_it = principal(whose, **stated)
    without_it = principal(whose, **{claim: ABSENT})
    if with_it is None:
        return "forbidden"
    if without_it is None:
        return "required"
    # When it begins is the token's, and no part of who speaks.
    return "ignored" if with_it == without_it and claim != "nbf" else "optional"


def test_every_claim_is_listed_as_it_is_demanded() -> None:
    listed = [
        (row["claim"], row["player's"], row["service's"]) for row in table("What a token holds")
    ]

    assert sorted(listed) == sorted(
        (claim, *(demand(whose, claim) for whose in SPEAKERS))
        for claim in Claims.__struct_fields__
    )


def test_a_claim_is_said_to_have_the_form_it_must_have() -> None:
    said = {row["claim"]: row["what it says"] for row in table("What a token holds")}

    for claim, attribute in (
        ("sub", "subject"),
        ("brand", "brand"),
        ("jurisdiction", "jurisdiction"),
    ):
        assert PATTERNS[attribute] in said[claim]
    assert f"until {LEEWAY_S} s after `exp`" in README.read_text()


def test_every_scope_allows_what_is_said_of_it() -> None:
    (said,) = (
        row["what it says"] for row in table("What a token holds") if row["claim"] == "scope"
    )
    players, _, services = said.partition(" for players, ")

    lanes = [f"facts:{lane}" for lane in Lane]
    assert re.findall(r"[a-z]+:[a-z<]\S*[a-z>]", players) == ["events:write", "stream:read"]
    assert re.findall(r"[a-z]+:[a-z<]\S*[a-z>]", services) == ["facts:<lane>"]
    speaker = principal("player's", scope="events:write stream:read")
    assert speaker is not None
    assert speaker.writes == frozenset(Lane)
    assert speaker.reads_stream
    for lane, scope in zip(Lane, lanes, strict=True):
        speaker = principal("service's", scope=scope)
        assert speaker is not None
        assert speaker.writes == {lane}


def test_every_attribute_that_the_edge_adds_is_listed_with_what_it_may_say() -> None:
    said = {
        row["attribute"]: row["what it says"]
        for row in table("What a reader of the origin gets")
    }

    senders = {*WireEvent.__struct_fields__, "type"}
    assert sorted(said) == sorted(set(Envelope.__struct_fields__) - senders)
    flags = {str(Standing.LATE), str(Standing.SEQ_GAP), CLOCK_SKEW_FLAG}
    assert set(re.findall(r"([a-z_]+) \(", said["flags"])) == flags
    assert set(re.findall(r"[a-z]{3,}", said["authority"])) == {*Authority}


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


def bounds() -> Iterator[tuple[str, int]]:
    """Each setting that the table says must be *at least* so much, as a number of its unit."""
    factors = {"": 1} | {unit: 1 << shift for shift, unit in UNITS.items()}
    for row in table("Settings"):
        for number, unit in re.findall(r"at least (\d+)(?: (\wiB))?", row["meaning"]):
            yield row["setting"], int(number) * factors[unit]


def complaints(**variables: object) -> set[str]:
    """The settings that are complained of."""
    _, faults = Config.survey(None, {name: str(value) for name, value in variables.items()})
    return {fault.path for fault in faults}


ISSUER = {"EDGE_AUTH__ISSUERS": '[{"issuer": "i", "audience": "a", "jwks_path": "j"}]'}


def test_a_setting_must_be_at_least_what_is_said() -> None:
    said = dict(bounds())
    meanings = {row["setting"]: row["meaning"] for row in table("Settings")}
    sizes = re.search(r"\((\d+) B \S (\d+) \S .* \+ (\d+) B ", meanings["node.memory_max"])
    assert sizes
    entry, lanes, session = map(int, sizes.groups())
    full = Config().spool
    said["node.memory_max"] += entry * lanes * full.dedupe_entries_max
    said["node.memory_max"] += session * full.sessions_max

    assert len(said) == 5
    for path, least in said.items():
        name = f"EDGE_{path.upper().replace('.', '__')}"
        assert path in complaints(**ISSUER, **{name: least - 1})
        assert path not in complaints(**ISSUER, **{name: least})


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


class JackpotGateway(FakeGateway):
    """Pushes one event behind the first verdict."""

    has_pushed = False

    @override
    def report(self, socket: FakeSocket) -> None:
        super().report(socket)
        if not self.has_pushed:
            self.has_pushed = True
            socket.say(op="push", event={"pushkey": "mega", "data": 7})


async def play(server: StreamServer, script: Path, lines: list[str]) -> tuple[int | None, str]:
    """Run README's client; it gets the first line, and the others once it has told of a push."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        script,
        server.url,
        "a.b.c",
        stdin=PIPE,
        stdout=PIPE,
        env={"PYTHONPATH": str(README.parent), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    first, *others = lines
    process.stdin.write(first.encode())
    told = b""
    try:
        async with asyncio.timeout(PUSH_TIMEOUT_S):
            while b"mega" not in told:
                told += await process.stdout.readline()
        rest, _ = await process.communicate("".join(others).encode())
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()
    return process.returncode, (told + rest).decode()


def test_the_client_in_python_plays_as_it_is_shown(tmp_path: Path) -> None:
    """A push is told while there may be more to say: reading must not stop the loop."""
    script = tmp_path / "play.py"
    script.write_text(fenced("The socket", "python"))
    lines = [
        json.dumps(event(n, kind)) + "\n" for n, kind in enumerate(["fine", "bad", "fine"])
    ]
    server = StreamServer(JackpotGateway(Random(0)))  # noqa: S311  # replayable, no secret

    async def evening() -> tuple[int | None, str]:
        async with server.open():
            return await play(server, script, lines)

    code, told = asyncio.run(evening())

    assert code == 0
    said = ["1 e-0", "2 e-1", "3 e-2"]
    fates = ["1 accepted", "2 refused schema_violation", "3 accepted"]
    assert sorted(line.strip() for line in told.splitlines()) == sorted(
        [*said, *fates, "mega 7"]
    )
    assert server.requests == [("/v1/stream?k=player-0001&topics=jackpots", "Bearer a.b.c")]
    assert server.gateway.log["bet"] == ["e-0", "e-2"]
