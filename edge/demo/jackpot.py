"""A jackpot falls: one push, published at the origin, and watched until its players have it.

In: the evening's stage, and everybody's sockets. Out: what did not come out, in words. It is
published as anybody can: by ``edge origin put``, a program of its own.
"""

import asyncio
import contextlib
import json
import random
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from edge.demo import payloads
from edge.demo.ledger import Event
from edge.demo.stage import Stage
from edge.demo.stream import TOPIC, StreamSpeaker

BRAND: Final = "west"
# Of the evening: everybody is back from the kill by then.
FALLS_AFTER: Final = 0.7
# Everybody is back a second after the gateway, and a push arrives within a tenth of one; twenty
# are an outage.
PATIENCE_S: Final = 20.0
# It starts an interpreter, and writes one line.
PUBLISH_TIMEOUT_S: Final = 30.0


def jackpot(seed: int) -> Event:
    """Write what the jackpot server tells the players of one brand."""
    rng = random.Random(f"{seed}:jackpot")  # noqa: S311  # replayable play, no secret
    won = {
        "jackpot_id": "jp-grand",
        "amount": payloads.money(rng.randrange(100_000_000, 999_999_999)),
    }
    return {
        "specversion": "1.0",
        "id": payloads.some_uuid(rng),
        "source": "//jackpots.evening.example",
        "type": "jackpot.pot.won",
        "pushto": f"brand:{BRAND}",
        "pushtopic": TOPIC,
        "pushkey": "jp-grand",
        "data": won,
    }


async def fall(stage: Stage, winners: Sequence[StreamSpeaker]) -> None:
    """Publish one for *winners* once they are back from the kill, and wait until it is there."""
    await asyncio.sleep(stage.seconds * FALLS_AFTER)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            # What is published while a client is away is not repeated for it.
            for winner in winners:
                await winner.returned.wait()
    push = jackpot(stage.seed)
    stage.narrator.tell(f"a jackpot falls: edge origin put, for {push['pushto']}")
    await asyncio.to_thread(publish, stage.room / "origin", push)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            for winner in winners:
                await winner.pushed.wait()
    names = ", ".join(each.name for each in winners if each.pushes) or "nobody"
    stage.narrator.tell(f"{push['type']}, {json.dumps(push['data'])}: at {names}")


def publish(origin: Path, push: Event) -> None:
    """Have *push* published by a program of its own; what it says goes where ours goes."""
    command = ("origin", "put", f"log:{origin}", "--topic", "edge.push.v1")
    subprocess.run(  # noqa: S603  # our own interpreter and package
        [sys.executable, "-m", "edge", *command],
        input=json.dumps(push).encode(),
        capture_output=True,
        check=False,  # whether it arrived is what counts
        timeout=PUBLISH_TIMEOUT_S,
    )


def judge(
    seed: int, winners: Sequence[StreamSpeaker], others: Sequence[StreamSpeaker]
) -> Iterator[str]:
    """Name who was told something else than he should, once everybody has left."""
    push = jackpot(seed)
    for each in (*winners, *others):
        due = [push] if each in winners else []
        if each.pushes != due:
            yield f"{each.name}: {len(each.pushes)} pushes arrived, {len(due)} were due"
        if not each.returned.is_set():
            yield f"{each.name}: never came back on a socket after the kill"
