"""A speaker on a socket resumes, and writes down one verdict for each event, whatever comes."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import pytest
from typing_extensions import override

from edge.demo import stream as streaming
from edge.demo.ledger import Event, Ledger
from edge.demo.speaker import UnsettledError
from edge.demo.stream import StreamSpeaker
from edge.demo.wire import Traffic
from tests.fakes_demo import ScriptedGateway, settled, welcome

A: Event = {"id": "a", "seq": 1}
B: Event = {"id": "b", "seq": 2}
C: Event = {"id": "c", "seq": 3}
PUSH: Event = {"type": "jackpot.pot.won"}


def refused(frame: int, index: int, code: str, *, retryable: bool = False) -> Event:
    return {"frame": frame, "index": index, "code": code, "retryable": retryable}


class Evening:
    """What came of it."""

    def __init__(
        self,
        words: Sequence[Sequence[Event] | None],
        act: Callable[[StreamSpeaker], Awaitable[object]],
    ) -> None:
        self.ledger = Ledger()
        self.told: list[str] = []
        asyncio.run(self._scene(words, act))

    async def _scene(
        self,
        words: Sequence[Sequence[Event] | None],
        act: Callable[[StreamSpeaker], Awaitable[object]],
    ) -> None:
        async with ScriptedGateway([], words=[*words]) as gateway:
            rng = random.Random(1)  # noqa: S311  # no secret
            self.speaker = StreamSpeaker(
                "ada", "a.b.c", gateway.address, self.ledger, Traffic(), rng, self.told.append
            )
            serving = asyncio.create_task(self.speaker.serve())
            try:
                await act(self.speaker)
            finally:
                serving.cancel()
                await asyncio.wait([serving])
        self.gateway = gateway

    @property
    def sent(self) -> list[list[str]]:
        """The ids in each frame."""
        frames = [cast("list[Event]", frame["events"]) for frame in self.gateway.frames]
        return [[str(event["id"]) for event in events] for events in frames]


def test_what_is_not_refused_is_accepted_and_a_copy_is_a_duplicate() -> None:
    async def act(ada: StreamSpeaker) -> None:
        assert await ada.say(A, B, C) == ["accepted", "pii_leak", "accepted"]
        assert await ada.say(A, are_copies=True) == ["duplicate"]

    evening = Evening([[welcome()], [settled(3, refused(1, 1, "pii_leak"))], [settled(3)]], act)

    assert evening.sent == [["a", "b", "c"], ["a"]]
    assert evening.ledger.complaints == []
    (handshake,) = evening.gateway.sockets
    assert handshake.path == "/v1/stream?k=ada&topics=jackpots"
    assert handshake.headers["Authorization"] == "Bearer a.b.c"
    assert handshake.headers["Sec-WebSocket-Protocol"] == "edge.v1.json"
    (shown,) = evening.told
    assert shown.startswith("ada hears: ")
    assert "pii_leak" in shown


def test_what_is_in_doubt_when_the_socket_ends_goes_again_and_counts_once() -> None:
    evening = Evening(
        [[welcome()], [settled(1)], None, [welcome(4)], [settled(3)]],
        say_both,
    )

    assert evening.sent == [["a"], ["b", "c"], ["b", "c"]]
    assert [(entry.verdict, entry.unanswered) for entry in evening.ledger.entries] == [
        ("accepted", 0),
        ("accepted", 1),
        ("accepted", 1),
    ]
    assert evening.ledger.resent == 2
    assert evening.speaker.returned.is_set()
    assert evening.told == [
        "ada is back on a socket: known true, next_seq 4; in doubt and sent again: 2"
    ]


async def say_both(ada: StreamSpeaker) -> None:
    await ada.say(A)
    await ada.say(B, C)


class Look(asyncio.Event):
    """Notes whether *ada* is in doubt at the moment it is set."""

    def __init__(self, ada: StreamSpeaker) -> None:
        super().__init__()
        self._ada = ada
        self.seen: list[bool] = []

    @override
    def set(self) -> None:
        self.seen.append(self._ada.is_in_doubt)
        super().set()


def test_nothing_is_in_doubt_from_the_moment_its_verdicts_are_read() -> None:
    async def act(ada: StreamSpeaker) -> None:
        ada.pushed = look = Look(ada)
        await asyncio.gather(ada.say(A), look.wait())
        assert look.seen == [True, False]

    push: Event = {"op": "push", "event": PUSH}
    Evening([[welcome()], [push, settled(1), push]], act)


def test_what_is_held_is_not_sent_before_it_is_let_go_also_on_a_new_socket() -> None:
    async def act(ada: StreamSpeaker) -> None:
        saying = asyncio.create_task(ada.say(A))
        await ada.hold()
        await ada.pushed.wait()
        assert (ada.traffic.in_flight, ada.is_in_doubt) == (0, False)
        ada.release()
        assert await saying == ["accepted"]
        assert await ada.say(B) == ["accepted"]

    push: Event = {"op": "push", "event": PUSH}
    evening = Evening([[welcome(), push], [settled(1)], [settled(2)]], act)

    assert evening.sent == [["a"], ["b"]]
    assert evening.ledger.complaints == []


def test_holding_waits_for_what_is_under_way() -> None:
    async def act(ada: StreamSpeaker) -> None:
        saying = asyncio.create_task(say_both(ada))
        await ada.traffic.reaches(1)
        await ada.hold()
        assert [entry.verdict for entry in ada.ledger.entries] == ["accepted", "", ""]
        ada.release()
        await saying

    evening = Evening([[welcome()], [settled(1)], [settled(3)]], act)

    assert evening.sent == [["a"], ["b", "c"]]


def test_only_what_may_be_sent_again_is_and_in_its_time() -> None:
    later = refused(1, 1, "rate_exceeded", retryable=True)
    evening = Evening(
        [[welcome()], [settled(1, later, retry_after_ms=5)], [settled(2)]],
        lambda ada: ada.say(A, B),
    )

    assert evening.sent == [["a", "b"], ["b"]]
    assert [(each.verdict, each.put_off) for each in evening.ledger.entries] == [
        ("accepted", 0),
        ("accepted", 1),
    ]


def test_ranges_that_contradict_the_verdicts_are_a_complaint() -> None:
    words = [settled(1, highest=3, missing=[[2, 2]])]

    evening = Evening([[welcome()], words], lambda ada: ada.say(A, B, C))

    assert evening.ledger.complaints == ["ada: entry 2 is neither refused nor done"]


def test_verdicts_on_nothing_are_a_complaint() -> None:
    async def act(ada: StreamSpeaker) -> None:
        await ada.say(A)
        await ada.pushed.wait()

    push: Event = {"op": "push", "event": PUSH}
    evening = Evening([[welcome()], [settled(1), settled(1), push]], act)

    assert evening.ledger.complaints == ["ada: verdicts on nothing"]


def test_pushes_are_kept_and_what_is_not_known_is_passed_over() -> None:
    async def act(ada: StreamSpeaker) -> None:
        await ada.pushed.wait()

    novelty: Event = {"op": "novelty"}
    evening = Evening([[welcome(), novelty, {"op": "push", "event": PUSH}]], act)

    assert evening.speaker.pushes == [PUSH]


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(None, id="hangs up"),
        pytest.param([settled(0)], id="does not welcome"),
        pytest.param([{"event": PUSH}], id="says nothing of the contract"),
    ],
)
def test_it_comes_back_after_whatever_end(wrong: Sequence[Event] | None) -> None:
    evening = Evening([wrong, wrong, [welcome()], [settled(1)]], lambda ada: ada.say(A))

    assert evening.ledger.tally() == {"accepted": 1}
    assert len(evening.gateway.sockets) == 3
    assert evening.speaker.sockets == 1


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "PATIENCE_S", 0.2)

    with pytest.raises(UnsettledError, match="ada: 2 events"):
        Evening([[welcome()], []], lambda ada: ada.say(A, B))
