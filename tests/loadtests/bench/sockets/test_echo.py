"""It lets everybody in and says again what they say."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

from loadtests.bench.sockets.echo import application

Message = MutableMapping[str, Any]


def test_each_message_comes_back_until_the_client_leaves() -> None:
    script: list[Message] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "one"},
        {"type": "websocket.receive", "text": "two"},
        {"type": "websocket.disconnect", "code": 1005},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return script.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(application({"type": "websocket"}, receive, send))

    assert script == []
    assert sent == [
        {"type": "websocket.accept", "subprotocol": "edge.v1.json"},
        {"type": "websocket.send", "text": "one"},
        {"type": "websocket.send", "text": "two"},
    ]
