"""A trick that succeeds is said; what each trick must get is in the table."""

import asyncio
import random

from edge.demo.ledger import Ledger
from edge.demo.mischief import HAMMER_EVENTS, Trickster, rampage
from edge.demo.payloads import Visit
from edge.demo.speaker import Speaker
from edge.demo.stream import StreamSpeaker
from edge.demo.wire import Connection, Traffic
from tests.fakes_demo import AgreeableGateway

ON_A_SOCKET = "a good spin, a bad one, somebody else's and a good one in one frame on a socket"


def test_a_gateway_that_takes_everything_is_found_out() -> None:
    told: list[str] = []

    async def scene() -> list[str]:
        async with AgreeableGateway() as gateway:
            line = Connection(gateway.address, Traffic())
            client = Speaker("mallory", "t", line, Ledger())
            rng = random.Random(1)  # noqa: S311  # replayable play, no secret
            visit = Visit("player-mallory", "south", "GB", rng)
            stream = StreamSpeaker(
                "m", "t", gateway.address, client.ledger, Traffic(), rng, told.append
            )
            serving = asyncio.create_task(stream.serve())
            guest = Trickster(visit, client, stream, client, client)
            wrong = await rampage(guest, 0, told.append)
            serving.cancel()
            await asyncio.wait([serving])
            await line.close()
            return wrong

    wrong = asyncio.run(scene())

    assert told == [
        "bytes that are no JSON: 2 body_malformed",
        "four malformed events and a good one in one batch: 5 accepted",
        "the same batch twice: 2 accepted, 2 duplicate",
        f"{ON_A_SOCKET}: 4 accepted",
        "one id for two spins: 2 accepted",
        "a forged token: 2 accepted",
        "yesterday's token: 1 accepted",
        "another player's id: 1 accepted",
        "a client that states its own win: 1 accepted",
        "a card number in a free string: 1 accepted",
        "a spin of an hour ago: 1 accepted",
        f"60 spins at once, patiently: {HAMMER_EVENTS} accepted",
        f"60 spins at once, impatiently: {HAMMER_EVENTS} accepted",
    ]
    right = ("no JSON", "twice", " patiently")
    assert wrong == [line for line in told if not any(words in line for words in right)]
