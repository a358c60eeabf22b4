"""The served documents: what may be sent, and every answer there is.

``/openapi.json`` and ``GET /v1/catalogue`` are made from the very structs and tables that
decode events and write answers, so they cannot say anything else.

Source: OpenAPI 3.1.1.
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final

from edge.core.answer import Problem, Verdicts
from edge.core.catalogue.registry import SPECS
from edge.core.decode import BATCH_EVENTS_MAX, EVENT_BYTES_MAX, TELEMETRY_BYTES_MAX
from edge.core.lane import Authority, Lane
from edge.core.reject import Reason
from edge.core.schema import (
    DIALECT,
    Schema,
    definition_name,
    definitions_of,
    event_definitions,
    event_schema,
)

API_VERSION: Final = "1.0.0"
"""Of the interface, not of the release: the path's ``v1``, and what was added since."""

REQUEST_REASONS: Final = frozenset(
    {
        Reason.TOKEN_MISSING,
        Reason.TOKEN_INVALID,
        Reason.TOKEN_EXPIRED,
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
"""What may turn a whole request away, as a problem document."""

EVENT_REASONS: Final = (frozenset(Reason) - REQUEST_REASONS) | {
    Reason.SCOPE_MISSING,
    Reason.RATE_EXCEEDED,
}
"""What may turn one event away, within a verdict document; two reasons may do either."""

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

_REFUSING: Final = sorted({reason.status for reason in Reason} - {Reason.LANE_SHED.status})
"""Statuses of answers in which nothing is good."""

_REF: Final = "#/components/schemas/{name}"
_HEADERS: Final[Schema] = {
    "RateLimit": {
        "description": "Events admissible now (`r`), and seconds until one more (`t`).",
        "schema": {"type": "string"},
        "example": '"player";r=199;t=1',
    },
    "RateLimit-Policy": {
        "description": "Quota (`q`) per window in seconds (`w`).",
        "schema": {"type": "string"},
        "example": '"player";q=1200;w=60',
    },
    "Retry-After": {
        "description": "Whole seconds after which trying again may help.",
        "schema": {"type": "integer", "minimum": 1},
    },
    "WWW-Authenticate": {
        "description": "`Bearer`; with `error` where there was a token.",
        "schema": {"type": "string"},
        "example": 'Bearer error="invalid_token"',
    },
}


def catalogue_document() -> Schema:
    """Write what ``GET /v1/catalogue`` serves: each type with its newest schema."""
    return {
        "types": [
            {
                "type": spec.type,
                "lane": spec.lane.value,
                "authority": spec.authority.value,
                "version": spec.versions[-1],
                "schema": event_schema(spec.type),
            }
            for spec in SPECS.values()
        ]
    }


def openapi_document() -> Schema:
    """Write what ``/openapi.json`` serves."""
    return {
        "openapi": "3.1.1",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": "Edge gateway",
            "version": API_VERSION,
            "description": "Takes iGaming events; what it accepts is on stable storage.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v1/events": {"post": _post_events()},
            "/v1/time": {
                "get": _get(
                    "readTime", "Read the gateway's clock, unix ms.", _reference("Time")
                )
            },
            "/v1/catalogue": {
                "get": _get("readCatalogue", "List the event types.", _reference("Catalogue"))
            },
            "/openapi.json": {
                "get": _get("readOpenapi", "Read this document.", {"type": "object"})
            },
        },
        "components": {
            "schemas": _schemas(),
            "headers": _HEADERS,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "bearerFormat": "at+jwt"}
            },
        },
    }


