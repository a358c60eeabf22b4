"""One small document over HTTP, or a plain reason why not; blocking, so it runs in a thread.

Made for key sets, whose server may be down, hostile, or not ours at all: one fixed address, no
redirects, no proxy from the environment, no other scheme, a bound on what is read, and one
deadline for everything. A timeout for each read would not do: a server that sends a byte a
second meets it for ever.
"""

import functools
import ipaddress
import re
import socket
import ssl
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import httptools

HEAD_BYTES_MAX: Final = 16 << 10
"""Of status line, headers and chunk framing: twice what servers commonly allow themselves."""

ADDRESSES_MAX: Final = 4
"""Addresses of one name that are tried: two of each family; more would get too little time."""

_RECEIVE_BYTES: Final = 16 << 10
_OK: Final = 200
_PRINTABLE: Final = re.compile(r"[\x21-\x7e]+")


class FetchFailed(Exception):  # noqa: N818  # an expected state of the world
    """There is no document. The message says why and quotes nothing that was received."""


@dataclass(frozen=True, slots=True)
class Url:
    """An address that may be fetched.

    Attributes:
        authority: ``host`` or ``host:port`` as it was written, for the ``Host`` header.
        host: Name or literal address, without brackets.
        port: 1..65535.
        target: Path and query.
        is_tls: Whether the connection is encrypted and its certificate verified.
    """

    authority: str
    host: str
    port: int
    target: str
    is_tls: bool


def read_url(text: str) -> Url:
    """Take an ``https`` URL, or an ``http`` one of this very machine.

    Raises:
        ValueError: Something else; the message says what is wanted.
    """
    if _PRINTABLE.fullmatch(text) is None:
        raise ValueError("write the URL in printable ASCII without spaces")
    parts = urlsplit(text)
    if not parts.hostname or parts.username is not None or parts.fragment:
        raise ValueError("name a host, and neither user nor fragment")
    if parts.scheme != "https" and not (
        parts.scheme == "http" and _is_loopback(parts.hostname)
    ):
        raise ValueError("use https, or http for a loopback address only")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    is_tls = parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    return Url(parts.netloc, parts.hostname, port, target, is_tls)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def fetch(url: Url, *, timeout_s: float, bytes_max: int) -> bytes:
    """Return the body of a 200 answer to GET.

    A body that ends too early is returned as it is: half a JSON document is none.

    Args:
        url: Where.
        timeout_s: For all of it. Only the system's resolver does not know of it.
        bytes_max: Of the body.

    Raises:
        FetchFailed: Whatever else happened.
    """
    deadline = _Deadline(timeout_s)
    try:
        with _connect(url, deadline) as connection:
            connection.settimeout(deadline.left_s())
            connection.sendall(_request(url))
            return _receive(connection, deadline, bytes_max)
    except TimeoutError as error:
        raise FetchFailed(f"no complete answer within {timeout_s:g} s") from error
    except OSError as error:
        raise FetchFailed(error.strerror or type(error).__name__) from error
    except (httptools.HttpParserError, httptools.HttpParserUpgrade, UnicodeError) as error:
        raise FetchFailed(f"no HTTP: {type(error).__name__}") from error


class _Deadline:
    """One moment that every step of a fetch works towards."""

    def __init__(self, timeout_s: float) -> None:
        self._steady_s = time.monotonic() + timeout_s

    def left_s(self) -> float:
        left_s = self._steady_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s


def _connect(url: Url, deadline: _Deadline) -> socket.socket:
    """Try each address in turn; a dead one may not use up the time of the others."""
    found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)[:ADDRESSES_MAX]
    refusal = OSError("no address")
    for tried, (family, kind, protocol, _, address) in enumerate(found):
        connection = socket.socket(family, kind, protocol)
        try:
            connection.settimeout(deadline.left_s() / (len(found) - tried))
            connection.connect(address)
            return _encrypted(connection, url.host, deadline) if url.is_tls else connection
        except OSError as error:
            connection.close()
            refusal = error
    raise refusal


def _encrypted(connection: socket.socket, host: str, deadline: _Deadline) -> socket.socket:
    # Python keeps the time-out over the whole handshake, however many reads that takes.
    connection.settimeout(deadline.left_s())
    return _trust().wrap_socket(connection, server_hostname=host)


@functools.cache
def _trust() -> ssl.SSLContext:
    """The system's authorities, read once: that takes 20 ms."""
    return ssl.create_default_context()


def _request(url: Url) -> bytes:
    lines = (
        f"GET {url.target} HTTP/1.1",
        f"Host: {url.authority}",
        "Accept: application/jwk-set+json, application/json",
        "Accept-Encoding: identity",
        "User-Agent: edge-gateway",
        "Connection: close",
        "\r\n",
    )
    return "\r\n".join(lines).encode("ascii")


class _Answer:
    """What the parser reports; the method names are httptools'."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.is_complete = False

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        self.is_complete = True


def _receive(connection: socket.socket, deadline: _Deadline, bytes_max: int) -> bytes:
    answer = _Answer()
    parser = httptools.HttpResponseParser(answer)
    received_bytes = 0
    while not answer.is_complete:
        connection.settimeout(deadline.left_s())
        part = connection.recv(_RECEIVE_BYTES)
        if not part:
            break
        received_bytes += len(part)
        parser.feed_data(part)
        if len(answer.body) > bytes_max or received_bytes > bytes_max + HEAD_BYTES_MAX:
            raise FetchFailed(f"larger than {bytes_max} bytes")
    status = parser.get_status_code()
    if status != _OK:
        raise FetchFailed(f"status {status}" if status else "no answer")
    return bytes(answer.body)
