"""A speaker goes on until each event has its one verdict, and writes down which."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from edge.demo import speaker as speaking
from edge.demo.ledger import Event, Ledger
from edge.demo.speaker import Desk, Speaker, UnsettledError
from edge.demo.wire import Connection, Traffic
from tests.fakes_demo import ScriptedGateway, answer, refusal, verdicts

A: Event = {"id": "a"}
B: Event = {"id": "b"}
C: Event = {"id": "c"}


def play(
    replies: Sequence[bytes], act: Callable[[Speaker], Awaitable[object]]
) -> tuple[Ledger, list[object]]:
    """Let a speaker *act* before a scripted gateway; return its ledger and what it sent."""
    ledger = Ledger()

    async def scene() -> list[object]:
        async with ScriptedGateway(replies) as gateway:
            line = Connection(gateway.address, Traffic())
            await act(Speaker("ada", "a.b.c", line, ledger))
            await line.close()
            for head, _ in gateway.requests:
                assert "authorization: Bearer a.b.c\r\n" in head
                assert head.startswith("POST /v1/events?k=ada ")
            return gateway.batches

    return ledger, asyncio.run(scene())


def test_what_is_not_refused_is_accepted() -> None:
    ledger, batches = play(
        [answer(202, verdicts(2, 0, refusal(1, "pii_leak")))], lambda ada: ada.say(A, B, C)
    )

    assert [entry.verdict for entry in ledger.entries] == ["accepted", "pii_leak", "accepted"]
    assert batches == [[A, B, C]]
    assert ledger.complaints == []


def test_only_what_may_be_sent_again_is_sent_again_and_in_order() -> None:
    later = [refusal(at, "rate_exceeded", retryable=True) for at in (2, 1)]
    ledger, batches = play(
        [answer(202, verdicts(1, 0, *later)), answer(202, verdicts(2))],
        lambda ada: ada.say(A, B, C),
    )

    assert batches == [[A, B, C], [B, C]]
    assert [(entry.verdict, entry.put_off) for entry in ledger.entries] == [
        ("accepted", 0),
        ("accepted", 1),
        ("accepted", 1),
    ]


def test_the_impatient_take_later_for_an_answer() -> None:
    late = refusal(1, "rate_exceeded", retryable=True)
    ledger, batches = play(
        [answer(202, verdicts(1, 0, late))], lambda ada: ada.say(A, B, is_patient=False)
    )

    assert ledger.tally() == {"accepted": 1, "rate_exceeded": 1}
    assert len(batches) == 1


def test_without_an_answer_the_same_batch_goes_again_and_a_duplicate_is_accepted_once() -> None:
    ledger, batches = play([b"", answer(202, verdicts(0, 2))], lambda ada: ada.say(A, B))

    assert batches == [[A, B], [A, B]]
    assert ledger.tally() == {"accepted": 2}
    assert ledger.answers_lost == 2
    assert ledger.complaints == []


def test_a_copy_is_a_duplicate() -> None:
    ledger, _ = play([answer(202, verdicts(0, 1))], lambda ada: ada.say(A, are_copies=True))

    assert ledger.tally() == {"duplicate": 1}


def test_a_problem_refuses_the_whole_batch() -> None:
    ledger, batches = play(
        [answer(401, {"code": "token_invalid", "status": 401})], lambda ada: ada.say(A, B)
    )

    assert ledger.tally() == {"token_invalid": 2}
    assert len(batches) == 1


def test_a_problem_of_ours_is_waited_for_as_long_as_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    monkeypatch.setattr("edge.demo.speaker.asyncio.sleep", note)
    busy = answer(503, {"code": "keys_unavailable", "status": 503}, Retry_After="3")
    ledger, batches = play([busy, answer(202, verdicts(1))], lambda ada: ada.say(A))

    assert slept[0] == 3
    assert batches == [[A], [A]]
    assert ledger.tally() == {"accepted": 1}


def test_what_is_no_event_is_sent_as_it_is_until_it_is_refused() -> None:
    ledger = Ledger()

    async def scene() -> list[tuple[str, bytes]]:
        problem = answer(400, {"code": "body_malformed", "status": 400})
        async with ScriptedGateway([b"", problem]) as gateway:
            line = Connection(gateway.address, Traffic())
            assert await Speaker("ada", "t", line, ledger).blurt(b"\xff") == "body_malformed"
            await line.close()
            return gateway.requests

    assert [body for _, body in asyncio.run(scene())] == [b"\xff", b"\xff"]
    assert [entry.event for entry in ledger.entries] == [None]


def test_patience_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaking, "PATIENCE_S", 0.05)

    async def act(ada: Speaker) -> None:
        with pytest.raises(UnsettledError, match="ada: 2 events"):
            await ada.say(A, B)

    ledger, _ = play([], act)

    assert ledger.tally() == {"": 2}


def test_a_desk_says_in_one_batch_what_came_in_meanwhile() -> None:
    stated: list[str] = []

    async def act(pam: Speaker) -> None:
        desk = Desk(pam)
        shift = asyncio.create_task(desk.serve())
        stated.extend(await asyncio.gather(*(desk.state(event) for event in (A, B, C))))
        shift.cancel()

    _, batches = play([answer(202, verdicts(2, 0, refusal(1, "scope_missing")))], act)

    assert batches == [[A, B, C]]
    assert stated == ["accepted", "scope_missing", "accepted"]


def test_a_desk_forgets_nobody_when_one_who_waited_has_left() -> None:
    stated: list[str] = []

    async def act(pam: Speaker) -> None:
        desk = Desk(pam)
        leaver = asyncio.create_task(desk.state(A))
        stayer = asyncio.create_task(desk.state(B))
        await asyncio.sleep(0)
        leaver.cancel()
        shift = asyncio.create_task(desk.serve())
        stated.append(await stayer)
        shift.cancel()

    play([answer(202, verdicts(2))], act)

    assert stated == ["accepted"]
