"""The operators' port: is it alive, is it ready, what does it count.

A broker that is down, a lane that is full or a dead letter box without room are lines here with
status 200: taking a node out for them would take its ``Retry-After`` away as well.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

OK: Final = "ok"
"""What a probe says when nothing is wrong; anything else names the cause."""


class Readiness(msgspec.Struct, frozen=True):
    """Whether to send requests here.

    Attributes:
        ready: False only without keys, when leaving, or when the spool cannot be written.
        probes: By part: ``ok``, or what is wrong in words for an operator.
    """

    ready: bool
    probes: Mapping[str, str]


def admin(readiness: Callable[[], Readiness], registry: CollectorRegistry) -> Starlette:
    """Return the admin application.

    Args:
        readiness: Asked at each ``GET /readyz``.
        registry: Collected at each ``GET /metrics``.
    """

    async def live(_: Request) -> Response:
        return Response(b'{"live":true}', media_type="application/json")

    async def ready(_: Request) -> Response:
        state = readiness()
        status = 200 if state.ready else 503
        return Response(msgspec.json.encode(state), status, media_type="application/json")

    async def metrics(_: Request) -> Response:
        return Response(
            generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST}
        )

    return Starlette(
        routes=[Route("/livez", live), Route("/readyz", ready), Route("/metrics", metrics)]
    )
