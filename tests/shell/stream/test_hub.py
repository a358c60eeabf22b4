"""``edge.shell.stream.hub``: what the origin publishes is read once wanted, and reaches sockets."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import pytest

from edge.shell.forward import Timing
from edge.shell.stream import hub as hub_module
from edge.shell.stream.hub import Hub, HubStatistics
from origin_client.origin import OriginUnavailable
from tests.fakes import FakeClock
from tests.fakes_push import (
    FakeSocket,
    FakeSockets,
    LiveTopic,
    ScriptedTopic,
    listening,
    push_value,
)

# Below the suite's own, which a loop that never rests may swallow.
LIMIT_S: Final = 30
NOTHING = {"routed": 0, "unwanted": 0, "superseded": 0, "malformed": 0, "too_large": 0}


async def until(holds: Callable[[], bool]) -> None:
    """Return when *holds* does."""
    while not holds():  # noqa: ASYNC110  # fakes tell nobody
        await asyncio.sleep(0)


def timing() -> Timing:
    return Timing(FakeClock(), random.Random(1))  # noqa: S311  # replayable, no secret


@dataclass
class Scene:
    """A hub that reads a live topic for some sockets.

    Attributes:
        sockets: The open ones.
        topic: Where pushes are published.
    """

    sockets: list[FakeSocket]
    topic: LiveTopic = field(default_factory=LiveTopic)

    def __post_init__(self) -> None:
        self.hub = Hub(self.topic, FakeSockets(self.sockets), timing())

    def play(self, story: Callable[[], Awaitable[None]]) -> HubStatistics:
        """Run *story* once the hub reads; return what became of its pushes."""

        async def told() -> None:
            await self.hub.want()
            try:
                await asyncio.wait_for(story(), LIMIT_S)
            finally:
                await asyncio.to_thread(self.hub.close)

        asyncio.run(told())
        return self.hub.statistics()

    async def publish(self, *values: bytes) -> None:
        """Publish; return when the hub is done with all of it."""
        self.topic.publish(*values)
        self._published += len(values)
        await until(lambda: sum(self.hub.statistics().received.values()) >= self._published)

    _published: int = 0


def crowd(count: int) -> list[FakeSocket]:
    return [FakeSocket(listening("ada")) for _ in range(count)]


def test_a_push_reaches_those_it_is_for_and_nobody_else() -> None:
    ada, bob = FakeSocket(listening("ada")), FakeSocket(listening("bob", brand="south"))
    scene = Scene([ada, bob])

    async def story() -> None:
        await scene.publish(
            push_value(1, "all"),
            push_value(2, "player:player-ada"),
            push_value(3, "brand:south"),
            push_value(4, "player:player-eve"),
        )

    statistics = scene.play(story)

    assert (ada.numbers, bob.numbers) == ([1, 2], [1, 3])
    assert statistics == HubStatistics(NOTHING | {"routed": 3, "unwanted": 1}, 4, 0, 0)


def test_what_is_no_push_costs_its_neighbours_nothing() -> None:
    (ada,) = sockets = crowd(1)
    scene = Scene(sockets)

    async def story() -> None:
        await scene.publish(push_value(1), b"?", b"x" * 40_000, push_value(2))

    statistics = scene.play(story)

    assert ada.numbers == [1, 2]
    assert statistics.received == NOTHING | {"routed": 2, "malformed": 1, "too_large": 1}


def test_nothing_is_read_before_somebody_wants_it() -> None:
    topic = ScriptedTopic()
    hub = Hub(topic, FakeSockets([]), timing())

    hub.close()

    assert topic.positions == []
    assert not hub.are_wanted
    assert (hub.health(), hub.statistics().received) == (None, NOTHING)


def test_whoever_wants_pushes_later_has_them_read_and_waits_for_nothing() -> None:
    """A newer token may allow it."""
    (ada,) = sockets = crowd(1)
    scene = Scene(sockets)

    async def story() -> None:
        scene.hub.begin()
        scene.hub.begin()
        assert scene.hub.are_wanted
        await scene.publish(push_value(1))
        await asyncio.to_thread(scene.hub.close)

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))

    assert ada.numbers == [1]
    assert len(scene.topic.positions) == 1


def test_an_origin_that_cannot_be_read_keeps_nobody_waiting() -> None:
    hub = Hub(None, FakeSockets([]), timing())

    asyncio.run(asyncio.wait_for(hub.want(), LIMIT_S))
    hub.close()

    assert hub.health() is None
    assert hub.statistics().received == NOTHING


def test_an_origin_that_is_away_keeps_the_first_waiting_a_moment_and_then_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hub_module, "STAND_S", 0.05)
    topic = ScriptedTopic([OriginUnavailable("away")] * 1000)
    hub = Hub(topic, FakeSockets([]), timing())

    async def story() -> None:
        first = asyncio.create_task(hub.want())
        second = asyncio.create_task(hub.want())
        await asyncio.sleep(0)
        assert not first.done()
        await asyncio.gather(first, second)
        await hub.want()
        assert (hub.are_wanted, hub.health()) == (True, "away")
        await asyncio.to_thread(hub.close)

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))
