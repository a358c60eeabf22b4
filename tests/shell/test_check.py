"""``edge check`` names every mistake by its path, and changes nothing that is in use."""

import os
import shutil
import socket
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from zlib import crc32

import pytest

from edge.config import SpoolSettings
from edge.core.lane import Lane
from edge.core.push import PUSH_TOPIC
from edge.shell.check import Finding, Level, check, exit_code, render
from edge.shell.spool.claim import volatile
from edge.shell.spool.process import Spool
from origin_client.origin import OriginUnavailable
from tests.fakes import ED, JWKS, jwks
from tests.fakes_directives import DIRECTIVE_JWKS, directive, lines

BASE = """
[http]
port = 0
[admin]
port = 0
[[auth.issuers]]
issuer = "https://id.example"
audience = "edge"
jwks_path = "jwks.json"
[spool]
path = "spool"
bytes_max = "64MiB"
reserve_bytes = "1MiB"
retained_bytes_max = "1MiB"
allow_volatile = true
[origin]
url = "log:origin"
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative paths of the settings count from here."""
    monkeypatch.chdir(tmp_path)
    Path("jwks.json").write_bytes(JWKS)


def checked(toml: str = BASE, **environ: str) -> list[Finding]:
    """Check *toml*."""
    Path("edge.toml").write_text(toml)
    return check(Path("edge.toml"), environ)


def faults(toml: str = BASE, **environ: str) -> list[str]:
    """The paths of the mistakes."""
    return [found.path for found in checked(toml, **environ) if found.level is Level.ERROR]


@pytest.fixture
def key_server() -> Iterator[tuple[str, list[bytes]]]:
    """Answers each connection with the next of some answers; its URL, and where to put them."""
    answers: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            peer, _ = server.accept()
            with peer:
                if not peer.recv(4096):
                    return
                peer.sendall(answers.pop(0))

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/jwks.json", answers
    socket.create_connection(server.getsockname()).close()
    thread.join()
    server.close()


def test_a_gateway_that_would_run_is_found_well_part_by_part() -> None:
    findings = checked()

    assert [found.path for found in findings] == [
        "http.port",
        "admin.port",
        "auth.issuers[0].jwks_path",
        "spool.path",
        "origin.url",
    ]
    doubted = {"spool.path"} if volatile(Path("spool").absolute()) else set[str]()
    assert {found.path for found in findings if found.level is not Level.OK} == doubted
    assert exit_code(findings) == 0


OTHER_ISSUER = BASE.replace('jwks_path = "jwks.json"', "")


@pytest.mark.parametrize(
    ("toml", "path"),
    [
        pytest.param(BASE + "[htpp]", "htpp", id="1 misspelt section"),
        pytest.param(BASE.replace("port", "prot", 1), "http.prot", id="2 misspelt setting"),
        pytest.param(BASE.replace("= 0", '= "0"', 1), "http.port", id="3 wrong type"),
        pytest.param(BASE.replace("64MiB", "64MB"), "spool.bytes_max", id="4 unknown unit"),
        pytest.param(
            BASE.replace('audience = "edge"', ""), "auth.issuers[0].audience", id="5 left out"
        ),
        pytest.param(
            BASE.replace("= 0", "= 8081"), "admin.port", id="6 both doors on one port"
        ),
        pytest.param(
            BASE.replace("port = 0", 'port = 0\nhost = "192.0.2.1"', 1),
            "http.host",
            id="7 an address of another machine",
        ),
        pytest.param(OTHER_ISSUER, "auth.issuers[0]", id="8 no key source"),
        pytest.param(
            BASE.replace("jwks_path", 'jwks_url = "https://id.example"\njwks_path'),
            "auth.issuers[0]",
            id="9 two key sources",
        ),
        pytest.param(
            OTHER_ISSUER.replace("[spool]", 'jwks_url = "http://id.example/jwks"\n[spool]'),
            "auth.issuers[0].jwks_url",
            id="10 keys over plain http",
        ),
        pytest.param(
            BASE.replace("jwks.json", "missing.json"),
            "auth.issuers[0].jwks_path",
            id="11 no key file",
        ),
        pytest.param(
            BASE.replace("jwks.json", "edge.toml"),
            "auth.issuers[0].jwks_path",
            id="12 a file without keys",
        ),
        pytest.param(
            BASE.replace('"spool"', '"jwks.json/spool"'), "spool.path", id="13 no directory"
        ),
        pytest.param(BASE.replace("1MiB", "64MiB", 1), "spool.reserve_bytes", id="14 all kept"),
        pytest.param(BASE.replace("log:", "lag:"), "origin.url", id="15 no such origin"),
        pytest.param(
            BASE.replace("log:origin", "log:jwks.json/origin"),
            "origin.url",
            id="16 no log there",
        ),
        pytest.param(
            BASE + 'options = { partitions = "many" }',
            "origin.options.partitions",
            id="17 a wrong option",
        ),
        pytest.param(
            BASE + "[limits.player]\ncost = { intent = 1000 }",
            "limits.player.cost.intent",
            id="18 an event that could never pass",
        ),
        pytest.param("[http", "", id="19 not TOML"),
    ],
)
def test_a_mistake_is_named_by_its_path(toml: str, path: str) -> None:
    findings = checked(toml)

    assert [found.path for found in findings if found.level is Level.ERROR] == [path]
    assert exit_code(findings) == 78


