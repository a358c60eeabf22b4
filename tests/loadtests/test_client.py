"""The shell does what the session says: over real sockets, through refusals, cuts and silence."""

import asyncio
import json
import socket
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
from typing_extensions import override

from loadtests.client import Address, Client, Listener, OverError
from loadtests.outbox import Fate, Outbox, Said
from loadtests.reconnect import Loss
from loadtests.session import Rules, Session
from tests.fakes_replay import Longest
from tests.fakes_stream import FakeGateway, event
from tests.fakes_stream_server import Denied, StreamServer
from tests.kafka.process import free_ports
from tests.loadtests.test_outbox import outbox

QUICK: Final = {
    "knock_first_s": 0.01,
    "knock_most_s": 0.05,
    "retry_first_s": 0.01,
    "retry_most_s": 0.05,
}


@dataclass
class Purse:
    """Tokens ``t1``, ``t2``, …, another one whenever the last is spent.

    Attributes:
        asked: What was asked for: whether the last one was spent.
        answers: In place of tokens, the next times; an error is raised.
    """

    asked: list[bool] = field(default_factory=list[bool])
    answers: deque[OSError | None] = field(default_factory=deque["OSError | None"])
    number: int = 1

    async def token(self, *, is_spent: bool) -> str | None:
        """Return the one that counts now."""
        self.asked.append(is_spent)
        self.number += is_spent
        if not self.answers:
            return f"t{self.number}"
        if (answer := self.answers.popleft()) is not None:
            raise answer
        return None


@dataclass
class Diary(Listener):
    """Writes down everything, in order."""

    lines: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])
    has_push: asyncio.Event = field(default_factory=asyncio.Event)

    @override
    def said(self, fresh: Sequence[Said]) -> None:
        self.lines += [("said", each.id) for each in fresh]

    @override
    def told(self, fate: Fate) -> None:
        self.lines.append((str(fate.outcome), fate.id))

    @override
    def pushed(self, event: Mapping[str, Any]) -> None:
        self.lines.append(("pushed", event))
        self.has_push.set()


@dataclass
class Stage:
    """A client before a server."""

    server: StreamServer
    client: Client
    purse: Purse
    diary: Diary

    async def say(self, count: int, kind: str = "fine") -> None:
        """Say so many events, and wait for their fates."""
        for number in range(count):
            await self.client.say(event(number, kind))
        await self.client.settled()


def play(
    story: Callable[[Stage], Awaitable[None]],
    server: StreamServer | None = None,
    box: Outbox | None = None,
    purse: Purse | None = None,
    **rules: float,
) -> Stage:
    """Play *story* with a client that is quick to come back."""
    server = server or StreamServer()

    async def play() -> Stage:
        diary, tokens = Diary(), purse or Purse()
        async with server.open():
            session = Session(Longest(), Rules(**(QUICK | rules)), box)
            address = Address(server.url, k="player 7", topics=["a", "b"])
            async with Client(address, tokens, diary, session=session) as client:
                stage = Stage(server, client, tokens, diary)
                await story(stage)
        return stage

    return asyncio.run(play())


async def until(is_so: Callable[[], bool]) -> None:
    """Look again and again; the test's own timeout ends what never comes."""
    while not is_so():  # noqa: ASYNC110  # whoever makes it so knows of nobody
        await asyncio.sleep(0.01)


def test_events_are_said_and_judged() -> None:
    async def story(stage: Stage) -> None:
        await stage.say(3)

    stage = play(story)

    assert stage.server.gateway.log["bet"] == ["e-0", "e-1", "e-2"]
    assert stage.server.requests == [("/v1/stream?k=player+7&topics=a,b", "Bearer t1")]
    names = ["e-0", "e-1", "e-2"]
    for name in names:
        assert stage.diary.lines.index(("said", name)) < stage.diary.lines.index(
            ("accepted", name)
        )
    assert len(stage.diary.lines) == 6


def test_whatever_is_cut_everything_ends_once_and_in_order() -> None:
    async def story(stage: Stage) -> None:
        for number in range(60):
            await stage.client.say(event(number, ("fine", "bad", "shed")[number % 3]))
            await asyncio.sleep(0)
        await stage.client.settled()

    stage = play(story, StreamServer(cuts_after=2))

    assert stage.server.gateway.log["bet"] == [f"e-{number}" for number in range(0, 60, 3)]
    told = [line for line in stage.diary.lines if line[0] != "said"]
    assert sorted(told) == sorted(
        (("accepted", "refused", "shed")[number % 3], f"e-{number}") for number in range(60)
    )
    assert stage.client.session.sockets > 3


def test_what_is_refused_for_now_is_said_again() -> None:
    async def story(stage: Stage) -> None:
        await stage.say(20, "moody")

    assert len(play(story).server.gateway.log["bet"]) == 20


def test_a_gateway_that_takes_leave_is_met_again() -> None:
    async def story(stage: Stage) -> None:
        await stage.say(1)
        (socket,) = stage.server.sockets
        stage.server.gateway.bye(socket, 1012, "draining", after_ms=1)
        await stage.client.say(event(1))  # the model says bye when it hears something
        await stage.client.settled()

    stage = play(story)

    assert stage.server.closes == [1012, 1000]
    assert stage.server.gateway.log["bet"] == ["e-0", "e-1"]


