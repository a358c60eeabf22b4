"""``edge.shell.stream.hub``: each push to those it is for, slow ones apart, all in turn."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import pytest

from edge.shell.forward import Timing
from edge.shell.stream import hub as hub_module
from edge.shell.stream.hub import UNSENT_BYTES_MAX, Hub, HubStatistics
from edge.shell.stream.slices import SEND, SLICE
from origin_client.origin import OriginUnavailable
from tests.fakes import FakeClock
from tests.fakes_push import (
    SESSIONS,
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


def has_got(socket: FakeSocket, count: int) -> bool:
    return len(socket.got) >= count


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
    deaf = FakeSocket(listening("ada"), topics=frozenset({"leaderboards"}))
    barred = FakeSocket(listening("ada", reads_stream=False))
    scene = Scene([ada, bob, deaf, barred])

    async def story() -> None:
        await scene.publish(
            push_value(1, "all"),
            push_value(2, "player:player-ada"),
            push_value(3, f"session:{SESSIONS['bob']}"),
            push_value(4, "brand:north"),
            push_value(5, "brand:south"),
            push_value(6, "player:player-eve"),
            push_value(7, "all", pushtopic="leaderboards"),
            push_value(8, "all", pushtopic="weather"),
        )

    statistics = scene.play(story)

    assert (ada.numbers, bob.numbers) == ([1, 2, 4], [1, 3, 5])
    assert (deaf.numbers, barred.numbers) == ([7], [])
    assert statistics == HubStatistics(NOTHING | {"routed": 6, "unwanted": 2}, 7, 0, 0)


def test_what_is_no_push_costs_its_neighbours_nothing() -> None:
    (ada,) = sockets = crowd(1)
    scene = Scene(sockets)

    async def story() -> None:
        await scene.publish(push_value(1), b"?", b"x" * 40_000, push_value(2))

    statistics = scene.play(story)

    assert ada.numbers == [1, 2]
    assert statistics.received == NOTHING | {"routed": 2, "malformed": 1, "too_large": 1}


def test_a_frame_is_made_once_for_all() -> None:
    sockets = crowd(3)
    scene = Scene(sockets)

    scene.play(lambda: scene.publish(push_value(1)))

    assert len({id(frame) for each in sockets for frame in each.got}) == 1


def test_many_sockets_are_served_in_slices_and_each_in_order() -> None:
    per_slice = SLICE // SEND
    sockets = crowd(5 * per_slice)
    scene = Scene(sockets)
    most = 0

    async def story() -> None:
        nonlocal most
        scene.topic.publish(push_value(1), push_value(2))
        done = 0
        while done < 2 * len(sockets):
            await asyncio.sleep(0)
            before, done = done, sum(len(each.got) for each in sockets)
            most = max(most, done - before)

    statistics = scene.play(story)

    assert all(each.numbers == [1, 2] for each in sockets)
    assert most <= per_slice
    assert statistics.sent == 2 * len(sockets)


def test_who_goes_while_a_push_is_given_out_gets_none_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sockets = crowd(3 * SLICE // SEND)
    scene = Scene(sockets)
    last = sockets[-1]

    async def story() -> None:
        scene.topic.publish(push_value(1))
        await until(lambda: bool(sockets[0].got))
        last.is_open = False
        scene.sockets.remove(last)
        await scene.publish()
        await until(lambda: bool(sockets[-1].got))

    scene.play(story)

    assert last.got == []
    assert caplog.records == []


def test_a_slow_socket_gets_the_latest_of_each_key_once_it_reads() -> None:
    slow, quick = sockets = crowd(2)
    slow.write_buffer_bytes = UNSENT_BYTES_MAX + 1
    scene = Scene(sockets)

    async def story() -> None:
        await scene.publish(*(push_value(n, key="ab"[n % 2]) for n in range(10)))
        await scene.publish(push_value(10, key="c"))
        assert slow.got == []
        slow.write_buffer_bytes = 0
        await until(lambda: len(slow.got) >= 3)

    statistics = scene.play(story)

    assert slow.numbers == [8, 9, 10]
    assert quick.numbers == list(range(11))
    assert (statistics.sent, statistics.conflated, statistics.dropped) == (14, 8, 0)


def test_nothing_new_overtakes_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though there is room again: else an older push would come behind a newer one."""
    monkeypatch.setattr(hub_module, "LOOK_SOON_S", 3600)
    (slow,) = sockets = crowd(1)
    slow.write_buffer_bytes = UNSENT_BYTES_MAX + 1
    scene = Scene(sockets)

    async def story() -> None:
        await scene.publish(push_value(1, key="a"), push_value(2, key="b"))
        slow.write_buffer_bytes = 0
        await scene.publish(push_value(3, key="c"), push_value(4, key="a"))

    statistics = scene.play(story)

    assert slow.got == []
    assert statistics.conflated == 1


