"""One document over HTTP: what is fetched, and how every other answer is turned away."""

import socket
import threading

import pytest

from edge.shell.keys.fetch import FetchFailed, Url, fetch, read_url
from tests.fakes_keys import (
    Script,
    drip,
    drip_head,
    hang,
    key_server,
    raw,
    reply,
)

BYTES_MAX = 64 << 10
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def _fetch(url: str, *, timeout_s: float = 2.0) -> bytes:
    return fetch(read_url(url), timeout_s=timeout_s, bytes_max=BYTES_MAX)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (
            "https://id.example/jwks.json",
            Url("id.example", "id.example", 443, "/jwks.json", is_tls=True),
        ),
        (
            "https://id.example:8443?v=1",
            Url("id.example:8443", "id.example", 8443, "/?v=1", is_tls=True),
        ),
        (
            "HTTP://LocalHost:80/a/b?c=d&e",
            Url("LocalHost:80", "localhost", 80, "/a/b?c=d&e", is_tls=False),
        ),
        ("http://127.9.9.9", Url("127.9.9.9", "127.9.9.9", 80, "/", is_tls=False)),
        ("http://[::1]:8090/k", Url("[::1]:8090", "::1", 8090, "/k", is_tls=False)),
    ],
)
def test_a_url_is_taken_apart(text: str, url: Url) -> None:
    assert read_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "http://id.example/jwks.json",
        "http://10.0.0.1/jwks.json",
        "http://localhost.example/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/jwks.json",
        "gopher://127.0.0.1/",
        "jwks.json",
        "",
        "https://",
        "https:///jwks.json",
        "https://user@id.example/",
        "https://user:secret@id.example/",
        "https://id.example/#keys",
        "https://id.example:99999/",
        "https://id.example:port/",
        "https://[::1/",
        "https://id.example/a b",
        "https://id.example/a\nHost: evil",
        "https://id.example/ä",
    ],
)
def test_any_other_url_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_url(text)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(reply(b"keys"), id="with a length"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\n\r\nkeys"), id="ended by closing"),
        pytest.param(raw(b"HTTP/1.0 200 OK\r\n\r\nkeys"), id="HTTP/1.0"),
        pytest.param(raw(CHUNKED + b"2\r\nke\r\n2\r\nys\r\n0\r\n\r\n"), id="chunked"),
        pytest.param(drip(b"keys", pause_s=0.01), id="slowly"),
    ],
)
def test_the_body_of_a_good_answer_is_returned(script: Script) -> None:
    with key_server(script) as server:
        assert _fetch(server.url) == b"keys"


def test_the_request_asks_for_the_document_as_it_is() -> None:
    with key_server(reply(b"")) as server:
        _fetch(server.url + "?a=b")

    (head,) = server.requests
    lines = head.split(b"\r\n")
    assert lines[0] == b"GET /jwks.json?a=b HTTP/1.1"
    assert b"Host: " + server.url.split("/")[2].encode() in lines
    assert b"Accept-Encoding: identity" in lines
    assert b"Connection: close" in lines


def test_no_proxy_is_taken_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    with key_server(reply(b"keys")) as server:
        assert _fetch(server.url) == b"keys"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        pytest.param(
            reply(b"", status="302 Found", head="Location: /elsewhere\r\n"),
            "status 302",
            id="redirect",
        ),
        pytest.param(reply(b"{}", status="203 Guess"), "status 203", id="almost 200"),
        pytest.param(reply(b"{}", status="500 No"), "status 500", id="500"),
        pytest.param(raw(b"HTTP/1.1 204 No\r\n\r\n"), "status 204", id="no content"),
        pytest.param(
            raw(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nx"),
            "no HTTP",
            id="upgrade",
        ),
        pytest.param(raw(b""), "no answer", id="closed at once"),
        pytest.param(raw(b"220 smtp.example ready\r\n"), "no HTTP", id="another protocol"),
        pytest.param(raw(CHUNKED + b"zz\r\n"), "no HTTP", id="bad chunk"),
        pytest.param(reply(b"x" * (BYTES_MAX + 1)), "larger than", id="a byte too many"),
        pytest.param(
            raw(CHUNKED + b"1\r\nx\r\n" * 20_000), "larger than", id="endless framing"
        ),
        pytest.param(
            raw(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000), "larger than", id="endless head"
        ),
    ],
)
def test_any_other_answer_is_refused_with_its_reason(script: Script, why: str) -> None:
    with key_server(script) as server, pytest.raises(FetchFailed, match=why):
        _fetch(server.url)

    assert len(server.requests) == 1


def test_a_reason_quotes_nothing_that_was_received() -> None:
    script = raw(b"secret secret\r\n\r\n")

    with key_server(script) as server, pytest.raises(FetchFailed) as refused:
        _fetch(server.url)

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(hang, id="silence"),
        pytest.param(drip(b"x" * 1000, pause_s=0.05), id="a dripping body"),
        pytest.param(drip_head(pause_s=0.05), id="a dripping head"),
    ],
)
def test_one_deadline_ends_everything(script: Script) -> None:
    with key_server(script) as server, pytest.raises(FetchFailed, match=r"within 0\.2 s"):
        _fetch(server.url, timeout_s=0.2)


def test_a_tls_handshake_has_the_same_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(FetchFailed, match=r"within 0\.2 s"):
            _fetch(url, timeout_s=0.2)


def test_a_server_without_a_certificate_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer_in_clear() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n{}")

        thread = threading.Thread(target=answer_in_clear)
        thread.start()
        with pytest.raises(FetchFailed):
            _fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()


def test_nobody_listening_is_a_refusal() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(FetchFailed, match="refused"):
        _fetch(f"http://127.0.0.1:{port}/")


def _resolver(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Let every name have one address per port; none: let no name exist."""

    def resolve(*_args: object, **_kwargs: object) -> list[tuple[object, ...]]:
        if not ports:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        kind = (socket.AF_INET, socket.SOCK_STREAM, 0, "")
        return [(*kind, ("127.0.0.1", port)) for port in ports]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


def test_a_name_that_does_not_exist_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    _resolver(monkeypatch)

    with pytest.raises(FetchFailed, match="not known"):
        _fetch("https://id.invalid/")


def test_a_second_address_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with key_server(reply(b"keys")) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        _resolver(monkeypatch, 1, port)

        assert _fetch("http://localhost/jwks.json") == b"keys"


def test_a_name_no_resolver_can_ask_for_is_a_refusal() -> None:
    with pytest.raises(FetchFailed, match="no HTTP"):
        _fetch(f"https://{'x' * 64}.example/")


def test_no_time_at_all_is_too_little() -> None:
    with pytest.raises(FetchFailed, match="within 0 s"):
        _fetch("http://127.0.0.1:9/", timeout_s=0)
