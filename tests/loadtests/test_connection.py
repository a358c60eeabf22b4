"""A real socket: one connection for many batches, and a word when no answer comes."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from loadtests import connection as module
from loadtests.connection import Connection, NoAnswerError
from loadtests.ruling import Answer, StuckError
from tests.kafka.certificates import issue

YES = b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}"


@dataclass
class Peer:
    """Answers the n-th request with the n-th of *replies*; ``b""`` hangs up instead.

    Attributes:
        replies: Bytes on the wire.
        requests: Heads and bodies, in order.
        connections: How many were opened.
        tls: Its side of it; ``None``: it speaks plainly.
    """

    replies: list[bytes]
    requests: list[bytes] = field(default_factory=list[bytes])
    connections: int = 0
    tls: ssl.SSLContext | None = None
    _listener: socket.socket = field(
        default_factory=lambda: socket.create_server(("127.0.0.1", 0))
    )

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self) -> None:
        """Serve one connection after the other, until closed."""
        while True:
            try:
                visitor, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with visitor, contextlib.suppress(OSError):
                self._converse(visitor)

    def close(self) -> None:
        """End it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _converse(self, visitor: socket.socket) -> None:
        if self.tls is not None:
            visitor = self.tls.wrap_socket(visitor, server_side=True)
        with visitor:
            while self._answer(visitor):
                pass

    def _answer(self, visitor: socket.socket) -> bool:
        request = b""
        while not request.endswith(b"[]"):
            part = visitor.recv(65_536)
            if not part:
                return False
            request += part
        self.requests.append(request)
        reply = self.replies.pop(0)
        visitor.sendall(reply)
        return bool(reply)


@pytest.fixture
def peer() -> Iterator[Peer]:
    running = Peer([])
    thread = threading.Thread(target=running.serve)
    thread.start()
    yield running
    running.close()
    thread.join()


def test_a_batch_goes_out_with_its_token_and_its_k(peer: Peer) -> None:
    peer.replies = [YES]
    with Connection(peer.url) as connection:
        answer = connection.post("replay-3", "secret", b"[]")

    assert answer == Answer(202, "", b"{}")
    head, _, body = peer.requests[0].partition(b"\r\n\r\n")
    first, *fields = head.decode().lower().split("\r\n")
    assert first == "post /v1/events?k=replay-3 http/1.1"
    assert "authorization: bearer secret" in fields
    assert "content-type: application/cloudevents-batch+json" in fields
    assert body == b"[]"


def test_batches_share_a_connection(peer: Peer) -> None:
    peer.replies = [YES, YES, YES]
    with Connection(peer.url) as connection:
        for _ in range(3):
            connection.post("k", "t", b"[]")

    assert peer.connections == 1


def test_a_lost_connection_is_told_and_the_next_batch_opens_another(peer: Peer) -> None:
    peer.replies = [YES, b"", YES]
    with Connection(peer.url) as connection:
        connection.post("k", "t", b"[]")
        with pytest.raises(NoAnswerError, match="ProtocolError"):
            connection.post("k", "t", b"[]")

        assert connection.post("k", "t", b"[]").status == 202


def test_a_request_without_an_answer_is_never_sent_twice_unasked(peer: Peer) -> None:
    """Only the sender knows what may be sent again, and when."""
    peer.replies = [b"", YES]
    with Connection(peer.url) as connection, pytest.raises(NoAnswerError):
        connection.post("k", "t", b"[]")

    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    "reply",
    [b"HTTP/1.1 202 Accepted\r\nContent-Length: 9\r\n\r\n{}", b"who is there?\r\n\r\n"],
    ids=["cut short", "not HTTP"],
)
def test_half_an_answer_is_none(
    peer: Peer, reply: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_TIMEOUT_S", 0.2)
    peer.replies = [reply]
    with Connection(peer.url) as connection, pytest.raises(NoAnswerError):
        connection.post("k", "t", b"[]")


def test_an_answer_without_an_end_is_not_read(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ANSWER_BYTES_MAX", 1)
    peer.replies = [YES]
    with Connection(peer.url) as connection, pytest.raises(StuckError, match="above 1 bytes"):
        connection.post("k", "t", b"[]")


def test_a_redirect_is_not_followed(peer: Peer) -> None:
    """A token is for the gateway it was given for."""
    moved = b"HTTP/1.1 307 Elsewhere\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n"
    peer.replies = [moved, YES]
    with Connection(peer.url) as connection:
        assert connection.post("k", "t", b"[]").status == 307


def test_retry_after_is_passed_on(peer: Peer) -> None:
    peer.replies = [b"HTTP/1.1 503 No\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n"]
    with Connection(peer.url) as connection:
        assert connection.post("k", "t", b"[]") == Answer(503, "5", b"")


def test_a_refused_connection_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with (
        Connection(f"http://127.0.0.1:{port}") as connection,
        pytest.raises(NoAnswerError, match="NewConnectionError"),
    ):
        connection.post("k", "t", b"[]")


def test_a_token_is_not_shown_to_a_peer_with_somebodys_certificate(
    peer: Peer, tmp_path: Path
) -> None:
    (tmp_path / "server.pem").write_text(issue("somebody").server)
    peer.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    peer.tls.load_cert_chain(tmp_path / "server.pem")
    url = peer.url.replace("http:", "https:")
    with Connection(url) as connection, pytest.raises(StuckError, match="its certificate: "):
        connection.post("k", "t", b"[]")

    assert peer.requests == []


def test_a_handshake_that_breaks_off_is_no_answer(peer: Peer) -> None:
    """As one does whose gateway is killed just then."""
    peer.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    url = peer.url.replace("http:", "https:")
    with Connection(url) as connection, pytest.raises(NoAnswerError, match="SSLError"):
        connection.post("k", "t", b"[]")


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8080", "ftp://host", "http://", "http://h?k=v", "http://h:99999"]
)
def test_what_is_no_address_of_a_gateway_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"give the gateway as|Failed to parse"):
        Connection(url)


def test_a_path_before_the_gateways_own_is_kept(peer: Peer) -> None:
    peer.replies = [YES]
    with Connection(f"{peer.url}/behind/") as connection:
        connection.post("k", "t", b"[]")

    assert peer.requests[0].startswith(b"POST /behind/v1/events?k=k ")
