"""Answers as ASGI messages: the one place that writes our headers."""

import uuid
from collections.abc import Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.types import Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from edge.core.answer import Problem, Verdicts, problem, protocol_problem
from edge.core.limit import QuotaState
from edge.core.ratelimit_fields import fields, retry_after
from edge.core.reject import Reason, Reject
from edge.shell.head import ProtocolError

Headers = Sequence[tuple[bytes, bytes]]

JSON: Final = (b"content-type", b"application/json")
PROBLEM_JSON: Final = (b"content-type", b"application/problem+json")
CLOSE: Final = (b"connection", b"close")

RETRY_AFTER_DEFAULT_NS: Final = 1_000_000_000
"""Where a 429 or 503 knows no better time: the shortest the header can say."""

PLAIN_BODIES_KEPT: Final = 512
"""Written answers to batches of which nothing was refused; nearly all are 1 to 200 accepted."""

READY_ANSWERS_KEPT: Final = 4
"""Those of this second and the last, for ``Date`` is in them, with and without an end."""

_OVERLOADED: Final = "The node is overloaded; send this again after Retry-After."

_encode: Final = msgspec.json.Encoder().encode

_RETRIED: Final = frozenset({429, 503})
"""Statuses that always say when to try again."""

_CHALLENGES: Final = {
    Reason.TOKEN_MISSING: b"Bearer",
    Reason.TOKEN_INVALID: b'Bearer error="invalid_token"',
    Reason.TOKEN_EXPIRED: b'Bearer error="invalid_token"',
    Reason.SCOPE_MISSING: b'Bearer error="insufficient_scope"',
}
"""Source: RFC 6750 §3."""

_CLOSING: Final = frozenset(
    {
        Reason.SESSION_REVOKED,
        Reason.BODY_TOO_LARGE,
        Reason.UNSUPPORTED_ENCODING,
        Reason.DRAINING,
        Reason.INTERNAL_ERROR,
    }
)
"""Refusals after which the connection ends: the rest of what it carries is not worth reading.
Source: threats.md rows 14, 15, 18, 39, 42, 55."""


def new_instance() -> str:
    """Return a request id, for a problem and for our log."""
    return f"urn:uuid:{uuid.uuid4()}"


async def send_verdicts(send: Send, status: int, verdicts: Verdicts, headers: Headers) -> None:
    """Answer a batch."""
    if verdicts.refused:
        body = _encode(verdicts)
    else:
        body = _plain_body(verdicts.accepted, verdicts.duplicate)
    await _send(send, status, body, [JSON, *headers])


async def send_reject(
    send: Send,
    reject: Reject,
    instance: str,
    states: Sequence[QuotaState] = (),
    *,
    is_last: bool = False,
    is_handshake: bool = False,
) -> None:
    """Answer a request that is refused whole.

    Args:
        send: ASGI.
        reject: Why.
        instance: The request id.
        states: The quotas of a speaker we know.
        is_last: The connection ends whatever the reason.
        is_handshake: The request was one for a socket.
    """
    reason = reject.reason
    extra = quota_headers(reject.status, reject.retry_after_ns, states)
    if reason in _CHALLENGES:
        extra.append((b"www-authenticate", _CHALLENGES[reason]))
    if reason is Reason.UNSUPPORTED_ENCODING:
        extra.append((b"accept-encoding", b"identity"))
    if is_last or reason in _CLOSING:
        extra.append(CLOSE)
    document = problem(reason, instance, reject.status, is_handshake=is_handshake)
    await _send_problem(send, document, extra)


async def send_protocol_error(
    send: Send, error: ProtocolError, instance: str, states: Sequence[QuotaState] = ()
) -> None:
    """Answer a request that breaks HTTP's rules, and end its connection."""
    document = protocol_problem(error.status, error.detail, instance)
    await _send_problem(send, document, [*fields(states), *error.headers, CLOSE])


def overloaded(default_headers: Headers, *, is_last: bool) -> tuple[bytes, bytes]:
    """Write head and body for a request that is refused before anything of it was looked at.

    It has no code: HTTP's own 503 and ``Retry-After`` say all there is to say. Nor has it an
    id, since nothing of it is logged.

    Args:
        default_headers: What every answer carries.
        is_last: The connection ends.
    """
    return _overloaded(tuple(default_headers), is_last=is_last)


@lru_cache(READY_ANSWERS_KEPT)
def _overloaded(default_headers: Headers, *, is_last: bool) -> tuple[bytes, bytes]:
    status = HTTPStatus.SERVICE_UNAVAILABLE
    body = _encode(protocol_problem(status, _OVERLOADED))
    headers = [
        *default_headers,
        PROBLEM_JSON,
        *quota_headers(status, None, ()),
        (b"content-length", b"%d" % len(body)),
        *((CLOSE,) if is_last else ()),
    ]
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join((STATUS_LINE[status], *lines, b"\r\n")), body


def quota_headers(
    status: int, retry_after_ns: int | None, states: Sequence[QuotaState]
) -> list[tuple[bytes, bytes]]:
    """Return the RateLimit fields, and ``Retry-After`` for the statuses that always carry it.

    Args:
        status: 429 and 503 say when to try again.
        retry_after_ns: When that may help, ns from now; ``None`` when nothing better is known
            than soon.
        states: The quotas of a speaker we know.
    """
    headers = list(fields(states))
    if status in _RETRIED:
        exhausted = [state for state in states if state.remaining == 0]
        seconds = retry_after(retry_after_ns or RETRY_AFTER_DEFAULT_NS, exhausted)
        headers.append((b"retry-after", b"%d" % seconds))
    return headers


@lru_cache(PLAIN_BODIES_KEPT)
def _plain_body(accepted: int, duplicate: int) -> bytes:
    verdicts = Verdicts(accepted=accepted, duplicate=duplicate, refused=[], retry_after_ms=None)
    return _encode(verdicts)


async def _send_problem(send: Send, document: Problem, headers: Headers) -> None:
    await _send(send, document.status, _encode(document), [PROBLEM_JSON, *headers])


async def _send(send: Send, status: int, body: bytes, headers: Headers) -> None:
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
