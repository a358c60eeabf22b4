"""What both served contracts say alike: the events there are, the reasons, how one connects.

:mod:`edge.core.openapi` and :mod:`edge.core.asyncapi` are made of these parts.
"""

from collections.abc import Iterable
from typing import Final

from edge.core.catalogue.registry import SPECS
from edge.core.ops import BEARER, SUBPROTOCOL
from edge.core.push import TOPIC_PATTERN, TOPICS_MAX
from edge.core.reject import Reason
from edge.core.schema import Schema, definition_name, event_definitions

API_VERSION: Final = "1.0.0"
"""Of the interface, not of the release: the path's ``v1``, and what was added since."""

LICENSE: Final = "Apache-2.0"

REQUEST_REASONS: Final = frozenset(
    {
        Reason.TOKEN_MISSING,
        Reason.TOKEN_INVALID,
        Reason.TOKEN_EXPIRED,
        Reason.SESSION_REVOKED,
        Reason.BODY_MALFORMED,
        Reason.BODY_TOO_LARGE,
        Reason.BATCH_TOO_LARGE,
        Reason.UNSUPPORTED_MEDIA_TYPE,
        Reason.UNSUPPORTED_ENCODING,
        Reason.DRAINING,
        Reason.KEYS_UNAVAILABLE,
        Reason.INTERNAL_ERROR,
        Reason.TOO_MANY_CONNECTIONS,
        Reason.SCOPE_MISSING,
        Reason.RATE_EXCEEDED,
    }
)
"""What may turn a whole request of events away, as a problem document."""

HANDSHAKE_REASONS: Final = frozenset(
    {
        Reason.TOKEN_MISSING,
        Reason.TOKEN_INVALID,
        Reason.TOKEN_EXPIRED,
        Reason.SESSION_REVOKED,
        Reason.DRAINING,
        Reason.KEYS_UNAVAILABLE,
        Reason.INTERNAL_ERROR,
        Reason.TOO_MANY_CONNECTIONS,
        Reason.SCOPE_MISSING,
        Reason.ORIGIN_DENIED,
    }
)
"""What may turn a socket's handshake away, as a problem document."""

EVENT_REASONS: Final = (frozenset(Reason) - REQUEST_REASONS - HANDSHAKE_REASONS) | {
    Reason.SCOPE_MISSING,
    Reason.RATE_EXCEEDED,
}
"""What may turn one event away, within a verdict document; two reasons may do either."""

FRAME_REASONS: Final = frozenset(
    {Reason.BODY_MALFORMED, Reason.BATCH_TOO_LARGE, Reason.KEYS_UNAVAILABLE}
)
"""What may turn a whole frame of an open socket away, among its verdicts."""

EXAMPLE: Final[Schema] = {
    "specversion": "1.0",
    "id": "019856f0-6f2c-7b1e-8d53-2f1d5c0a9e44",
    "source": "https://play.example/web",
    "type": "game.spin.requested",
    "time": "2026-07-31T20:00:00.123Z",
    "subject": "player-0001",
    "session": "019856ef-1d0a-7c42-9a77-5b8e0c6f3d21",
    "seq": 17,
    "data": {
        "game_session_id": "gs-1",
        "request_id": "spin-17",
        "game_id": "book-of-examples",
        "vertical": "slots",
        "stake": {"amount_minor": 100, "currency": "EUR"},
        "input": "touch",
        "since_last_ms": 2100,
        "trusted_event": True,
    },
}
"""A client's event that is valid but for its age."""

NODE_KEY: Final[Schema] = {
    "type": "string",
    "maxLength": 128,
    "description": "Keeps a client on one node: stable, opaque, never a secret.",
}
"""The parameter ``k`` of both doors."""

TOPICS: Final[Schema] = {
    "type": "string",
    "description": (
        f"Topics whose pushes are wanted, joined by commas; the first {TOPICS_MAX} that are "
        f"written as `{TOPIC_PATTERN}` count. None, or a token without `stream:read`: no pushes."
    ),
}
"""The parameter ``topics`` of a socket."""

SUBPROTOCOLS: Final[Schema] = {
    "type": "string",
    "description": (
        f"`{SUBPROTOCOL}`; and the token as `{BEARER}<token>`, by those who cannot set "
        "`Authorization`, as no browser's page can. Never both."
    ),
    "examples": [f"{SUBPROTOCOL}, {BEARER}eyJ0eXAiOiJhdCtqd3QifQ.eyJzdWIiOiJwIn0.c2ln"],
}
"""The header ``Sec-WebSocket-Protocol`` of a handshake."""

BEARER_TOKEN: Final[Schema] = {"type": "http", "scheme": "bearer", "bearerFormat": "at+jwt"}
"""The header ``Authorization``, as a security scheme."""

REF: Final = "#/components/schemas/{name}"
"""Where schemas stand in either document."""


def reference(name: str) -> Schema:
    """Refer to one of the document's schemas."""
    return {"$ref": REF.format(name=name)}


def codes(reasons: Iterable[Reason]) -> list[str]:
    """List the codes of *reasons*."""
    return sorted(reason.code for reason in reasons)


def event_schemas() -> dict[str, Schema]:
    """Write the schemas of all events, by name; ``Event`` is any one of them."""
    return {
        "Event": {"oneOf": [reference(definition_name(type_)) for type_ in SPECS]},
        **event_definitions(SPECS, REF),
    }
