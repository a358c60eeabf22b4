"""``edge.shell.stream.delivery``: each push to those it is for, slow ones apart, all in turn."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence, Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

import pytest
from typing_extensions import override

from edge.config import Stream
from edge.core.closing import BUG
from edge.core.laggards import Parcel
from edge.core.push import PUSH_BYTES_MAX
from edge.shell.stream import delivery as delivery_module, slices as slices_module
from edge.shell.stream.delivery import (
    SEND_NS,
    SEND_NS_PER_KIB,
    UNSENT_BYTES_MAX,
    Delivery,
    send_ns,
)
from edge.shell.stream.slices import REST_NS_MIN, SLICE_NS
from tests.fakes import player_token
from tests.fakes_push import (
    SESSIONS,
    TOPIC,
    FakeSocket,
    FakeSockets,
    listening,
    push_parcel,
)
from tests.fakes_talk import FakeWire, Lobby

# Below the suite's own, which a loop that never rests may swallow.
LIMIT_S: Final = 30
SMALL, LARGE = 200, 30_000


async def until(holds: Callable[[], bool]) -> None:
    """Return when *holds* does."""
    while not holds():  # noqa: ASYNC110  # fakes tell nobody
        await asyncio.sleep(0)


def has_got(socket: FakeSocket, count: int) -> bool:
    return len(socket.got) >= count


@dataclass
class Scene:
    """A delivery for some sockets.

    Attributes:
        sockets: The open ones.
    """

    sockets: list[FakeSocket]
    _waiting: list[Parcel] = field(default_factory=list[Parcel])
    _published: int = 0

    def __post_init__(self) -> None:
        self.delivery = Delivery(self._take, FakeSockets(self.sockets))

    def play(self, story: Callable[[], Awaitable[None]]) -> tuple[int, int, int]:
        """Run *story*; return how many frames were sent, conflated and dropped."""
        asyncio.run(asyncio.wait_for(_told(story), LIMIT_S))
        return self.delivery.sent, self.delivery.conflated, self.delivery.dropped

    def begin(self, *parcels: Parcel) -> None:
        """Have *parcels* come."""
        self._waiting.extend(parcels)
        self._published += len(parcels)
        self.delivery.begin()

    async def publish(self, *parcels: Parcel) -> None:
        """Have *parcels* come; return when all that did have gone to who can take them."""
        self.begin(*parcels)
        await until(lambda: self.delivery.routed.total() == self._published)

    def _take(self) -> Sequence[Parcel]:
        taken, self._waiting = self._waiting, []
        return taken


async def _told(story: Callable[[], Awaitable[None]]) -> None:
    await story()


def crowd(count: int) -> list[FakeSocket]:
    return [FakeSocket(listening("ada")) for _ in range(count)]


def lagging(topics: AbstractSet[str] = frozenset({TOPIC}), *, reads: bool = True) -> FakeSocket:
    """One that has no room."""
    unsent_bytes = UNSENT_BYTES_MAX + 1
    return FakeSocket(listening("ada"), topics, write_buffer_bytes=unsent_bytes, reads=reads)


def test_a_push_reaches_those_it_is_for_and_nobody_else() -> None:
    ada, bob = FakeSocket(listening("ada")), FakeSocket(listening("bob", brand="south"))
    deaf = FakeSocket(listening("ada"), topics=frozenset({"leaderboards"}))
    barred = FakeSocket(listening("ada", reads_stream=False))
    scene = Scene([ada, bob, deaf, barred])

    async def story() -> None:
        await scene.publish(
            push_parcel(1, "all"),
            push_parcel(2, "player:player-ada"),
            push_parcel(3, f"session:{SESSIONS['bob']}"),
            push_parcel(4, "brand:north"),
            push_parcel(5, "brand:south"),
            push_parcel(6, "player:player-eve"),
            push_parcel(7, "all", pushtopic="leaderboards"),
            push_parcel(8, "all", pushtopic="weather"),
        )

    figures = scene.play(story)

    assert (ada.numbers, bob.numbers) == ([1, 2, 4], [1, 3, 5])
    assert (deaf.numbers, barred.numbers) == ([7], [])
    assert scene.delivery.routed == {"routed": 6, "unwanted": 2}
    assert figures == (7, 0, 0)


def test_a_frame_is_made_once_for_all() -> None:
    sockets = crowd(3)
    scene = Scene(sockets)

    scene.play(lambda: scene.publish(push_parcel(1)))

    assert len({id(frame) for each in sockets for frame in each.got}) == 1


@dataclass(frozen=True)
class Sent:
    """A frame that a socket was given.

    Attributes:
        at_ns: When.
        cost_ns: What that cost, as the constants say it, worked out anew.
    """

    at_ns: int
    cost_ns: float


Ledger = list[Sent | None]
"""What was sent, and where a turn of the loop ended."""


@dataclass(eq=False)
class WatchedSocket(FakeSocket):
    """One that writes down when it was given what."""

    ledger: Ledger = field(default_factory=Ledger)

    @override
    def push(self, frame: bytes) -> bool:
        cost_ns = SEND_NS + SEND_NS_PER_KIB * len(frame) / 1024
        self.ledger.append(Sent(time.perf_counter_ns(), cost_ns))
        return super().push(frame)


async def watch(ledger: Ledger, count: int) -> list[list[Sent]]:
    """Return what each turn sent that sent something, once it is *count* from now on."""
    ledger.clear()
    while len(ledger) - ledger.count(None) < count:
        ledger.append(None)
        await asyncio.sleep(0)
    turns = itertools.groupby(ledger, key=lambda each: each is None)
    return [[each for each in turn if each is not None] for is_end, turn in turns if not is_end]


@pytest.mark.parametrize(("size", "per_slice"), [(SMALL, 67), (LARGE, 42)])
def test_what_one_turn_sends_is_bounded_by_sends_and_bytes(size: int, per_slice: int) -> None:
    ledger = Ledger()
    sockets = [WatchedSocket(listening("ada"), ledger=ledger) for _ in range(300)]
    scene = Scene([*sockets])
    turns: list[list[Sent]] = []

    async def story() -> None:
        scene.begin(*(push_parcel(n, data={"number": n, "x": "x" * size}) for n in (1, 2)))
        turns.extend(await watch(ledger, 2 * len(sockets)))

    sent, _, _ = scene.play(story)

    assert all(each.numbers == [1, 2] for each in sockets)
    assert max(map(len, turns)) <= per_slice
    assert sent == 2 * len(sockets)


def test_those_who_catch_up_and_those_who_did_not_wait_share_one_budget() -> None:
    """However much there is to do for either: a slice's worth, and then a rest."""
    ledger = Ledger()
    sockets = [WatchedSocket(listening("ada"), ledger=ledger) for _ in range(300)]
    scene = Scene([*sockets])
    held = [push_parcel(n, data={"number": n, "x": "x" * LARGE}) for n in range(3)]
    turns: list[list[Sent]] = []

    async def story() -> None:
        slow = sockets[::2]
        for each in slow:
            each.write_buffer_bytes = UNSENT_BYTES_MAX + 1
        await scene.publish(*held)
        for each in slow:
            each.write_buffer_bytes = 0
        scene.begin(*(push_parcel(n) for n in range(3, 9)))
        turns.extend(await watch(ledger, 3 * len(slow) + 6 * len(sockets)))

    figures = scene.play(story)

    assert all(each.numbers == list(range(9)) for each in sockets)
    assert figures == (9 * 300, 0, 0)
    costs_ns = [sum(each.cost_ns for each in turn) for turn in turns]
    rests_ns = [b[0].at_ns - a[-1].at_ns for a, b in itertools.pairwise(turns)]
    assert max(costs_ns) <= SLICE_NS + send_ns(PUSH_BYTES_MAX)
    assert min(rests_ns) >= REST_NS_MIN  # a lower bound of time: a busy machine only adds to it


