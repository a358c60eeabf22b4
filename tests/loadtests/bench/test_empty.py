"""It reads to the end before it answers, and claims nothing."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any

from loadtests.bench.empty import application

Message = MutableMapping[str, Any]


def test_the_whole_body_is_read_before_the_answer() -> None:
    pieces: list[Message] = [
        {"type": "http.request", "body": b"[", "more_body": True},
        {"type": "http.request", "body": b"]", "more_body": False},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        assert not sent
        return pieces.pop(0)

    async def send(message: Message) -> None:
        assert not pieces
        sent.append(message)

    asyncio.run(application({"type": "http"}, receive, send))

    start, body = sent
    assert start["status"] == 202
    assert (b"content-length", str(len(body["body"])).encode()) in start["headers"]
    assert json.loads(body["body"])["accepted"] == 0
