"""A receiver of events with moods, for the HTTP origin: real sockets on loopback.

It keeps a body whole or not at all, as its script says, and fails the test when it is spoken to
in another way than was agreed.
"""

import contextlib
import re
import socket
import ssl
import tempfile
import threading
from collections import defaultdict
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec

from tests.kafka.certificates import Certificates

CONTENT_TYPE: Final = "application/cloudevents-batch+json"
_LINGER_0: Final = b"\x01\x00\x00\x00\x00\x00\x00\x00"  # struct linger: on, 0 s
_PATIENCE_S: Final = 20.0
"""A mood that waits for a client to give up waits no longer than this."""
_BATCH: Final = msgspec.json.Decoder(list[msgspec.Raw])
_TARGET: Final = re.compile(r"/in/([A-Za-z0-9._-]+)")


@dataclass(frozen=True, slots=True)
class Request:
    """What was read.

    Attributes:
        topic: Of the path.
        headers: Names in lower case.
        events: Of the body, byte for byte; empty when it is no JSON array.
    """

    topic: str
    headers: dict[str, str]
    events: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; with a 2xx the events are kept."""

    status: int = 204
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


Mood: TypeAlias = Callable[[socket.socket], None]
"""What is done with a connection instead of an answer; it is closed afterwards."""

Script: TypeAlias = Callable[[Request], Reply | Mood]
TAKE: Final = Reply()


def take(_: Request) -> Reply:
    """Take everything."""
    return TAKE


def always(reply: Reply | Mood) -> Script:
    """Answer any request the same."""
    return lambda _: reply


def then_take(*replies: Reply | Mood) -> Script:
    """Answer like that, one after the other; from then on take everything."""
    left = list(replies)
    return lambda _: left.pop(0) if left else TAKE


def refusing(bad: Sequence[bytes], status: int = 422) -> Script:
    """Object to any body that holds one of *bad*."""
    return lambda request: Reply(status) if set(bad).intersection(request.events) else TAKE


def reset(connection: socket.socket) -> None:
    """Break the connection without a word."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)


class Receiver:
    """Takes batches at ``<url>/<topic>``.

    Args:
        script: What becomes of a request; changed at will while it runs.
        certificates: To speak TLS with; ``None``: it does not.
        host: The address to listen at.

    Attributes:
        url: Where it is.
        authority: What clients must call it; another's, where they come by a proxy.
        events: What it keeps, by topic, in order.
        requests: What it was sent, in order of arrival.
        connections: How many were opened.
        reached: Set once a request was read.
        complaints: What was wrong with requests; a test that uses one ends by failing on them.
    """

    def __init__(
        self,
        script: Script = take,
        certificates: Certificates | None = None,
        *,
        host: str = "127.0.0.1",
    ) -> None:
        self.script = script
        self.events: defaultdict[str, list[bytes]] = defaultdict(list)
        self.requests: list[Request] = []
        self.connections = 0
        self.reached = threading.Event()
        self.complaints: list[str] = []
        self._tls = None if certificates is None else _server_side(certificates)
        self._guard = threading.Lock()
        self._open: set[socket.socket] = set()
        self._host, self._port = host, 0
        self.start()
        scheme = "http" if self._tls is None else "https"
        self.authority = f"{host}:{self._port}"
        self.url = f"{scheme}://{self.authority}/in"

    def start(self) -> None:
        """Listen; again on the same port."""
        self._listener = socket.create_server((self._host, self._port))
        self._port = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def stop(self) -> None:
        """Stop listening, break every connection and wait until all is over."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads[0].join()
        self._listener.close()
        with self._guard:
            for connection in self._open:
                with contextlib.suppress(OSError):  # the client was faster
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                if self._tls is not None:
                    connection = self._tls.wrap_socket(
                        connection, server_side=True, do_handshake_on_connect=False
                    )
                with self._guard:
                    self._open.add(connection)
                thread = threading.Thread(target=self._attend, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _attend(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE_S)
        with connection, contextlib.suppress(OSError):  # the client gave up
            if isinstance(connection, ssl.SSLSocket):
                connection.do_handshake()
            while self._answer(connection):
                pass
        with self._guard:
            self._open.discard(connection)

    def _answer(self, connection: socket.socket) -> bool:
        """Answer one request; return whether another may follow."""
        read = self._read(connection)
        if read is None:
            return False
        with self._guard:
            self.requests.append(read)
        self.reached.set()
        reply = self.script(read)
        if not isinstance(reply, Reply):
            reply(connection)
            return False
        if 200 <= reply.status < 300:
            with self._guard:
                self.events[read.topic] += read.events
        connection.sendall(_written(reply))
        return True

    def _read(self, connection: socket.socket) -> Request | None:
        received = b""
        while b"\r\n\r\n" not in received:
            part = connection.recv(65536)
            if not part:
                return None
            received += part
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("ascii").split("\r\n")
        headers = {
            name.lower(): value for name, value in (line.split(": ", 1) for line in lines)
        }
        while len(body) < int(headers["content-length"]):
            part = connection.recv(65536)
            if not part:
                return None
            body += part
        return self._request(first, headers, body)

    def _request(self, first: str, headers: dict[str, str], body: bytes) -> Request:
        method, target, version = first.split(" ")
        path = _TARGET.fullmatch(target)
        for holds, what in (
            ((method, version) == ("POST", "HTTP/1.1"), first),
            (path is not None, target),
            (headers.get("content-type") == CONTENT_TYPE, str(headers)),
            (headers.get("host") == self.authority, str(headers)),
            (len(body) == int(headers["content-length"]), "more than the body"),
        ):
            if not holds:
                self.complaints.append(what)
        events: list[msgspec.Raw] = []
        try:
            events = _BATCH.decode(body)
        except msgspec.DecodeError:
            self.complaints.append(f"no batch: {body[:80]!r}")
        return Request(path[1] if path else "", headers, tuple(map(bytes, events)))


@contextlib.contextmanager
def receiver(
    script: Script = take,
    certificates: Certificates | None = None,
    *,
    host: str = "127.0.0.1",
) -> Generator[Receiver]:
    """Run a receiver; on the way out it must have nothing to complain about."""
    running = Receiver(script, certificates, host=host)
    try:
        yield running
    finally:
        running.stop()
    assert running.complaints == []


def _written(reply: Reply) -> bytes:
    headers = dict(reply.headers)
    if reply.status != 204:  # which has no body, so no length either
        headers["Content-Length"] = str(len(reply.body))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {reply.status} As Told\r\n{lines}\r\n".encode() + reply.body


def _server_side(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as file:  # it reads certificates from files only
        file.write(certificates.server)
        file.flush()
        context.load_cert_chain(file.name)
    return context