def test_a_mistake_in_a_variable_is_named_too() -> None:
    assert faults(EDGE_HTTP__PRT="1") == ["http.prt"]


def test_keys_that_publish_a_secret_are_a_mistake() -> None:
    Path("jwks.json").write_bytes(jwks(ED.jwk(d="AAAA")))

    assert faults() == ["auth.issuers[0].jwks_path"]


def test_keys_that_are_not_used_are_a_doubt() -> None:
    Path("jwks.json").write_bytes(jwks(ED.jwk(), ED.jwk(kid="other", use="enc")))

    (keys,) = [found for found in checked() if found.path.startswith("auth")]
    assert keys.level is Level.WARNING
    assert "key 1" in keys.text


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n" + JWKS, Level.OK, id="keys"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n<html>", Level.ERROR, id="HTML"),
        pytest.param(b"HTTP/1.1 503 No\r\n\r\n", Level.WARNING, id="an outage"),
    ],
)
def test_a_key_server_is_asked_once(
    key_server: tuple[str, list[bytes]], answer: bytes, level: Level
) -> None:
    url, answers = key_server
    answers.append(answer)

    findings = checked(OTHER_ISSUER.replace("[spool]", f'jwks_url = "{url}"\n[spool]'))

    (keys,) = [found for found in findings if found.path == "auth.issuers[0].jwks_url"]
    assert keys.level is level
    assert answers == []


def test_a_spool_of_another_version_is_left_alone() -> None:
    identity = b"edge-spool 2 " + b"0" * 64
    Path("spool/0").mkdir(parents=True)
    written = b"%s %08x\n" % (identity, crc32(identity))
    Path("spool/0/id").write_bytes(written)

    assert faults() == ["spool.path"]
    assert Path("spool/0/id").read_bytes() == written


MEMORY = Path("/dev/shm")  # noqa: S108  # what is made there is made by TemporaryDirectory


@pytest.mark.skipif(volatile(MEMORY) == "", reason="no memory file system here")
def test_a_spool_in_memory_is_a_mistake_or_by_setting_a_doubt() -> None:
    with TemporaryDirectory(dir=MEMORY) as folder:
        toml = BASE.replace('"spool"', f'"{folder}/spool"')
        (doubt,) = [found for found in checked(toml) if found.path == "spool.path"]

        assert doubt.level is Level.WARNING
        assert faults(toml, EDGE_SPOOL__ALLOW_VOLATILE="false") == ["spool.path"]


