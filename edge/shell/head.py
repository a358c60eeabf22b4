"""A request's head in, what the door needs of it out; or why nothing more is read.

Everything here is decided before one byte of the body is asked for.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from starlette.types import Scope

from edge.core.decode import Shape
from edge.core.limit import address_key
from edge.core.reject import Reason, Reject

BODY_BYTES_MAX: Final = 256 * 1024
"""Of one request, as sent: 200 events of more than 1 KiB each. Source: design.md §4."""

TOKEN_NAMES: Final = frozenset({"token", "access_token", "jwt", "bearer"})
"""Query parameters that would put a secret into every log on the way. Source: RFC 9700 §4.3.2."""

# Parsing costs 4 µs, and clients send ``k`` with every request. An escape may hide any letter.
_PERHAPS_TOKEN: Final = re.compile(b"(?i)%|" + "|".join(sorted(TOKEN_NAMES)).encode()).search

MEDIA_TYPES_KEPT: Final = 64
"""Parsed Content-Type values remembered; real clients use three."""

ADDRESSES_KEPT: Final = 4096
"""Peer addresses whose key is remembered; reading one anew costs 2 µs."""

_SHAPES: Final = {
    "application/cloudevents+json": Shape.OBJECT,
    "application/cloudevents-batch+json": Shape.ARRAY,
    "application/json": Shape.EITHER,
}


class ProtocolError(Exception):
    """The request breaks HTTP's own rules, or ours for URLs; it has no code.

    Attributes:
        status: What it is answered with, and ``Connection: close``.
        detail: Constant words for the client's developer.
        headers: What the answer carries besides.
    """

    def __init__(
        self, status: HTTPStatus, detail: str, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def address_of(scope: Scope) -> str:
    """Return the peer's address as quotas count it: an IPv4 /32 or IPv6 /64."""
    client = scope["client"]
    return _address_key(client[0]) if client else ""


def authorization_of(headers: Sequence[tuple[bytes, bytes]]) -> list[bytes]:
    """Return every ``Authorization`` value; what to make of two is authenticate's to say."""
    return [value for name, value in headers if name == b"authorization"]


def refuse_token_in_query(query: bytes) -> None:
    """Refuse a URL that carries a secret; its value is neither looked at nor logged.

    Raises:
        ProtocolError: 400.

    Source: threats.md row 68.
    """
    if _PERHAPS_TOKEN(query) is None:
        return
    names = {
        name.lower() for name, _ in parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    }
    if not names.isdisjoint(TOKEN_NAMES):
        raise ProtocolError(
            HTTPStatus.BAD_REQUEST,
            "Send the token in the Authorization header, never in the URL.",
        )


def read_head(headers: Sequence[tuple[bytes, bytes]]) -> Shape:
    """Decide whether the body is worth asking for; return what the media type says it is.

    Args:
        headers: Names in lower case, as ASGI has them.

    Raises:
        Reject: BODY_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED_ENCODING.
        ProtocolError: 411.
    """
    found = dict(headers)
    for name in found:
        if name.startswith(b"ce-"):
            raise Reject(Reason.UNSUPPORTED_MEDIA_TYPE, "binary content mode")
    _check_length(found)
    if b"content-encoding" in found:
        raise Reject(Reason.UNSUPPORTED_ENCODING)
    shape = _shape(found.get(b"content-type", b""))
    if shape is None or (len(found) < len(headers) and _has_two_types(headers)):
        raise Reject(Reason.UNSUPPORTED_MEDIA_TYPE)
    return shape


def _check_length(found: Mapping[bytes, bytes]) -> None:
    length = found.get(b"content-length")
    if length is None:
        if b"transfer-encoding" not in found:
            raise ProtocolError(
                HTTPStatus.LENGTH_REQUIRED, "Send Content-Length with the body."
            )
    elif int(length) > BODY_BYTES_MAX:
        raise Reject(Reason.BODY_TOO_LARGE, "by its Content-Length")


def _has_two_types(headers: Sequence[tuple[bytes, bytes]]) -> bool:
    return sum(name == b"content-type" for name, _ in headers) > 1


_address_key: Final = lru_cache(ADDRESSES_KEPT)(address_key)


@lru_cache(MEDIA_TYPES_KEPT)
def _shape(content_type: bytes) -> Shape | None:
    """Read a media type; ``None`` for one we do not take, or in a charset that is not UTF-8."""
    media_type, *parameters = content_type.decode("latin-1").split(";")
    for parameter in parameters:
        name, _, value = parameter.strip().partition("=")
        if name.lower() == "charset" and value.strip('"').lower() not in {"utf-8", "utf8"}:
            return None
    return _SHAPES.get(media_type.strip().lower())
