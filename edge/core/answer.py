"""What a client is told: the verdict document, the problem document, and their fixed words.

Nothing of the input is ever in an answer, except an event's ``id`` once it proved valid.
"""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from edge.core.reject import Reason


class Refused(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event turned away.

    Attributes:
        index: Its place in the batch, from 0; ``None`` when the frame itself was unreadable.
        id: Its ``id``, only if that is valid.
        code: Why: a code of the catalogue, a promise.
        pointer: RFC 6901, into the event; ``None`` where no one place is at fault.
        retryable: Whether the very same event may be sent again.
    """

    index: int | None
    id: str | None
    code: str
    pointer: str | None
    retryable: bool


class Verdicts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The outcome of one batch: what is not listed as refused is durable, now or before.

    Attributes:
        accepted: Events on stable storage since this request.
        duplicate: Events that already were.
        refused: The others, in the batch's order.
        retry_after_ms: When sending the retryable ones again may help; ``None`` if there are
            none.
    """

    accepted: int
    duplicate: int
    refused: list[Refused]
    retry_after_ms: int | None


class Problem(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Why a whole request was turned away.

    Attributes:
        type: ``urn:edge:problem:<code>``, or ``about:blank`` for purely protocol errors.
        title: Constant per type.
        status: As in the status line.
        detail: What the client's developer should do; constant.
        instance: The request id, also in our log; absent where the request was not read.
        code: A code of the catalogue; absent with ``about:blank``.

    Source: RFC 9457 §3.1.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str | msgspec.UnsetType = msgspec.UNSET
    code: str | msgspec.UnsetType = msgspec.UNSET


class Words(NamedTuple):
    """What people read of a refusal.

    Attributes:
        title: What happened, for a list of problems.
        detail: What the client's developer should do now.
    """

    title: str
    detail: str


WORDS: Final[Mapping[Reason, Words]] = MappingProxyType(
    {
        Reason.TOKEN_MISSING: Words(
            "No token",
            "Send the access token as 'Authorization: Bearer <token>'.",
        ),
        Reason.TOKEN_INVALID: Words(
            "Token not valid",
            "Get a new token from an issuer this gateway trusts.",
        ),
        Reason.TOKEN_EXPIRED: Words(
            "Token expired",
            "Get a new token and send the request again.",
        ),
        Reason.SESSION_REVOKED: Words(
            "Session revoked",
            "Stop sending with this token; the player has to log in again.",
        ),
        Reason.BODY_MALFORMED: Words(
            "Body is not JSON events",
            "Send UTF-8 JSON (RFC 8259) without a byte order mark: one CloudEvent, or an array.",
        ),
        Reason.BODY_TOO_LARGE: Words(
            "Body too large",
            "Send fewer events per request; /openapi.json states the limit.",
        ),
        Reason.BATCH_TOO_LARGE: Words(
            "Too many events",
            "Send fewer events per request; /openapi.json states the limit.",
        ),
        Reason.UNSUPPORTED_MEDIA_TYPE: Words(
            "Content-Type not supported",
            "Send one object as application/cloudevents+json, an array as "
            "application/cloudevents-batch+json, or either as application/json.",
        ),
        Reason.UNSUPPORTED_ENCODING: Words(
            "Content-Encoding not supported",
            "Send the body in an encoding that the Accept-Encoding of this answer lists.",
        ),
        Reason.DRAINING: Words(
            "Gateway is leaving",
            "Send the same request again after Retry-After, on a new connection.",
        ),
        Reason.KEYS_UNAVAILABLE: Words(
            "Tokens cannot be checked now",
            "Keep the token and send the same request again after Retry-After.",
        ),
        Reason.INTERNAL_ERROR: Words(
            "Error in the gateway",
            "Report the instance; send the same events again later, they keep their ids.",
        ),
        Reason.ORIGIN_DENIED: Words(
            "Origin not allowed",
            "Connect from a page whose origin the operator lists in http.allowed_origins.",
        ),
        Reason.TOO_MANY_CONNECTIONS: Words(
            "No room for another connection",
            "Connect again after Retry-After; send several requests over one connection.",
        ),
        Reason.SCHEMA_VIOLATION: Words(
            "Event does not match its schema",
            "Correct the place the pointer names; GET /v1/catalogue serves the schemas.",
        ),
        Reason.UNKNOWN_TYPE: Words(
            "Event type not known",
            "Use a type that GET /v1/catalogue lists.",
        ),
        Reason.UNKNOWN_VERSION: Words(
            "Schema version not loaded",
            "Use the version that GET /v1/catalogue lists, or leave dataschema out.",
        ),
        Reason.EVENT_TOO_LARGE: Words(
            "Event too large",
            "Make the event smaller; /openapi.json states the limit.",
        ),
        Reason.PII_LEAK: Words(
            "Personal data in free text",
            "Remove the e-mail address or card number at the place the pointer names.",
        ),
        Reason.SUBJECT_MISMATCH: Words(
            "Not the token's player or session",
            "Send only events whose subject and session are those of the token.",
        ),
        Reason.AUTHORITY_DENIED: Words(
            "Not for this kind of token",
            "Facts need a service's token, intents and observations a player's.",
        ),
        Reason.BRAND_MISMATCH: Words(
            "Not the token's brand or jurisdiction",
            "State the brand and jurisdiction of the token, or leave them out.",
        ),
        Reason.SCOPE_MISSING: Words(
            "Scope missing",
            "Use a token with events:write, or for facts with facts:<lane>.",
        ),
        Reason.SEQUENCE_TOO_OLD: Words(
            "Number too far behind",
            "Do not send this event again; go on with the session's next number.",
        ),
        Reason.CLOCK_SKEW: Words(
            "Time out of range",
            "Compare the clock with GET /v1/time, correct time and send the event again.",
        ),
        Reason.IDEMPOTENCY_CONFLICT: Words(
            "Same key, other content",
            "Never reuse the id, number or business key of an event for another one.",
        ),
        Reason.RATE_EXCEEDED: Words(
            "Over quota",
            "Send the same events again after Retry-After; RateLimit tells what is left.",
        ),
        Reason.LANE_FULL: Words(
            "No room now",
            "Send the same events again after Retry-After.",
        ),
        Reason.LANE_FAILED: Words(
            "Not durable",
            "Send the same events again after Retry-After; their fate is not known.",
        ),
        Reason.LANE_SHED: Words(
            "Telemetry not kept now",
            "Do not send this event again; go on with the session's next number.",
        ),
    }
)


_HANDSHAKE_DETAILS: Final[Mapping[Reason, str]] = MappingProxyType(
    {
        Reason.SCOPE_MISSING: (
            "Use a player's token (with sid) that has events:write or stream:read; "
            "facts go by HTTP."
        ),
    }
)
"""What to do where a socket needs something else than a request."""


def problem(
    reason: Reason,
    instance: str | msgspec.UnsetType = msgspec.UNSET,
    status: int | None = None,
    *,
    is_handshake: bool = False,
) -> Problem:
    """Answer a refusal of the whole request.

    Args:
        reason: Why.
        instance: The request id; none where the request was not read.
        status: Where it is not the reason's own.
        is_handshake: The request was one for a socket.
    """
    words = WORDS[reason]
    detail = _HANDSHAKE_DETAILS.get(reason) if is_handshake else None
    return Problem(
        type=f"urn:edge:problem:{reason.code}",
        title=words.title,
        status=status or reason.status,
        detail=detail or words.detail,
        instance=instance,
        code=reason.code,
    )


def protocol_problem(
    status: HTTPStatus, detail: str, instance: str | msgspec.UnsetType = msgspec.UNSET
) -> Problem:
    """Answer an error of the protocol, which has no code: an unknown path, a wrong method.

    Args:
        status: 4xx or 5xx; its phrase is the title.
        detail: What the client's developer should do, constant.
        instance: The request id; none where the request was not read.

    Source: RFC 9457 §4.2.1.
    """
    return Problem(
        type="about:blank",
        title=status.phrase,
        status=status.value,
        detail=detail,
        instance=instance,
    )
