"""The served contract of ``GET /v1/stream``: every frame, in either direction.

``/asyncapi.json`` is made from the very structs that frames are decoded into and encoded from.
What those do not tell, since others decide it, is filled in from there: which events there are,
the codes of refusals and closes, how a push is addressed.

AsyncAPI describes messages by a superset of JSON Schema's draft 07, so arrays of fixed places,
which 2020-12 writes in another way, are rewritten.

Source: AsyncAPI 3.0.0; its WebSockets bindings 0.1.0.
"""

from collections.abc import Mapping
from typing import Final, cast

import msgspec

from edge.core.closing import BYES, CLOSE_CODES
from edge.core.contract import (
    API_VERSION,
    BEARER_TOKEN,
    EVENT_REASONS,
    FRAME_REASONS,
    LICENSE,
    NODE_KEY,
    REF,
    SUBPROTOCOLS,
    TOPICS,
    codes,
    event_schemas,
    reference,
)
from edge.core.lane import Lane, LaneState
from edge.core.ops import (
    BATCH_EVENTS_MAX,
    FRAME_BYTES_MAX,
    SUBPROTOCOL,
    ByeOp,
    EventsOp,
    PushOp,
    RefusedEntry,
    WelcomeOp,
)
from edge.core.push import ADDRESS_PATTERN, KEY_CHARS_MAX, TOPIC_PATTERN
from edge.core.sayings import SAYINGS, Saying
from edge.core.schema import Schema, definitions_of

_FILLED_IN: Final[Mapping[str, Schema]] = {
    EventsOp.__name__: {
        "events": {
            "type": "array",
            "items": reference("Event"),
            "maxItems": BATCH_EVENTS_MAX,
        }
    },
    WelcomeOp.__name__: {
        "lanes": {
            "type": "object",
            "properties": {
                lane.value: {"enum": [state.value for state in LaneState]} for lane in Lane
            },
            "required": [lane.value for lane in Lane],
        }
    },
    RefusedEntry.__name__: {"code": {"enum": codes(EVENT_REASONS | FRAME_REASONS)}},
    PushOp.__name__: {"event": reference("Push")},
    ByeOp.__name__: {
        "code": {"enum": sorted(set(BYES.values()))},
        "reason": {"enum": sorted(BYES)},
    },
}
"""Members of structs of which their types tell less than others know."""

_PUSH: Final[Schema] = {
    "title": "Push",
    "description": "A CloudEvent of any type, published to be pushed.",
    "type": "object",
    "properties": {
        "specversion": {"enum": ["1.0"]},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "pushto": {
            "type": "string",
            "pattern": f"^({ADDRESS_PATTERN})$",
            "description": "Whom it is for.",
        },
        "pushtopic": {
            "type": "string",
            "pattern": f"^{TOPIC_PATTERN}$",
            "description": "Only who subscribed to it gets it.",
        },
        "pushkey": {
            "type": "string",
            "minLength": 1,
            "maxLength": KEY_CHARS_MAX,
            "description": "A newer one of the same topic and key takes its place.",
        },
        "data": {"description": "Any JSON."},
    },
    "required": ["specversion", "id", "source", "type", "pushto", "pushtopic", "pushkey"],
}


def asyncapi_document() -> Schema:
    """Write what ``/asyncapi.json`` serves."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Edge gateway",
            "version": API_VERSION,
            "description": (
                "One socket for a player's session: events in, verdicts and pushes out. "
                "What has an accepting verdict is on stable storage."
            ),
            "license": {"name": LICENSE},
        },
        "defaultContentType": "application/json",
        "servers": {
            "gateway": {
                "host": "{host}",
                "protocol": "wss",
                "description": "Where TLS ends in front of it; `ws` behind that.",
                "variables": {
                    "host": {"description": "Name and port.", "examples": ["play.example:443"]}
                },
                "security": [
                    {"$ref": "#/components/securitySchemes/token"},
                    {"$ref": "#/components/securitySchemes/subprotocol"},
                ],
            }
        },
        "channels": {"stream": _channel()},
        "operations": {saying.operation: _operation(saying) for saying in SAYINGS},
        "components": {
            "messages": {saying.op: _message(saying) for saying in SAYINGS},
            "schemas": _in_draft_07(_schemas()),
            "securitySchemes": {
                "token": BEARER_TOKEN,
                "subprotocol": {
                    "type": "httpApiKey",
                    "in": "header",
                    "name": "Sec-WebSocket-Protocol",
                    "description": SUBPROTOCOLS["description"],
                },
            },
        },
    }


def _channel() -> Schema:
    return {
        "address": "/v1/stream",
        "title": "A player's socket",
        "description": (
            f"Subprotocol `{SUBPROTOCOL}`; text frames of UTF-8 JSON, each of at most "
            f"{FRAME_BYTES_MAX} bytes in and told apart by `op`; no compression. A handshake is "
            "refused by HTTP, as /openapi.json tells. A frame that cannot be read is one "
            "refusal with `index` null, and the socket lives. Close codes: `x-close-codes`."
        ),
        "messages": {
            saying.op: {"$ref": f"#/components/messages/{saying.op}"} for saying in SAYINGS
        },
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {
                    "type": "object",
                    "properties": {"k": NODE_KEY, "topics": TOPICS},
                },
                "headers": {
                    "type": "object",
                    "properties": {
                        "Sec-WebSocket-Protocol": SUBPROTOCOLS,
                        "Authorization": {"type": "string", "examples": ["Bearer <token>"]},
                    },
                    "required": ["Sec-WebSocket-Protocol"],
                },
                "bindingVersion": "0.1.0",
            }
        },
        "x-close-codes": {str(code): meaning for code, meaning in CLOSE_CODES.items()},
    }


def _operation(saying: Saying) -> Schema:
    operation: Schema = {
        "action": saying.action,
        "channel": _CHANNEL,
        "summary": saying.summary,
        "messages": [_spoken(saying.op)],
    }
    if saying.answer is not None:
        operation["reply"] = {"channel": _CHANNEL, "messages": [_spoken(saying.answer)]}
    return operation


def _message(saying: Saying) -> Schema:
    return {
        "name": saying.op,
        "summary": saying.summary,
        "payload": reference(type(saying.example).__name__),
        "examples": [{"payload": msgspec.json.decode(msgspec.json.encode(saying.example))}],
    }


def _schemas() -> dict[str, Schema]:
    frames = definitions_of([type(saying.example) for saying in SAYINGS], REF)
    for name, members in _FILLED_IN.items():
        frames[name]["properties"] |= members
    return {**frames, "Push": _PUSH, **event_schemas()}


def _in_draft_07(part: object) -> object:
    """Write arrays of fixed places as draft 07 does; JSON in, JSON out."""
    if isinstance(part, list):
        return [_in_draft_07(each) for each in cast("list[object]", part)]
    if not isinstance(part, dict):
        return part
    written = {
        name: _in_draft_07(each) for name, each in cast("dict[str, object]", part).items()
    }
    if "prefixItems" in written:
        written["additionalItems"] = written.pop("items", True)
        written["items"] = written.pop("prefixItems")
    return written


def _spoken(op: str) -> Schema:
    return {"$ref": f"#/channels/stream/messages/{op}"}


_CHANNEL: Final[Schema] = {"$ref": "#/channels/stream"}