def test_the_rest_behind_a_slice_is_longer_than_the_dearest_slice() -> None:
    """So everybody else has more than half of the loop: the largest op's own bytes are 31."""
    assert SLICE_NS + send_ns(PUSH_BYTES_MAX + 64) < REST_NS_MIN


def test_who_goes_while_a_push_is_given_out_gets_none_of_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sockets = crowd(3 * SLICE_NS // SEND_NS)
    scene = Scene(sockets)
    last = sockets[-1]

    async def story() -> None:
        scene.begin(push_parcel(1))
        await until(lambda: bool(sockets[0].got))
        last.is_open = False
        scene.sockets.remove(last)
        await scene.publish()
        assert sockets[-1].got

    scene.play(story)

    assert last.got == []
    assert caplog.records == []


def test_a_slow_socket_gets_the_latest_of_each_key_once_it_reads() -> None:
    slow, quick = sockets = [lagging(), *crowd(1)]
    scene = Scene(sockets)

    async def story() -> None:
        await scene.publish(*(push_parcel(n, key="ab"[n % 2]) for n in range(10)))
        await scene.publish(push_parcel(10, key="c"))
        assert slow.got == []
        slow.write_buffer_bytes = 0
        await until(partial(has_got, slow, 3))

    figures = scene.play(story)

    assert slow.numbers == [8, 9, 10]
    assert quick.numbers == list(range(11))
    assert figures == (14, 8, 0)


def test_nothing_new_overtakes_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though there is room again: else an older push would come behind a newer one."""
    monkeypatch.setattr(delivery_module, "LOOK_SOON_S", 3600)
    slow = lagging()
    scene = Scene([slow])

    async def story() -> None:
        await scene.publish(push_parcel(1, key="a"), push_parcel(2, key="b"))
        slow.write_buffer_bytes = 0
        await scene.publish(push_parcel(3, key="c"), push_parcel(4, key="a"))

    _, conflated, _ = scene.play(story)

    assert slow.got == []
    assert conflated == 1


def test_a_key_counts_within_its_topic() -> None:
    slow = lagging(frozenset({"jackpots", "weather"}))
    scene = Scene([slow])

    async def story() -> None:
        weather = push_parcel(2, key="a", pushtopic="weather")
        await scene.publish(push_parcel(1, key="a"), weather)
        slow.write_buffer_bytes = 0
        await until(partial(has_got, slow, 2))

    _, conflated, _ = scene.play(story)

    assert slow.numbers == [1, 2]
    assert conflated == 0


def test_a_burst_larger_than_the_bound_is_delivered_whole_to_who_reads() -> None:
    (ada,) = sockets = crowd(1)
    ada.reads = False  # within a turn nobody does
    scene = Scene(sockets)
    count = 4 * UNSENT_BYTES_MAX // 20_000

    async def story() -> None:
        scene.begin(
            *(push_parcel(n, data={"number": n, "x": "x" * 20_000}) for n in range(count))
        )
        while len(ada.got) < count:
            ada.write_buffer_bytes = 0
            await asyncio.sleep(0.001)

    _, conflated, dropped = scene.play(story)

    assert ada.numbers == list(range(count))
    assert (conflated, dropped) == (0, 0)


def test_a_slow_socket_is_given_no_more_than_it_has_room_for() -> None:
    slow = lagging(reads=False)
    scene = Scene([slow])
    parcels = [push_parcel(n, data={"number": n, "x": "x" * LARGE}) for n in range(9)]

    async def story() -> None:
        await scene.publish(*parcels)
        for _ in range(3):
            slow.write_buffer_bytes = 0
            wanted = len(slow.got) + 3
            await until(partial(has_got, slow, wanted))
            await asyncio.sleep(2 * delivery_module.LOOK_S)
            assert len(slow.got) == wanted
            assert slow.write_buffer_bytes < UNSENT_BYTES_MAX + 31_000

    scene.play(story)

    assert slow.numbers == list(range(9))


def test_a_slow_socket_that_goes_has_what_it_waited_for_counted_as_dropped() -> None:
    slow = lagging()
    scene = Scene([slow])

    async def story() -> None:
        await scene.publish(push_parcel(1), push_parcel(2))
        slow.is_open = False
        await until(lambda: bool(scene.delivery.dropped))

    assert scene.play(story) == (0, 0, 2)
    assert slow.got == []


def test_who_may_not_read_any_more_gets_nothing_that_waited_for_it() -> None:
    barred, slow = sockets = [lagging(), lagging()]
    scene = Scene(sockets)

    async def story() -> None:
        await scene.publish(push_parcel(1), push_parcel(2))
        barred.principal = listening("ada", reads_stream=False)  # a newer token says so
        for each in sockets:
            each.write_buffer_bytes = 0
        await until(partial(has_got, slow, 2))
        await until(lambda: bool(scene.delivery.dropped))

    assert scene.play(story) == (2, 0, 2)
    assert barred.got == []


def test_who_may_read_from_now_on_gets_what_is_published_then() -> None:
    ada = FakeSocket(listening("ada", reads_stream=False))
    scene = Scene([ada])

    async def story() -> None:
        await scene.publish(push_parcel(1))
        ada.principal = listening("ada")
        await scene.publish(push_parcel(2))

    scene.play(story)

    assert ada.numbers == [2]


def test_a_bug_while_slow_sockets_are_looked_at_costs_no_other_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However often it comes: neither theirs nor what is published behind it."""
    monkeypatch.setattr(slices_module, "RESTART_S", 0.01)
    spoilt, slow = sockets = [lagging(), lagging()]
    scene = Scene(sockets)

    async def story() -> None:
        await scene.publish(push_parcel(1), push_parcel(2))
        spoilt.write_buffer_bytes = cast("int", None)  # a bug: it cannot be looked at
        slow.write_buffer_bytes = 0
        await until(partial(has_got, slow, 2))
        scene.sockets.remove(spoilt)
        await scene.publish(push_parcel(3))

    assert scene.play(story) == (3, 0, 2)
    assert (spoilt.got, slow.numbers) == ([], [1, 2, 3])
    assert caplog.text.count("Traceback") == 1


class PushWire(FakeWire):
    """Reads pushes as they go over the wire."""

    @override
    def send_wire(self, frame: bytes) -> bool:
        return self.send(frame[frame.index(b"{") :])


class BrokenWire(FakeWire):
    """Fails with every push."""

    @override
    def send_wire(self, frame: bytes) -> bool:
        raise ZeroDivisionError


@pytest.mark.parametrize("is_slow", [False, True])
def test_a_bug_at_one_socket_ends_that_socket_and_costs_its_neighbours_nothing(
    *, is_slow: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether a push is for it at once, or it waits before them."""
    wires = BrokenWire(), PushWire(), PushWire()
    lobby = Lobby(settings=Stream(sockets_per_session=len(wires)))
    token = player_token(scope="stream:read")
    waiting = [push_parcel(n, pushtopic="jackpot") for n in (1, 2)]

    def take() -> Sequence[Parcel]:
        taken = waiting.copy()
        waiting.clear()
        return taken

    async def story() -> None:
        delivery = Delivery(take, lobby.registry)
        for wire in wires:
            wire.write_buffer_bytes = UNSENT_BYTES_MAX + 1 if is_slow else 0
            lobby.talk(token).begin(wire)
        delivery.begin()
        await until(lambda: delivery.routed["routed"] == 2)
        for wire in wires:
            wire.write_buffer_bytes = 0
        await until(lambda: delivery.sent == 4)
        await until(lambda: wires[0].closed is not None)
        assert delivery.dropped == (2 if is_slow else 1)

    asyncio.run(asyncio.wait_for(story(), LIMIT_S))

    assert wires[0].closed == BUG
    for wire in wires[1:]:
        got = [told["event"]["data"]["number"] for told in wire.said if told["op"] == "push"]
        assert (got, wire.closed) == ([1, 2], None)
    assert caplog.text.count("Traceback") == 1