def test_a_spool_larger_than_its_disk_is_a_doubt() -> None:
    toml = BASE.replace('"64MiB"', str(shutil.disk_usage(".").total + 1))

    (doubt,) = [found for found in checked(toml) if found.path == "spool.bytes_max"]

    assert doubt.level is Level.WARNING
    assert doubt.text.endswith("when the disk is full, every lane waits")


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({}, None),
        ({"EDGE_LIMITS__ADDRESS": "false"}, "is 200, and limits.address is false: "),
        (
            {"EDGE_LIMITS__CONNECTIONS__PER_ADDRESS": "false"},
            "is 6000 in 60 s, and limits.connections.per_address is false: ",
        ),
        (
            {
                "EDGE_LIMITS__ADDRESS": "false",
                "EDGE_LIMITS__CONNECTIONS__PER_ADDRESS": "false",
            },
            None,
        ),
    ],
    ids=["addresses tell clients apart", "requests only", "sockets only", "behind a proxy"],
)
def test_a_bound_that_a_proxy_would_fill_alone_is_a_doubt(
    limits: Mapping[str, str], text: str | None
) -> None:
    found = [each for each in checked(BASE, **limits) if each.path.startswith("limits.")]

    assert [each.level for each in found] == [Level.WARNING] * (text is not None)
    assert all(each.text.startswith(text or "") for each in found)


def test_what_a_spool_holds_already_counts_as_room_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checked()
    disk = shutil.disk_usage(".")._replace(free=63 << 20)

    def small(_: Path) -> object:
        return disk

    monkeypatch.setattr("shutil.disk_usage", small)

    without = [found.path for found in checked()]
    Path("spool/0/bet").mkdir(exist_ok=True)
    with Path("spool/0/bet/held.seg").open("wb") as file:
        file.truncate(1 << 20)
    beside = [found.path for found in checked()]

    assert "spool.bytes_max" in without
    assert "spool.bytes_max" not in beside


def test_a_running_gateway_is_in_the_way_and_no_mistake() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        spool = Spool.open(SpoolSettings(path="spool", allow_volatile=True))

        findings = checked(EDGE_HTTP__PORT=str(port))

        spool.close()
    taken = [found.path for found in findings if found.level is Level.TAKEN]
    assert taken == ["http.port", "spool.path"]
    assert exit_code(findings) == 1


def test_a_spool_of_another_user_is_left_to_that_user(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("spool/0").mkdir(parents=True)
    Path("spool/0/lock").touch()
    owner = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: owner + 1)

    (error,) = [found for found in checked() if found.level is Level.ERROR]

    assert error.path == "spool.path"
    assert error.text.endswith(f"lock belongs to user {owner}: run edge check as that user")
    assert sorted(path.name for path in Path().rglob("*")) == [
        "0",
        "edge.toml",
        "jwks.json",
        "lock",
        "spool",
    ]


@pytest.mark.skipif(volatile(MEMORY) == "", reason="no memory file system here")
def test_a_link_to_memory_is_as_volatile_as_memory() -> None:
    with TemporaryDirectory(dir=MEMORY) as folder:
        Path("spool").symlink_to(folder)

        (doubt,) = [found for found in checked() if found.path == "spool.path"]

    assert doubt.level is Level.WARNING


@pytest.mark.parametrize(
    ("finding", "line"),
    [
        pytest.param(Finding(Level.OK, "a.b", "opens"), "ok      a.b: opens", id="good"),
        pytest.param(Finding(Level.ERROR, "", "no\nfile"), r"error   no\nfile", id="one line"),
    ],
)
def test_a_finding_is_one_line_for_people(finding: Finding, line: str) -> None:
    assert render(finding, as_json=False) == line


def test_a_finding_is_one_object_for_machines() -> None:
    line = render(Finding(Level.TAKEN, "a.b", "is taken"), as_json=True)

    assert line == '{"level":"taken","path":"a.b","text":"is taken"}'


@pytest.mark.parametrize(
    ("document", "text"),
    [(jwks(ED.jwk()), "has 1 key"), (jwks(ED.jwk(), ED.jwk(kid="ed-2")), "has 2 keys")],
    ids=["one", "two"],
)
def test_keys_are_counted_as_people_count(document: bytes, text: str) -> None:
    Path("jwks.json").write_bytes(document)

    assert [found.text for found in checked() if found.path.startswith("auth")] == [text]


