"""The reference client and a real gateway: each promise of the socket, as a game would live it."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

import pytest
from typing_extensions import override

from edge.demo.ledger import Event
from edge.demo.payloads import Visit
from loadtests.client import Address, Client, Listener, OverError
from loadtests.ops import Welcome, read
from loadtests.outbox import Fate, Said
from loadtests.session import Rules, Session, Told
from tests.faults.proxy import Proxy
from tests.system.conftest import Build
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

QUICK = Rules(knock_first_s=0.05, knock_most_s=0.2, retry_first_s=0.01, retry_most_s=0.1)
LEEWAY_S = 30


@dataclass
class Diary(Listener):
    """What was told.

    Attributes:
        fates: By id.
        numbered: Events in the order of their numbers.
        known: Whether the session was, welcome by welcome.
    """

    fates: dict[str, Fate] = field(default_factory=dict[str, Fate])
    numbered: list[Said] = field(default_factory=list[Said])
    known: list[bool] = field(default_factory=list[bool])

    @override
    def said(self, fresh: Sequence[Said]) -> None:
        self.numbered += fresh

    @override
    def told(self, fate: Fate) -> None:
        assert fate.id not in self.fates
        self.fates[fate.id] = fate

    def outcomes(self) -> Counter[str]:
        """How many events ended how."""
        return Counter(fate.code or str(fate.outcome) for fate in self.fates.values())


class Greeted(Session):
    """A session whose diary has its welcomes, too."""

    def __init__(self, rules: Rules, diary: Diary) -> None:
        super().__init__(Random(), rules)  # noqa: S311  # spreads retries, no secret
        self._diary = diary

    @override
    def hear(self, text: str | bytes, now_s: float) -> list[Told]:
        if isinstance(word := read(text), Welcome):
            self._diary.known.append(word.known)
        return super().hear(text, now_s)


@dataclass
class Purse:
    """Tokens of a player; one after the other, then valid ones.

    Attributes:
        first: Handed out before any other.
    """

    here: World
    visit: Visit
    first: list[str] = field(default_factory=list[str])

    async def token(self, *, is_spent: bool) -> str:
        """Return one."""
        del is_spent
        return self.first.pop(0) if self.first else self.here.issuer.player(self.visit)


def spins(visit: Visit, count: int, stake_minor: int = 100) -> Iterator[Event]:
    """Say as many, as an application hands them over; below 1 the stake is refused."""
    for _ in range(count):
        spin = TABLE.spin(visit, stake_minor)
        del spin["session"], spin["seq"]
        yield spin


def play(
    here: World,
    visit: Visit,
    story: Callable[[Client, Diary], Awaitable[None]],
    *tokens: str,
    through: Proxy | None = None,
    rules: Rules = QUICK,
) -> Diary:
    """Have *story* played; everything it says has its fate in the end."""
    host, port = through.address if through is not None else here.gateway.public

    async def live() -> Diary:
        diary, purse = Diary(), Purse(here, visit, [*tokens])
        address = Address(f"ws://{host}:{port}", k=visit.subject)
        session = Greeted(rules, diary)
        async with Client(address, purse, diary, session=session) as client:
            await story(client, diary)
            await client.settled()
        assert client.session.outbox.contradictions == 0
        return diary

    return asyncio.run(live())


async def say(client: Client, events: Iterator[Event]) -> None:
    """Say them all, as fast as may be."""
    for event in events:
        await client.say(event)


def names_at_origin(here: World, visit: Visit, diary: Diary) -> list[str]:
    """Wait until what was accepted is there; return its ids in the order of the origin."""
    accepted = {name for name, fate in diary.fates.items() if fate.outcome == "accepted"}

    def theirs() -> list[str]:
        forwarded = here.forwarded()
        return [str(each["id"]) for each in forwarded if each["subject"] == visit.subject]

    here.wait(lambda: accepted <= {*theirs()}, "forwarded")
    return theirs()


def test_more_events_than_a_window_of_numbers_are_accepted_in_order(build: Build) -> None:
    here = build({"limits.player": {"quota": 100_000, "window_s": 1, "burst": 100_000}})
    here.gateway.start()
    ada = here.visit()

    async def story(client: Client, diary: Diary) -> None:
        del diary
        await say(client, spins(ada, 3_000))

    diary = play(here, ada, story)

    assert diary.outcomes() == {"accepted": 3_000}
    assert names_at_origin(here, ada, diary) == [said.id for said in diary.numbered]


def test_what_is_too_much_for_now_is_accepted_later(build: Build) -> None:
    here = build({"limits.player": {"quota": 40, "window_s": 1, "burst": 10}})
    here.gateway.start()
    ada = here.visit()

    async def story(client: Client, diary: Diary) -> None:
        del diary
        await say(client, spins(ada, 50))

    diary = play(here, ada, story)

    assert diary.outcomes() == {"accepted": 50}
    assert sorted(names_at_origin(here, ada, diary)) == sorted(diary.fates)


def test_a_bad_event_costs_its_neighbours_nothing(door: World, ada: Visit) -> None:

    async def story(client: Client, diary: Diary) -> None:
        del diary
        for stake_minor in (100, -1, 100):
            await say(client, spins(ada, 1, stake_minor))

    diary = play(door, ada, story)

    assert diary.outcomes() == {"accepted": 2, "schema_violation": 1}
    assert len(names_at_origin(door, ada, diary)) == 2


def test_a_verdict_that_was_never_heard_is_told_on_the_next_socket(
    door: World, ada: Visit
) -> None:

    async def story(client: Client, diary: Diary) -> None:
        del diary
        await say(client, spins(ada, 3))
        await client.settled()
        proxy.cut_before_answer()
        for stake_minor in (100, -1, 100):
            await say(client, spins(ada, 1, stake_minor))
        await client.settled()
        await say(client, spins(ada, 3))

    with Proxy(door.gateway.public) as proxy:
        diary = play(door, ada, story, through=proxy)

        assert proxy.cuts == 1
    assert diary.outcomes() == {"accepted": 8, "schema_violation": 1}
    assert names_at_origin(door, ada, diary) == [
        said.id for said in diary.numbered if diary.fates[said.id].outcome == "accepted"
    ]


def test_a_network_that_swallows_everything_is_left_for_a_better_one(
    door: World, ada: Visit
) -> None:

    async def story(client: Client, diary: Diary) -> None:
        await say(client, spins(ada, 3))
        await client.settled()
        proxy.down.is_held = True
        await say(client, spins(ada, 3))
        while client.session.is_open:  # noqa: ASYNC110  # the client notices by itself
            await asyncio.sleep(0.05)
        assert len(diary.fates) == 3
        proxy.heal()

    patient = Rules(verdict_s=0.5, knock_first_s=0.05, knock_most_s=0.2)
    with Proxy(door.gateway.public) as proxy:
        diary = play(door, ada, story, through=proxy, rules=patient)

    assert diary.outcomes() == {"accepted": 6}
    assert names_at_origin(door, ada, diary) == [said.id for said in diary.numbered]


def test_a_token_is_renewed_and_the_socket_outlives_the_old_one(
    door: World, ada: Visit
) -> None:
    ends_s = time.time_ns() // 10**9 - LEEWAY_S + 3
    nearly_over = door.issuer.player(ada, iat=ends_s - 60, exp=ends_s)
    sockets: list[int] = []

    async def story(client: Client, diary: Diary) -> None:
        del diary
        await asyncio.sleep(4)  # without the renewal, 4401 comes after three seconds
        await say(client, spins(ada, 1))
        await client.settled()
        sockets.append(client.session.sockets)

    diary = play(door, ada, story, nearly_over)

    assert sockets == [1]
    assert diary.outcomes() == {"accepted": 1}


def test_a_node_that_leaves_is_left_and_the_session_goes_on_at_its_next_life(
    here: World,
) -> None:
    ada = here.visit()

    async def story(client: Client, diary: Diary) -> None:
        del diary
        talking = asyncio.create_task(say(client, spins(ada, 200)))
        await asyncio.sleep(0.05)
        assert await asyncio.to_thread(here.gateway.stop) == 0
        await asyncio.to_thread(here.gateway.start)
        await talking

    diary = play(here, ada, story)

    assert diary.outcomes() == {"accepted": 200}
    assert names_at_origin(here, ada, diary) == [said.id for said in diary.numbered]


def go_elsewhere(here: World) -> None:
    """Have the same address lead to a node that has met nobody."""
    assert here.gateway.stop() == 0
    here.spool.rename(here.room / "spool of another node")
    here.gateway.start()


def test_a_session_goes_on_at_a_node_that_does_not_know_it(here: World) -> None:
    """Planted: numbers begin anew with it; what had its verdict goes again; nothing does."""
    ada = here.visit()

    async def story(client: Client, diary: Diary) -> None:
        await say(client, spins(ada, 3))
        await client.settled()
        proxy.up.is_held = True
        await say(client, spins(ada, 3))
        while len(diary.numbered) < 6:  # noqa: ASYNC110  # the client sends by itself
            await asyncio.sleep(0.01)
        proxy.refuse()
        await asyncio.to_thread(go_elsewhere, here)
        assert len(diary.fates) == 3
        proxy.reset()
        proxy.heal()
        await client.settled()
        await say(client, spins(ada, 3))

    with Proxy(here.gateway.public) as proxy:
        diary = play(here, ada, story, through=proxy)

    assert diary.known == [False, False]
    assert diary.outcomes() == {"accepted": 9}
    assert [said.seq for said in diary.numbered] == [*range(1, 10)]
    assert names_at_origin(here, ada, diary) == [said.id for said in diary.numbered]


def test_whoever_is_replaced_does_not_come_back(
    door: World, ada: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("loadtests.reconnect.LATE_S", 0)  # nothing of theirs may come late

    async def story(client: Client, diary: Diary) -> None:
        await say(client, spins(ada, 1))
        await client.settled()
        host, port = door.gateway.public
        address = Address(f"ws://{host}:{port}", k=ada.subject)
        async with Client(address, Purse(door, ada), diary, rules=QUICK) as other:
            await say(other, spins(ada, 1))
            await other.settled()
            await say(client, spins(ada, 1))
            await client.settled()

    with pytest.raises(OverError, match="4409"):
        play(door, ada, story)
