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
from edge.core.contract import (
    API_VERSION,
    BEARER_TOKEN,
    EVENT_REASONS,
    EXAMPLE,
    HANDSHAKE_REASONS,
    LICENSE,
    NODE_KEY,
    REF,
    REQUEST_REASONS,
    SUBPROTOCOLS,
    TOPICS,
    codes,
    event_schemas,
    reference,
)
from edge.core.decode import EVENT_BYTES_MAX, TELEMETRY_BYTES_MAX
from edge.core.lane import Authority, Lane
from edge.core.ops import BATCH_EVENTS_MAX, SUBPROTOCOL
from edge.core.reject import Reason
from edge.core.schema import DIALECT, Schema, definition_name, definitions_of, event_schema

_REFUSING: Final = sorted({reason.status for reason in Reason} - {Reason.LANE_SHED.status})
"""Statuses of answers in which nothing is good."""

_TOO_MANY: Final = {HTTPStatus.TOO_MANY_REQUESTS.value}
"""What too many sockets of one address or player are answered with; of the node, its own."""

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
            "license": {"name": LICENSE, "identifier": LICENSE},
        },
        "paths": {
            "/v1/events": {"post": _post_events()},
            "/v1/stream": {"get": _get_stream()},
            "/v1/time": {
                "get": _get("readTime", "Read the gateway's clock, unix ms.", reference("Time"))
            },
            "/v1/catalogue": {
                "get": _get("readCatalogue", "List the event types.", reference("Catalogue"))
            },
            "/openapi.json": {
                "get": _get("readOpenapi", "Read this document.", {"type": "object"})
            },
            "/asyncapi.json": {
                "get": _get(
                    "readAsyncapi", "Read what is said on a socket.", {"type": "object"}
                )
            },
        },
        "components": {
            "schemas": _schemas(),
            "headers": _HEADERS,
            "securitySchemes": {
                "token": BEARER_TOKEN,
                "subprotocol": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Sec-WebSocket-Protocol",
                    "description": SUBPROTOCOLS["description"],
                },
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
        "parameters": [{"name": "k", "in": "query", "schema": NODE_KEY}],
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


def _get_stream() -> Schema:
    statuses = {reason.status for reason in HANDSHAKE_REASONS} | _TOO_MANY
    return {
        "operationId": "openStream",
        "summary": "Open a socket; /asyncapi.json tells what is said there.",
        "security": [{"token": []}, {"subprotocol": []}],
        "parameters": [
            {"name": "k", "in": "query", "schema": NODE_KEY},
            {"name": "topics", "in": "query", "schema": TOPICS},
        ],
        "responses": {
            "101": {
                "description": f"A socket that speaks `{SUBPROTOCOL}`.",
                "headers": _headers(HTTPStatus.SWITCHING_PROTOCOLS),
            },
            **{str(status): _denial(status) for status in sorted(statuses)},
            "default": _PROTOCOL_ERROR,
        },
    }


def _denial(status: int) -> Schema:
    reasons = [reason for reason in HANDSHAKE_REASONS if reason.status == status]
    if status in _TOO_MANY:
        reasons.append(Reason.TOO_MANY_CONNECTIONS)
    return {
        "description": f"{HTTPStatus(status).phrase}. The connection ends: {_listed(reasons)}.",
        "headers": _headers(status),
        "content": _PROBLEM,
    }


def _bodies() -> Schema:
    one, many = reference("Event"), reference("Batch")
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
        found = [reason for reason in reasons if reason.status == status]
        if found:
            content |= document
            causes.append(f"{who}: {_listed(found)}.")
    return {
        "description": " ".join([f"{HTTPStatus(status).phrase}.", *causes]),
        "headers": _headers(status),
        "content": content,
    }


def _listed(reasons: Iterable[Reason]) -> str:
    return ", ".join(f"`{code}`" for code in codes(reasons))


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
    answers = definitions_of([Verdicts, Problem], REF)
    answers["Refused"]["properties"]["code"]["enum"] = codes(EVENT_REASONS)
    answers["Problem"]["properties"]["code"]["enum"] = codes(
        REQUEST_REASONS | HANDSHAKE_REASONS
    )
    events = event_schemas()
    events["Event"]["discriminator"] = {
        "propertyName": "type",
        "mapping": {type_: REF.format(name=definition_name(type_)) for type_ in SPECS},
    }
    return {
        "Batch": {
            "type": "array",
            "items": reference("Event"),
            "maxItems": BATCH_EVENTS_MAX,
        },
        "Time": _closed({"unix_ms": {"type": "integer"}}),
        "Catalogue": _closed({"types": {"type": "array", "items": reference("CatalogueRow")}}),
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
        **events,
    }


def _closed(properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


_VERDICTS: Final[Schema] = {"application/json": {"schema": reference("Verdicts")}}
_PROBLEM: Final[Schema] = {"application/problem+json": {"schema": reference("Problem")}}
_PROTOCOL_ERROR: Final[Schema] = {
    "description": "An error of the protocol: a problem of type `about:blank`, without code.",
    "content": _PROBLEM,
}
