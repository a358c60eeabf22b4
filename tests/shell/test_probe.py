"""A probe tells ready from not ready, and a gateway from anything else."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from edge.shell import probe as probing
from edge.shell.admin import Readiness
from edge.shell.probe import ProbeFailed, probe

Answer = Callable[[bytes], str]
PROBE = b'{"ready":true,"probes":{"keys":"%s"}}'


@pytest.fixture
def answer() -> Iterator[Answer]:
    """Answers one connection with the given bytes; returns the URL."""
    servers: list[tuple[socket.socket, threading.Thread]] = []

    def listen(content: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=serve, args=(server, content))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    def serve(server: socket.socket, content: bytes) -> None:
        peer, _ = server.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(content)

    yield listen
    for server, thread in servers:
        thread.join()
        server.close()


def http(status: str, body: bytes) -> bytes:
    """An HTTP answer."""
    return b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status.encode(), len(body), body)


@pytest.mark.parametrize(
    ("status", "body", "readiness"),
    [
        pytest.param(
            "200 OK",
            b'{"ready":true,"probes":{"keys":"ok"}}',
            Readiness(ready=True, probes={"keys": "ok"}),
            id="ready",
        ),
        pytest.param(
            "503 Service Unavailable",
            b'{"ready":false,"probes":{"keys":"none yet"}}',
            Readiness(ready=False, probes={"keys": "none yet"}),
            id="not ready",
        ),
    ],
)
@pytest.mark.parametrize("path", ["", "/", "/readyz"])
def test_a_gateway_tells_its_readiness(
    answer: Answer, status: str, body: bytes, readiness: Readiness, path: str
) -> None:
    assert probe(answer(http(status, body)) + path) == readiness


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", id="not HTTP"),
        pytest.param(http("200 OK", b"<html>"), id="not JSON"),
        pytest.param(http("200 OK", b"\xff"), id="not text"),
        pytest.param(http("200 OK", b"[" * 5000), id="too deep"),
        pytest.param(http("200 OK", b'{"ready":1,"probes":{}}'), id="not our document"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{", id="cut off"),
    ],
)
def test_anything_else_is_no_gateway(answer: Answer, content: bytes) -> None:
    with pytest.raises(ProbeFailed, match=r"no answer from|does not answer as a gateway"):
        probe(answer(content))


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],  # each example listens anew
)
@given(body=st.binary(max_size=100) | st.binary().map(lambda junk: PROBE % junk))
def test_any_answer_is_a_readiness_or_a_failure(answer: Answer, body: bytes) -> None:
    try:
        found = probe(answer(http("200 OK", body)))
    except ProbeFailed:
        return
    assert isinstance(found, Readiness)


def test_a_closed_port_is_no_gateway() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    with pytest.raises(ProbeFailed, match=f"no answer from 127.0.0.1:{port}: .*refused"):
        probe(f"http://127.0.0.1:{port}")


def test_a_silent_server_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "TIMEOUT_S", 0.05)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        pytest.raises(ProbeFailed, match="timed out"),
    ):
        probe(f"http://127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1:9090", "https://127.0.0.1", "http://", "http://127.0.0.1/x", "http://h:port"],
)
def test_a_wrong_url_is_the_callers(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        probe(url)