def test_a_key_counts_within_its_topic() -> None:
    slow = FakeSocket(listening("ada"), topics=frozenset({"jackpots", "weather"}))
    slow.write_buffer_bytes = UNSENT_BYTES_MAX + 1
    scene = Scene([slow])

    async def story() -> None:
        await scene.publish(push_value(1, key="a"), push_value(2, key="a", pushtopic="weather"))
        slow.write_buffer_bytes = 0
        await until(partial(has_got, slow, 2))

    statistics = scene.play(story)

    assert slow.numbers == [1, 2]
    assert statistics.conflated == 0


def test_a_burst_larger_than_the_bound_is_delivered_whole_to_who_reads() -> None:
    (ada,) = sockets = crowd(1)
    ada.reads = False  # within a turn nobody does
    scene = Scene(sockets)
    count = 4 * UNSENT_BYTES_MAX // 20_000

    async def story() -> None:
        await scene.publish(
            *(push_value(n, data={"number": n, "x": "x" * 20_000}) for n in range(count))
        )
        while len(ada.got) < count:
            ada.write_buffer_bytes = 0
            await asyncio.sleep(0.001)

    statistics = scene.play(story)

    assert ada.numbers == list(range(count))
    assert (statistics.conflated, statistics.dropped) == (0, 0)


def test_a_slow_socket_is_given_no_more_than_it_has_room_for() -> None:
    (slow,) = sockets = crowd(1)
    slow.write_buffer_bytes = UNSENT_BYTES_MAX + 1
    slow.reads = False
    scene = Scene(sockets)
    values = [push_value(n, data={"number": n, "x": "x" * 30_000}) for n in range(9)]

    async def story() -> None:
        await scene.publish(*values)
        for _ in range(3):
            slow.write_buffer_bytes = 0
            wanted = len(slow.got) + 3
            await until(partial(has_got, slow, wanted))
            await asyncio.sleep(2 * hub_module.LOOK_S)
            assert len(slow.got) == wanted
            assert slow.write_buffer_bytes < UNSENT_BYTES_MAX + 31_000

    scene.play(story)

    assert slow.numbers == list(range(9))


def test_a_slow_socket_that_goes_has_what_it_waited_for_counted_as_dropped() -> None:
    (slow,) = sockets = crowd(1)
    slow.write_buffer_bytes = UNSENT_BYTES_MAX + 1
    scene = Scene(sockets)

    async def story() -> None:
        await scene.publish(push_value(1), push_value(2))
        slow.is_open = False
        await until(lambda: bool(scene.hub.statistics().dropped))

    statistics = scene.play(story)

    assert slow.got == []
    assert (statistics.sent, statistics.dropped) == (0, 2)


def test_a_socket_with_a_bug_costs_the_pushes_behind_it_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.shell.stream.slices.RESTART_S", 0.001)
    broken, ada = sockets = crowd(2)
    broken.breaks = ZeroDivisionError()
    scene = Scene(sockets)

    async def story() -> None:
        scene.topic.publish(push_value(1), push_value(2))
        await until(lambda: bool(ada.got))

    scene.play(story)

    assert (broken.numbers, ada.numbers) == ([2], [2])
    assert "ZeroDivisionError" in caplog.text


def test_nothing_is_read_before_somebody_wants_it() -> None:
    topic = ScriptedTopic()
    hub = Hub(topic, FakeSockets([]), timing())

    hub.close()

    assert topic.positions == []
    assert not hub.are_wanted
    assert (hub.health(), hub.statistics().received) == (None, NOTHING)


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
