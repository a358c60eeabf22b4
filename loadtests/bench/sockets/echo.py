"""The application that every socket's figure is divided by: sends back what it gets.

It runs under uvicorn with its ``websockets-sansio`` implementation, on uvloop, with the gateway's
settings: the same pings, no compression. It prints its address in the form of ``edge serve``.
"""

from typing import Final

from starlette.types import Receive, Scope, Send

from loadtests.bench.empty import serve
from loadtests.bench.sockets.frames import SUBPROTOCOL

SOCKETS: Final = {
    "ws": "websockets-sansio",
    "ws_per_message_deflate": False,
    "ws_ping_interval": 20.0,  # as the gateway's
    "ws_ping_timeout": 10.0,  # as the gateway's
}
"""What uvicorn is told of them."""


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Let everybody in; say again what they say, until they leave."""
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})


if __name__ == "__main__":
    serve(application, SOCKETS)