def test_a_gateway_that_says_nothing_is_left() -> None:
    async def story(stage: Stage) -> None:
        stage.server.is_deaf = True
        await stage.client.say(event(0))
        await until(lambda: stage.client.session.sockets == 2)
        stage.server.is_deaf = False
        await stage.client.settled()

    stage = play(story, verdict_s=0.05)

    assert stage.server.gateway.log["bet"] == ["e-0"]
    assert stage.server.closes[0] == 1006


def test_a_silent_client_says_that_it_is_there() -> None:
    async def story(stage: Stage) -> None:
        await until(lambda: bool(stage.server.texts))

    stage = play(story, hello_s=0.01)

    assert stage.server.texts == ['{"op":"events","events":[]}']


def test_a_token_is_renewed_on_the_socket_while_events_go_on() -> None:
    async def story(stage: Stage) -> None:
        await until(lambda: bool(stage.server.gateway.token))
        await stage.say(1)

    stage = play(story, StreamServer(FakeGateway(Longest(), token_s=0.1)))

    assert len(stage.server.requests) == 1
    assert json.loads(stage.server.texts[0]) == {"op": "token", "token": "t2"}
    assert stage.purse.asked[:2] == [False, True]


def test_a_spent_token_is_replaced() -> None:
    async def story(stage: Stage) -> None:
        await stage.say(1)

    stage = play(story, StreamServer(denials=deque([Denied(401)])))

    assert [token for _, token in stage.server.requests] == ["Bearer t1", "Bearer t2"]


def test_a_gateway_that_is_busy_or_sends_elsewhere_is_tried_again_with_the_same_token() -> None:
    denials = [
        Denied(503, {"Retry-After": "0"}),
        Denied(429, {"Retry-After": "soon"}),
        Denied(302, {"Location": "/elsewhere"}),
    ]

    async def story(stage: Stage) -> None:
        await stage.say(1)

    stage = play(story, StreamServer(denials=deque(denials)))

    assert stage.server.requests == [("/v1/stream?k=player+7&topics=a,b", "Bearer t1")] * 4


def test_what_a_busy_gateway_asks_for_is_waited() -> None:
    async def story(stage: Stage) -> None:
        await until(lambda: bool(stage.server.requests))
        await asyncio.sleep(0.2)  # far more than the jitter

    stage = play(story, StreamServer(denials=deque([Denied(503, {"Retry-After": "60"})])))

    assert len(stage.server.requests) == 1


def test_nobody_there_is_no_end() -> None:
    server, purse = StreamServer(), Purse()
    (port,) = free_ports(1)

    async def story() -> None:
        address = Address(f"ws://127.0.0.1:{port}", "k")
        async with Client(address, purse, rules=Rules(**QUICK)) as client:
            await client.say(event(0))
            await until(lambda: len(purse.asked) > 2)
            async with server.open(port):
                await client.settled()

    asyncio.run(story())

    assert server.gateway.log["bet"] == ["e-0"]


class Losses(Session):
    """Keeps why there was no socket."""

    def __init__(self) -> None:
        super().__init__(Longest(), Rules(**QUICK))
        self.losses: list[Loss] = []

    @override
    def lose(self, loss: Loss, now_s: float) -> None:
        self.losses.append(loss)
        super().lose(loss, now_s)


def loss_at(port: int, monkeypatch: pytest.MonkeyPatch, purse: Purse | None = None) -> Loss:
    """Knock there; return the first loss."""
    session = Losses()
    monkeypatch.setattr("loadtests.client.OPEN_TIMEOUT_S", 0.05)

    async def story() -> None:
        address = Address(f"ws://127.0.0.1:{port}", "k")
        async with Client(address, purse or Purse(), session=session):
            await until(lambda: bool(session.losses))

    asyncio.run(story())
    return session.losses[0]


def test_a_handshake_without_an_answer_may_arrive_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        assert loss_at(port, monkeypatch) == Loss(is_unanswered=True)


def test_a_handshake_that_is_cut_may_arrive_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def cut() -> None:
            with server.accept()[0] as connection:
                connection.recv(1 << 16)

        thread = threading.Thread(target=cut)
        thread.start()
        loss = loss_at(server.getsockname()[1], monkeypatch)
        thread.join()

    assert loss == Loss(is_unanswered=True)


def test_a_handshake_that_was_never_sent_arrives_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (port,) = free_ports(1)

    assert loss_at(port, monkeypatch) == Loss()
    assert loss_at(port, monkeypatch, Purse(answers=deque([None]))) == Loss()


def test_no_token_now_is_no_end() -> None:
    async def story(stage: Stage) -> None:
        await stage.say(1)

    stage = play(story, purse=Purse(answers=deque([None, None])))

    assert stage.purse.asked == [False, False, False]