def _post_events() -> Schema:
    return {
        "operationId": "sendEvents",
        "summary": "Send one event, or a batch; get a verdict for each.",
        "description": (
            f"At most {BATCH_EVENTS_MAX} events, each of at most {EVENT_BYTES_MAX} bytes "
            f"(telemetry {TELEMETRY_BYTES_MAX}). What the answer does not list as refused is "
            "durable, now or before. Telemetry that is shed under load is listed too, as "
            f"`{Reason.LANE_SHED.code}`: do not send it again. Where nothing was accepted, "
            "duplicate or shed, the status is the one all refusals share; else 503 if any can "
            "be sent again; else 422."
        ),
        "security": [{"token": []}],
        "parameters": [
            {
                "name": "k",
                "in": "query",
                "description": "Keeps a client on one node: stable, opaque, never a secret.",
                "schema": {"type": "string", "maxLength": 128},
            }
        ],
        "requestBody": {"required": True, "content": _bodies()},
        "responses": {
            "202": {
                "description": (
                    "Verdicts: all of them good, or some, or the batch was empty. "
                    f"Shed: `{Reason.LANE_SHED.code}`."
                ),
                "headers": _headers(202),
                "content": _VERDICTS,
            },
            **{str(status): _refusal(status) for status in _REFUSING},
            "default": _PROTOCOL_ERROR,
        },
    }


def _bodies() -> Schema:
    one, many = _reference("Event"), _reference("Batch")
    return {
        "application/cloudevents+json": {"schema": one, "example": EXAMPLE},
        "application/cloudevents-batch+json": {"schema": many, "example": [EXAMPLE]},
        "application/json": {"schema": {"oneOf": [one, many]}, "example": EXAMPLE},
    }


def _refusal(status: int) -> Schema:
    content: Schema = {}
    causes: list[str] = []
    for who, reasons, document in (
        ("The request", REQUEST_REASONS, _PROBLEM),
        ("Each event", EVENT_REASONS, _VERDICTS),
    ):
        codes = _codes(reason for reason in reasons if reason.status == status)
        if codes:
            content |= document
            causes.append(f"{who}: {', '.join(f'`{code}`' for code in codes)}.")
    return {
        "description": " ".join([f"{HTTPStatus(status).phrase}.", *causes]),
        "headers": _headers(status),
        "content": content,
    }


def _headers(status: int) -> Schema:
    names = ["RateLimit", "RateLimit-Policy"]  # on each authenticated answer
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        names.append("Retry-After")
    if status == HTTPStatus.UNAUTHORIZED:
        names = ["WWW-Authenticate"]
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _get(operation: str, summary: str, schema: Schema) -> Schema:
    return {
        "operationId": operation,
        "summary": summary,
        "security": [],
        "responses": {
            "200": {
                "description": "The document.",
                "content": {"application/json": {"schema": schema}},
            },
            "default": _PROTOCOL_ERROR,
        },
    }


def _schemas() -> Schema:
    answers = definitions_of([Verdicts, Problem], _REF)
    answers["Refused"]["properties"]["code"]["enum"] = _codes(EVENT_REASONS)
    answers["Problem"]["properties"]["code"]["enum"] = _codes(REQUEST_REASONS)
    names = {type_: definition_name(type_) for type_ in SPECS}
    return {
        "Event": {
            "oneOf": [_reference(name) for name in names.values()],
            "discriminator": {
                "propertyName": "type",
                "mapping": {type_: _REF.format(name=name) for type_, name in names.items()},
            },
        },
        "Batch": {
            "type": "array",
            "items": _reference("Event"),
            "maxItems": BATCH_EVENTS_MAX,
        },
        "Time": _closed({"unix_ms": {"type": "integer"}}),
        "Catalogue": _closed({"types": {"type": "array", "items": _reference("CatalogueRow")}}),
        "CatalogueRow": _closed(
            {
                "type": {"enum": list(SPECS)},
                "lane": {"enum": [lane.value for lane in Lane]},
                "authority": {"enum": [authority.value for authority in Authority]},
                "version": {"type": "string"},
                "schema": {"type": "object"},
            }
        ),
        **answers,
        **event_definitions(SPECS, _REF),
    }


def _closed(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _codes(reasons: Iterable[Reason]) -> list[str]:
    return sorted(reason.code for reason in reasons)


def _reference(name: str) -> Schema:
    return {"$ref": _REF.format(name=name)}


_VERDICTS: Final[Schema] = {"application/json": {"schema": _reference("Verdicts")}}
_PROBLEM: Final[Schema] = {"application/problem+json": {"schema": _reference("Problem")}}
_PROTOCOL_ERROR: Final[Schema] = {
    "description": "An error of the protocol: a problem of type `about:blank`, without code.",
    "content": _PROBLEM,
}
