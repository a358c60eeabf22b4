"""The application that every figure is divided by: reads the whole body, answers 202.

It runs under what the gateway runs under, uvicorn with httptools and uvloop and the same
settings, so what is left of the difference is the gateway's. It prints its address in the form
of ``edge serve``. Its answer has the length of a verdict document and says the truth: nothing
was accepted.
"""

import json
import socket
import sys
from collections.abc import Mapping
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

BACKLOG: Final = 2048  # as the gateway's
IDLE_S: Final = 15  # as the gateway's

_BODY: Final = b'{"accepted":0,"duplicate":0,"refused":[],"retry_after_ms":null}'
_HEADERS: Final = [
    (b"content-type", b"application/json"),
    (b"content-length", str(len(_BODY)).encode()),
]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Read to the end, say 202."""
    del scope
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    await send({"type": "http.response.start", "status": 202, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


def serve(application: ASGIApp, uvicorn_options: Mapping[str, Any]) -> None:
    """Serve *application* on a free loopback port, as the gateway would, until told to end.

    Args:
        application: What runs.
        uvicorn_options: Of its WebSockets; the rest is as the gateway's.
    """
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(BACKLOG)
        sys.stdout.write(json.dumps({"public": f"127.0.0.1:{sock.getsockname()[1]}"}) + "\n")
        sys.stdout.flush()
        config = uvicorn.Config(
            application,
            http="httptools",
            loop="uvloop",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=IDLE_S,
            **uvicorn_options,
        )
        uvicorn.Server(config).run([sock])


if __name__ == "__main__":
    serve(application, {"ws": "none"})