def test_an_issuer_that_cannot_be_reached_has_no_token_now() -> None:
    """Planted: only ``TimeoutError`` is caught, and the client ends for good."""

    async def story(stage: Stage) -> None:
        await stage.say(1)

    away = deque([ConnectionRefusedError("nobody there"), OSError("no route")])

    assert play(story, purse=Purse(answers=deque(away))).purse.asked == [False, False, False]


def test_a_purse_that_hangs_has_no_token_now(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(Purse):
        @override
        async def token(self, *, is_spent: bool) -> str | None:
            self.asked.append(is_spent)
            if len(self.asked) == 1:
                await asyncio.Event().wait()
            return "t1"

    async def story(stage: Stage) -> None:
        await stage.say(1)

    monkeypatch.setattr("loadtests.client.TOKEN_TIMEOUT_S", 0.01)
    assert play(story, purse=Stuck()).purse.asked == [False, False]


def test_an_end_for_good_is_told_to_whoever_waits() -> None:
    async def story(stage: Stage) -> None:
        await stage.client.say(event(0))
        with pytest.raises(OverError, match="status 403"):
            await stage.client.settled()
        with pytest.raises(OverError, match="status 403"):
            await stage.client.say(event(1))

    play(story, StreamServer(denials=deque([Denied(403)])))


def test_a_refusal_is_told_with_what_the_gateway_says() -> None:
    """Planted: the body is not read."""
    problem = {"code": "scope_missing", "detail": "Use a player's token.", "status": 403}

    async def story(stage: Stage) -> None:
        with pytest.raises(OverError) as over:
            await stage.say(1)
        assert str(over.value) == (
            "refused with status 403, scope_missing: Use a player's token."
        )

    play(story, StreamServer(denials=deque([Denied(403, body=json.dumps(problem))])))


def test_whoever_only_listens_learns_of_the_end() -> None:
    """Planted: it waits for what is told, not for the end; the end is not raised."""

    async def story(stage: Stage) -> None:
        await stage.say(1)
        waiting = asyncio.create_task(stage.client.over())
        (socket,) = stage.server.sockets
        socket.say(op="push", event={"id": "p-1"})
        await stage.client.say(event(1))
        await stage.diary.has_push.wait()
        await stage.client.settled()
        assert not waiting.done()
        stage.server.gateway.bye(socket, 4403, "session_revoked")
        await stage.client.say(event(2))  # the model says bye when it hears something
        with pytest.raises(OverError, match="close code 4403"):
            await waiting
        with pytest.raises(OverError, match="close code 4403"):
            await stage.client.over()

    play(story)


def test_a_full_outbox_makes_whoever_speaks_wait() -> None:
    async def story(stage: Stage) -> None:
        for number in range(50):
            await stage.client.say(event(number))
            assert stage.client.session.outbox.unsettled <= 2
        await stage.client.settled()

    assert len(play(story, box=outbox(events_max=2)).server.gateway.log["bet"]) == 50


@pytest.mark.parametrize(
    "greeting",
    ["{", b"\x00", '{"op":"renewed","expires_at_ms":1}'],
    ids=["no JSON", "binary", "no welcome"],
)
def test_a_gateway_that_is_none_is_told_so_and_left(greeting: str | bytes) -> None:
    async def story(stage: Stage) -> None:
        with pytest.raises(OverError, match="close code 1002"):
            await stage.say(1)

    assert play(story, StreamServer(greeting=greeting)).server.closes == [1002]


def test_a_push_is_passed_on() -> None:
    pushed = {"id": "p-1", "data": {"pool": 5}}

    async def story(stage: Stage) -> None:
        await stage.say(1)
        (socket,) = stage.server.sockets
        socket.say(op="push", event=pushed)
        await stage.client.say(event(1))
        await stage.diary.has_push.wait()

    assert ("pushed", pushed) in play(story).diary.lines


def test_whoever_leaves_closes_properly_and_leaves_no_task() -> None:
    tasks: list[int] = []

    async def story(stage: Stage) -> None:
        await stage.say(1)
        await stage.client.__aexit__(None, None, None)
        tasks.extend("client" in repr(task.get_coro()) for task in asyncio.all_tasks())

    stage = play(story)

    assert stage.server.closes == [1000]
    assert not any(tasks)


def test_a_bug_in_the_purse_is_not_hidden() -> None:
    class Torn(Purse):
        @override
        async def token(self, *, is_spent: bool) -> str | None:
            raise LookupError("no pocket")

    async def story(stage: Stage) -> None:
        del stage
        await asyncio.sleep(0.05)

    with pytest.raises(ExceptionGroup) as caught:
        play(story, purse=Torn())

    assert caught.group_contains(LookupError)


def test_a_client_needs_nothing_but_an_address_and_tokens() -> None:
    async def story(stage: Stage) -> None:
        async with Client(Address(stage.server.url + "/", "k"), Purse()) as client:
            await client.say(event(0))
            await client.settled()

    stage = play(story)

    assert ("/v1/stream?k=k", "Bearer t1") in stage.server.requests
    assert json.loads(stage.server.texts[0])["events"][0]["id"] == "e-0"