KAFKA = BASE.replace("log:origin", "kafka://127.0.0.1:1")  # nobody listens on port 1


def test_a_broker_that_is_away_is_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.shell.check.SURVEY_S", 0.5)

    (doubt,) = [found for found in checked(KAFKA) if found.path == "origin.url"]

    assert doubt.level is Level.WARNING
    assert "cannot be used now: a broker cannot be reached" in doubt.text


def surveys(
    monkeypatch: pytest.MonkeyPatch, kind: str, lacks: list[str] | OriginUnavailable
) -> list[str]:
    """Have surveys by *kind* find *lacks*; return the topics that it is asked for."""
    asked: list[str] = []

    def survey(_: object, topics: list[str], __: float) -> list[str]:
        asked.extend(topics)
        if isinstance(lacks, OriginUnavailable):
            raise lacks
        return [*lacks]

    monkeypatch.setattr(f"origin_client.{kind}.survey", survey)
    return asked


def test_topics_that_are_missing_are_named_and_a_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    lacks = ["edge.bet.v1 does not exist", "edge.dead.v1 may not be written"]
    written = surveys(monkeypatch, "kafka.KafkaOrigin", lacks)
    read = surveys(monkeypatch, "kafka_reader.KafkaReader", ["edge.push.v1 may not be read"])

    doubts = [found for found in checked(KAFKA) if found.path == "origin.url"]

    lacks.append("edge.push.v1 may not be read: until then sockets get no pushes")
    assert doubts == [Finding(Level.WARNING, "origin.url", lack) for lack in lacks]
    assert written == [*(lane.topic for lane in Lane), "edge.refused.v1", "edge.dead.v1"]
    assert read == [PUSH_TOPIC]


def test_topics_that_lack_nothing_are_no_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    surveys(monkeypatch, "kafka.KafkaOrigin", [])
    surveys(monkeypatch, "kafka_reader.KafkaReader", [])

    found = [found for found in checked(KAFKA) if found.path == "origin.url"]

    assert found == [Finding(Level.OK, "origin.url", "opens")]


def test_what_was_found_is_told_although_the_brokers_went_away_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    surveys(monkeypatch, "kafka.KafkaOrigin", ["edge.bet.v1 does not exist"])
    surveys(monkeypatch, "kafka_reader.KafkaReader", OriginUnavailable("no broker answers"))

    doubts = [found.text for found in checked(KAFKA) if found.path == "origin.url"]

    assert doubts == [
        "edge.bet.v1 does not exist",
        "cannot be used now: no broker answers",
    ]


def test_an_origin_that_is_never_read_needs_no_topic_of_pushes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = surveys(monkeypatch, "http.HttpOrigin", [])

    (found,) = [
        found
        for found in checked(BASE.replace("log:origin", "http://127.0.0.1:1"))
        if found.path == "origin.url"
    ]

    assert found.level is Level.OK
    assert PUSH_TOPIC not in asked


def test_a_wrong_option_of_kafka_is_a_mistake() -> None:
    assert faults(KAFKA + 'options = { acks = "1" }') == ["origin.options.acks"]


DIRECTIVES = BASE + '[directives]\nsource = "directives"\nkeys = "origin.json"\n'


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (
            lines(directive()),
            Finding(
                Level.OK,
                "directives.source",
                "can be read; directives that are believed: 1",
            ),
        ),
        (
            lines(directive(), b"bad"),
            Finding(
                Level.WARNING,
                "directives.source",
                "lines that are not believed: 1; line 2: not in compact form",
            ),
        ),
    ],
    ids=["good", "a bad line"],
)
def test_directives_are_judged_once(content: bytes, found: Finding) -> None:
    Path("directives").write_bytes(content)
    Path("origin.json").write_bytes(DIRECTIVE_JWKS)

    assert [each for each in checked(DIRECTIVES) if "directives" in each.path] == [found]


def test_directives_and_keys_that_cannot_be_read_are_mistakes() -> None:
    Path("origin.json").write_bytes(b"<html>")

    assert faults(DIRECTIVES) == ["directives.keys", "directives.source"]
