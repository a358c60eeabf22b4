"""Each command calls what it names, and ends with the code that scripts rely on."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import jwt
import pytest
from typing_extensions import override

from edge.cli import run
from edge.config import Auth
from edge.core.directive import read_directive
from edge.core.keyset import read_key_set
from origin_client.open import open_origin
from origin_client.origin import Outgoing
from tests.fakes import JWKS

SID = "0198c0de-2222-7222-8222-000000000001"
PLAYERS = {
    "--sid": SID,
    "--brand": "aurora",
    "--jurisdiction": "MT",
    "--scope": "events:write",
}
PROBED = b'{"ready":%s,"probes":{"keys":"ok","spool":"full"}}'


class Admin(BaseHTTPRequestHandler):
    """An admin port that says what it is told to."""

    answer: ClassVar[bytes] = b""

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.answer)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def admin_url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Admin)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    (tmp_path / "jwks.json").write_bytes(JWKS)
    path = tmp_path / "edge.toml"
    path.write_text(
        f"""
        http = {{ port = 0 }}
        admin = {{ port = 0 }}
        spool = {{ path = "{tmp_path}/spool", allow_volatile = true }}
        origin = {{ url = "log:{tmp_path}/origin" }}
        [[auth.issuers]]
        issuer = "https://id.example"
        audience = "edge"
        jwks_path = "{tmp_path}/jwks.json"
        """
    )
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param([], id="nothing"),
        pytest.param(["fly"], id="no such command"),
        pytest.param(["probe"], id="left out"),
        pytest.param(["check", "--prot", "1"], id="no such option"),
        pytest.param(["token", "mint", "--key", "k"], id="required options"),
        pytest.param(["token", "revoke", "--key", "k"], id="nobody to revoke"),
        pytest.param(
            ["token", "revoke", "--key", "k", "--sub", "p", "--jti", "j"], id="two to revoke"
        ),
        pytest.param(["schema", "protobuf"], id="no such schema"),
    ],
)
def test_a_wrong_usage_ends_with_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run(arguments, {})

    assert ended.value.code == 2
    assert "usage: edge" in capsys.readouterr().err


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(["--help"], {})

    assert ended.value.code == 0
    printed = capsys.readouterr().out
    for command in ("serve", "demo", "check", "probe", "token", "spool", "origin", "schema"):
        assert f"    {command} " in printed


@pytest.mark.parametrize("command", ["serve", "check"])
def test_a_wrong_setting_ends_with_78_and_its_path(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "edge.toml"
    path.write_text("[http]\nprot = 1")

    assert run([command, "--config", str(path)], {}) == 78

    printed = capsys.readouterr()
    (line,) = (printed.out + printed.err).splitlines()
    assert line.endswith("http.prot: unknown setting; did you mean port?")


def test_check_takes_the_environment(
    settings_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["check", "--json", "--config", str(settings_file)]

    assert run(arguments, {}) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert run(arguments, {"EDGE_HTTP__PRT": "1"}) == 78
    assert json.loads(capsys.readouterr().out)["path"] == "http.prt"


@pytest.mark.parametrize(
    ("answer", "code", "first"),
    [(b"true", 0, "ready"), (b"false", 1, "not ready")],
    ids=["ready", "not ready"],
)
def test_probe_ends_as_the_gateway_says(
    admin_url: str, answer: bytes, code: int, first: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Admin.answer = PROBED % answer

    assert run(["probe", admin_url], {}) == code
    assert capsys.readouterr().out.splitlines() == [first, "keys: ok", "spool: full"]
    assert run(["probe", "--json", admin_url], {}) == code
    assert json.loads(capsys.readouterr().out) == json.loads(Admin.answer)


def test_probe_of_nobody_ends_with_1_and_of_nothing_with_2(
    admin_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Admin.answer = b"nonsense\x1b[31m"

    assert run(["probe", admin_url], {}) == 1
    assert capsys.readouterr().err.startswith("edge: 127.0.0.1:")
    assert run(["probe", "nowhere"], {}) == 2
    assert "http://HOST:PORT" in capsys.readouterr().err


def test_a_minted_token_is_verified_by_the_printed_key_set(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = str(tmp_path / "key.pem")
    mint = ["token", "mint", "--key", key, "--iss", "i", "--aud", "a", "--sub", "p-0001"]
    player = ["--sid", SID, "--brand", "aurora", "--jurisdiction", "GB", "--ttl", "60"]

    assert run([*mint, "--scope", "events:write", *player], {}) == 0
    minted = capsys.readouterr()
    assert run(["token", "jwks", "--key", key], {}) == 0
    printed = capsys.readouterr()

    assert minted.err == f"edge: made a new key, {key}\n"
    assert printed.err == ""
    (jwk,) = jwt.PyJWKSet.from_json(printed.out).keys
    claims = jwt.decode(minted.out.strip(), jwk, algorithms=["EdDSA"], audience="a")
    assert {name: claims[name] for name in ("sub", "sid", "brand", "jurisdiction")} == {
        "sub": "p-0001",
        "sid": SID,
        "brand": "aurora",
        "jurisdiction": "GB",
    }
    assert claims["exp"] - claims["iat"] == 60


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        pytest.param({"--sid": "s"}, "--sid must be a UUID", id="no UUID"),
        pytest.param({"--sid": SID + "0"}, "--sid must be a UUID", id="too long"),
        pytest.param({"--ttl": "0"}, "--ttl must be at least 1 s", id="over at once"),
        pytest.param({"--scope": "events:read"}, "'events:read'", id="no such scope"),
        pytest.param({"--scope": "stream:read facts:bets"}, "'facts:bets'", id="no such lane"),
        pytest.param({"--scope": ""}, "--scope", id="no scope"),
        pytest.param({"--sub": "pe"} | PLAYERS, "--sub", id="no player id"),
        pytest.param({"--sid": SID, "--scope": "events:write"}, "--brand", id="no brand"),
        pytest.param(PLAYERS | {"--jurisdiction": "Malta"}, "--jurisdiction", id="a country"),
        pytest.param({"--scope": "events:write"}, "--sid UUID", id="nobody's session"),
        pytest.param({"--aud": ""}, "--aud", id="no audience"),
    ],
)
def test_a_token_that_no_gateway_would_take_is_not_minted(
    tmp_path: Path, wrong: dict[str, str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    key = str(tmp_path / "key.pem")
    options = {
        "--key": key,
        "--iss": "i",
        "--aud": "a",
        "--sub": "p-0001",
        "--scope": "facts:bet",
    }
    arguments = [word for option in (options | wrong).items() for word in option]

    assert run(["token", "mint", *arguments], {}) == 2

    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert named in printed.err
    assert not Path(key).exists()


def test_what_only_some_gateways_would_take_is_minted_with_a_word(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--iss", "i", "--aud", "a", "--sub", "s", "--scope", "facts:bet"]
    mint = ["token", "mint", "--key", str(tmp_path / "key.pem"), *options]
    told: list[str] = []

    for ttl_s in (60, 86_401):
        assert run([*mint, "--ttl", str(ttl_s)], {}) == 0
        printed = capsys.readouterr()
        assert printed.out.startswith("eyJ")
        told.append(printed.err)

    assert ["auth.lifetime_max_s" in said for said in told] == [False, True]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--session", SID], (SID, "", ())),
        (["--sub", "p-0001"], ("", "p-0001", ())),
        (["--jti", "a", "--jti", "b"], ("", "", ("a", "b"))),
    ],
)
def test_a_revocation_is_believed_by_the_printed_key_set(
    arguments: list[str],
    named: tuple[str, str, tuple[str, ...]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    key = ["--key", str(tmp_path / "key.pem")]

    assert run(["token", "revoke", *key, *arguments, "--ttl", "60", "--id", "r-1"], {}) == 0
    signed = capsys.readouterr().out.rstrip("\n")
    assert run(["token", "jwks", *key], {}) == 0
    keys = read_key_set(capsys.readouterr().out.encode(), None).keys

    believed = read_directive(signed.encode(), keys)
    assert (believed.session, believed.subject, believed.jtis) == named
    assert (believed.id, believed.until_unix_s - believed.issued_unix_s) == ("r-1", 60)


def test_a_revocation_lasts_longer_than_any_token_unless_told_otherwise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = ["--key", str(tmp_path / "key.pem")]
    assert run(["token", "revoke", *key, "--sub", "p-0001"], {}) == 0

    claims = jwt.decode(capsys.readouterr().out.strip(), options={"verify_signature": False})

    assert claims["until"] - claims["issued_at"] > Auth().lifetime_max_s


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--session", "all"], "$.session"),
        (["--sub", "p"], "$.subject"),
        (["--jti", ""], "$.jti"),
        (["--sub", "p-0001", "--id", "a b"], "$.id"),
    ],
)
def test_a_revocation_that_no_gateway_would_believe_is_not_printed(
    arguments: list[str], named: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = ["--key", str(tmp_path / "key.pem")]
    assert run(["token", "jwks", *key], {}) == 0
    capsys.readouterr()

    assert run(["token", "revoke", *key, *arguments], {}) == 2

    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert named in printed.err


def test_a_key_that_is_none_ends_with_78(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "key.pem").write_text("not a key")
    grant = ["--iss", "i", "--aud", "a", "--sub", "s", "--scope", "facts:bet"]

    for command in (["jwks"], ["mint", *grant]):
        assert run(["token", *command, "--key", str(tmp_path / "key.pem")], {}) == 78
        assert capsys.readouterr().err.startswith("edge: --key: ")


def edge(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "edge", *arguments],
        env=os.environ | environ,  # noqa: TID251  # the process needs the usual ones too
        capture_output=True,
        check=False,
        text=True,
    )


def test_serve_in_the_way_of_another_ends_with_1(settings_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])

        ended = edge("serve", "--config", str(settings_file), EDGE_HTTP__PORT=port)

    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith(f"edge: http: port {port} on 127.0.0.1 is taken")
    assert ended.stderr.count("\n") == 1


def test_an_interrupt_leaves_no_traceback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "edge", "probe", url]
        with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
            peer, _ = server.accept()
            process.send_signal(signal.SIGINT)
            _, printed = process.communicate()
            peer.close()

    assert (process.returncode, printed) == (1, b"")


def test_origin_cat_prints_what_was_published(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = open_origin(f"log:{tmp_path}/origin", {})
    origin.publish("edge.bet.v1", [Outgoing(b"player-0001", b'{"id":"1"}')])
    origin.close()
    arguments = ["origin", "cat", f"log:{tmp_path}/origin", "--topic", "edge.bet.v1", "--json"]

    assert run(arguments, {}) == 0

    line = json.loads(capsys.readouterr().out)
    assert (line["topic"], line["key"], line["value"]) == (
        "edge.bet.v1",
        "player-0001",
        {"id": "1"},
    )


def test_origin_cat_reads_what_the_settings_describe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = open_origin(f"log:{tmp_path}/origin", {"partitions": 2})
    origin.publish("edge.bet.v1", [Outgoing(b"player-0001", b'{"id":"1"}')])
    origin.close()
    config = tmp_path / "edge.toml"
    config.write_text(
        f'[origin]\nurl = "log:{tmp_path}/origin"\noptions = {{ partitions = 2 }}\n'
        '[[auth.issuers]]\nissuer = "https://id.example"\naudience = "edge"\n'
        'jwks_path = "jwks.json"\n'
    )

    assert run(["origin", "cat", "--config", str(config), "--topic", "edge.bet.v1"], {}) == 0

    assert "player-0001" in capsys.readouterr().out


def test_origin_without_url_and_settings_says_what_to_give(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["origin", "cat", "--topic", "t"], {}) == 78
    assert capsys.readouterr().err.endswith("give URL or --config FILE\n")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("acks=1", "option 'acks' cannot be set"),
        ("sasl.password_file=/none/geheim", "the file that option 'sasl.password_file' names"),
        ("linger.mss", "unknown option 'linger.mss'"),
    ],
)
def test_options_of_the_origin_are_given_one_by_one(
    capsys: pytest.CaptureFixture[str], option: str, said: str
) -> None:
    arguments = ["origin", "cat", "kafka://127.0.0.1:1", "--topic", "t", "--option", option]

    assert run(arguments, {}) == 1
    assert capsys.readouterr().err.startswith(f"edge: {said}")


def test_a_topic_nobody_wrote_to_is_said_to_be_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_origin(f"log:{tmp_path}", {}).close()

    assert run(["origin", "cat", f"log:{tmp_path}", "--topic", "edge.bte.v1"], {}) == 0

    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "edge: nothing was written to edge.bte.v1 yet\n"


def test_an_origin_that_is_none_ends_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["origin", "cat", f"log:{tmp_path}/none", "--topic", "t"], {}) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_origin_put_publishes_each_line_and_names_what_it_could_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"log:{tmp_path}/origin"
    topic = ["--topic", "edge.push.v1"]
    for lines, code, told in (
        (b'{"id":"1"}\n[]\n', 1, ["line 2", "1 published"]),
        (b'{"id":"2"}\n', 0, ["1 published"]),
    ):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(lines)))

        assert run(["origin", "put", url, *topic, "--key", "pot"], {}) == code

        said = capsys.readouterr().err.splitlines()
        assert [
            line.partition(":")[2].lstrip()[: len(words)]
            for line, words in zip(said, told, strict=True)
        ] == told

    assert run(["origin", "cat", url, *topic, "--json"], {}) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["key"], line["value"]["id"]) for line in found] == [
        ("pot", "1"),
        ("pot", "2"),
    ]


def test_what_cannot_be_published_to_ends_with_1(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO()))

    assert run(["origin", "put", "ftp:x", "--topic", "edge.push.v1"], {}) == 1
    assert capsys.readouterr().err.startswith("edge: unknown origin")


@pytest.mark.parametrize(
    ("name", "member"),
    [
        ("openapi", "openapi"),
        ("asyncapi", "asyncapi"),
        ("config", "$defs"),
        ("catalogue", "types"),
    ],
)
def test_schema_prints_a_document(
    name: str, member: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["schema", name], {}) == 0
    assert member in json.loads(capsys.readouterr().out)


def test_a_reader_that_has_enough_is_no_traceback() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "edge", "schema", "openapi"]

    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, check=False)

    os.close(writing)
    assert (ended.returncode, ended.stderr) == (1, b"")


def test_the_module_is_the_command(tmp_path: Path) -> None:
    ended = edge("check", "--config", str(tmp_path / "none.toml"))

    assert ended.returncode == 78
    assert ended.stdout == (
        f"error   cannot read {tmp_path}/none.toml: No such file or directory\n"
    )
