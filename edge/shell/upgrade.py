"""A WebSocket handshake in; the answer that switches to it out, or why it is refused.

Only its form is judged here. It may have as much as its own bounds allow, which are those of
every head, and no body: behind it come frames.

Source: RFC 6455 §4.2; RFC 9110 §7.8, §15.5.22.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

from starlette.types import Scope

from edge.shell.doorkeeper import Doorkeeper
from edge.shell.head import ProtocolError

Headers = Sequence[tuple[bytes, bytes]]

EXTENSION: Final = "edge.switch"
"""Where an application finds ``{"switch": …}``: :meth:`edge.shell.wire.WireProtocol.switch`."""

FIELDS_MAX: Final = 64
HEAD_BYTES_MAX: Final = 32 * 1024
TARGET_BYTES_MAX: Final = 8 * 1024 - len("GET  HTTP/1.1")
"""Source: threats.md rows 5 and 6; what browsers send has 15 fields and 1 KiB, and a token."""

KEY_BYTES: Final = 16
VERSION: Final = b"13"

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HEADERS_426: Final = (
    (b"sec-websocket-version", VERSION),
    (b"upgrade", b"websocket"),
    (b"connection", b"upgrade"),
)


_HEADERS_101: Final = ((b"upgrade", b"websocket"), (b"connection", b"upgrade"))


@dataclass(frozen=True, slots=True)
class Berth:
    """Where one connection is known as long as it is open.

    Attributes:
        connections: Of its server, which tells each of them when it leaves.
        doorkeeper: Has let it in; ``None``: nobody asks.
    """

    connections: set[Any]  # uvicorn's protocols, and ours behind them
    doorkeeper: Doorkeeper | None

    def leave(self, connection: asyncio.BaseProtocol) -> None:
        """Be told that it is lost."""
        self.connections.discard(connection)
        if self.doorkeeper is not None:
            self.doorkeeper.let_out()


class Successor(Protocol):
    """Has a connection from its handshake on; besides, it is an asyncio protocol."""

    def follow(self, transport: asyncio.Transport, berth: Berth, unread: bytes) -> None:
        """Take it over: the handshake's answer is written.

        Args:
            transport: Calls this one from now on.
            berth: To be left when the connection is lost.
            unread: What came behind the handshake.
        """
        ...


def is_websocket(headers: Headers) -> bool:
    """Return whether the upgrade that *headers* ask for may be to WebSocket."""
    offered = b",".join(value for name, value in headers if name == b"upgrade")
    return b"websocket" in (each.strip() for each in offered.lower().split(b","))


def without_upgrade(request_line: bytes, headers: Headers) -> bytes:
    """Write a request's head anew, as one that asks for no upgrade."""
    kept = [b"%b: %b" % each for each in headers if each[0] != b"upgrade"]
    return b"\r\n".join((request_line, *kept, b"", b""))


def check_handshake(scope: Scope) -> bytes:
    """Judge a handshake's form; return the ``Sec-WebSocket-Accept`` that answers it.

    Raises:
        ProtocolError: 400, 414, 426, 431.
    """
    _check_size(scope)
    if EXTENSION not in scope.get("extensions", ()):
        raise _upgrade_required("Ask for an upgrade to websocket.")
    if scope["http_version"] != "1.1":
        raise ProtocolError(HTTPStatus.BAD_REQUEST, "Send the handshake as HTTP/1.1.")
    headers = scope["headers"]
    if _values(headers, b"content-length") or _values(headers, b"transfer-encoding"):
        raise ProtocolError(HTTPStatus.BAD_REQUEST, "Send the handshake without a body.")
    if _values(headers, b"sec-websocket-version") != [VERSION]:
        raise _upgrade_required("Use version 13 of WebSocket.")
    match _values(headers, b"sec-websocket-key"):
        case [key] if _is_key(key):
            return accept_of(key)
        case _:
            raise ProtocolError(HTTPStatus.BAD_REQUEST, "Send one Sec-WebSocket-Key of 16 B.")


def switching(default_headers: Headers, headers: Headers) -> bytes:
    """Write the answer that ends HTTP on a connection."""
    lines = [b"%b: %b\r\n" % each for each in (*default_headers, *_HEADERS_101, *headers)]
    return b"".join((b"HTTP/1.1 101 Switching Protocols\r\n", *lines, b"\r\n"))


def accept_of(key: bytes) -> bytes:
    """Compute ``Sec-WebSocket-Accept``.

    Source: RFC 6455 §4.2.2.
    """
    digest = hashlib.sha1(key + _GUID, usedforsecurity=False).digest()
    return base64.b64encode(digest)


def _check_size(scope: Scope) -> None:
    headers = scope["headers"]
    target_bytes = len(scope["raw_path"]) + len(scope["query_string"]) + 1
    head_bytes = sum(len(name) + len(value) + 4 for name, value in headers) + target_bytes
    if target_bytes > TARGET_BYTES_MAX:
        raise ProtocolError(HTTPStatus.REQUEST_URI_TOO_LONG, "Send a shorter URL.")
    if len(headers) > FIELDS_MAX or head_bytes > HEAD_BYTES_MAX:
        raise ProtocolError(
            HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "Send fewer or shorter headers."
        )


def _upgrade_required(detail: str) -> ProtocolError:
    return ProtocolError(HTTPStatus.UPGRADE_REQUIRED, detail, _HEADERS_426)


def _values(headers: Headers, wanted: bytes) -> list[bytes]:
    return [value for name, value in headers if name == wanted]


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == KEY_BYTES
    except binascii.Error:
        return False
