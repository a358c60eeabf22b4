"""The public port: what every request meets first, and the routes behind it.

The hot route is a plain ASGI object and is looked up by hand; Starlette carries the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from edge.core.answer import Problem, problem, protocol_problem
from edge.core.instant import NS_PER_MS
from edge.core.limit import Quotas
from edge.core.reject import Reason, Reject
from edge.shell.answers import new_instance, send_protocol_error, send_reject
from edge.shell.clock import Clock
from edge.shell.head import ProtocolError, address_of, refuse_token_in_query
from edge.shell.http import Refusals
from edge.shell.meters import Meters

EVENTS_PATH: Final = "/v1/events"
STREAM_PATH: Final = "/v1/stream"

_WORDS: Final = {
    HTTPStatus.NOT_FOUND: "There is nothing here; /openapi.json lists what there is.",
    HTTPStatus.METHOD_NOT_ALLOWED: "Use a method that the Allow header lists.",
}


@dataclass(frozen=True, slots=True)
class Front:
    """Everything that holds for all public routes.

    Attributes:
        ingest: ``POST /v1/events``.
        stream: ``GET /v1/stream``.
        pages: Every other route, and 404 and 405.
        quotas: Whose ``address`` quota each request costs one of.
        clock: Read once per request here.
        meters: Counts requests that come no further.
        refusals: Told of them.
    """

    ingest: ASGIApp
    stream: ASGIApp
    pages: ASGIApp
    quotas: Quotas
    clock: Clock
    meters: Meters
    refusals: Refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the request to its route, or away."""
        try:
            refuse_token_in_query(scope["query_string"])
            self.quotas.charge_address(address_of(scope), self.clock.now())
        except ProtocolError as error:
            self.meters.requests_refused[f"http_{error.status.value}"] += 1
            await send_protocol_error(send, error, new_instance())
        except Reject as reject:
            self.meters.requests_refused[reject.reason.code] += 1
            self.refusals.of_request(reject, None)
            await send_reject(send, reject, new_instance())
        else:
            await self._route(scope)(scope, receive, send)

    def _route(self, scope: Scope) -> ASGIApp:
        path, method = scope["path"], scope["method"]
        if path == EVENTS_PATH and method == "POST":
            return self.ingest
        return self.stream if path == STREAM_PATH and method == "GET" else self.pages


def pages(
    ingest: ASGIApp,
    stream: ASGIApp,
    clock: Clock,
    documents: Mapping[str, bytes],
    meters: Meters,
) -> Starlette:
    """Return the routes that are not hot.

    Args:
        ingest: Named here only so that its path answers 405 with ``Allow``.
        stream: As *ingest*.
        clock: For ``GET /v1/time``.
        documents: JSON bodies by path, made once at start.
        meters: Counts the bugs met here.
    """

    async def tell_time(_: Request) -> Response:
        return _json({"unix_ms": clock.now().unix_ns // NS_PER_MS})

    async def answer_bug(_: Request, __: Exception) -> Response:
        meters.requests_refused[Reason.INTERNAL_ERROR.code] += 1
        document = problem(Reason.INTERNAL_ERROR, new_instance())
        return _problem(document, {"connection": "close"})

    socket = Route(STREAM_PATH, stream, methods=["GET"])
    socket.methods = {"GET"}  # HEAD would ask for a handshake without one
    app = Starlette(
        routes=[
            Route(EVENTS_PATH, ingest, methods=["POST"]),
            socket,
            Route("/v1/time", tell_time),
            *[
                Route(path, _document(body), methods=["GET"])
                for path, body in documents.items()
            ],
        ],
        exception_handlers={HTTPException: answer_http_exception, Exception: answer_bug},
    )
    app.router.redirect_slashes = False  # a path is right or wrong: threats.md row 64
    return app


async def answer_http_exception(_: Request, error: Exception) -> Response:
    """Answer what Starlette's router raises as a problem document with constant words."""
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    document = protocol_problem(status, _WORDS[status], new_instance())
    return _problem(document, error.headers)


def _document(body: bytes) -> ASGIApp:
    return Response(body, media_type="application/json")


def _json(body: object) -> Response:
    return Response(msgspec.json.encode(body), media_type="application/json")


def _problem(document: Problem, headers: Mapping[str, str] | None = None) -> Response:
    return Response(
        msgspec.json.encode(document),
        status_code=document.status,
        headers=headers,
        media_type="application/problem+json",
    )
