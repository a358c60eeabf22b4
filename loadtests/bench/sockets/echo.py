"""The application that every socket's figure is divided by: sends back what it gets.

It runs under uvicorn with its ``websockets-sansio`` implementation, on uvloop, with the gateway's
settings: the same pings, no compression. It prints its address in the form of ``edge serve``.
"""

import json
import socket
import sys

import uvicorn
from starlette.types import Receive, Scope, Send

from loadtests.bench.empty import BACKLOG, IDLE_S
from loadtests.bench.sockets.frames import SUBPROTOCOL

PING_S = 20.0  # as the gateway's
PONG_S = 10.0  # as the gateway's


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Let everybody in; say again what they say, until they leave."""
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


def main() -> None:
    """Serve on a free loopback port until told to end."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen(BACKLOG)
        sys.stdout.write(json.dumps({"public": f"127.0.0.1:{sock.getsockname()[1]}"}) + "\n")
        sys.stdout.flush()
        config = uvicorn.Config(
            application,
            http="httptools",
            loop="uvloop",
            ws="websockets-sansio",
            ws_per_message_deflate=False,
            ws_ping_interval=PING_S,
            ws_ping_timeout=PONG_S,
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=IDLE_S,
        )
        uvicorn.Server(config).run([sock])


if __name__ == "__main__":
    main()
