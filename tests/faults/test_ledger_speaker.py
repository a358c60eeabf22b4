"""What a voice makes of answers: obligations, what it sends again, and what it complains of."""

import json
from typing import TYPE_CHECKING, Any, Final, cast

import orjson
import pytest

from edge.demo.issuer import Issuer
from tests.faults.ledger.page import CLAIMED, OWED, REFUSED
from tests.faults.ledger.ruling import Answer, parse, rule
from tests.faults.ledger.speaker import Speaker, Tally
from tests.faults.ledger.words import Player, Service

if TYPE_CHECKING:
    from tests.faults.ledger.line import Line

ISSUER: Final = Issuer()
LATER: Final = b"retry-after: 3\r\n"


def answer(
    accepted: int, duplicate: int = 0, *refused: tuple[int, str, bool], status: int = 202
) -> Answer:
    """An answer per contract."""
    listed = [
        {"index": index, "id": None, "code": code, "pointer": None, "retryable": retryable}
        for index, code, retryable in refused
    ]
    after_ms = 1500 if any(retryable for *_, retryable in refused) else None
    document = {"accepted": accepted, "duplicate": duplicate, "refused": listed}
    body = json.dumps(document | {"retry_after_ms": after_ms}).encode()
    return Answer(status, b"HTTP/1.1 x\r\n" + LATER, body)


def speaker(batch: int = 4, *, repeats: bool = True) -> tuple[Speaker, Tally]:
    """Somebody who has claimed nothing yet."""
    tally = Tally()
    voice = Service(1, 0, ("bet",)) if batch > 1 else Player(1, 0, ("game",))
    return Speaker(voice, batch, ISSUER, tally, repeats=repeats), tally


class Wire:
    """A connection that took the request: all that is asked of one here."""

    has_sent = True


def say(one: Speaker) -> list[dict[str, Any]]:
    """Let it send its next request; return the events in it."""
    request = one.request(claims=True)
    assert request is not None
    one.began_ns = 1
    body: Any = orjson.loads(request.partition(b"\r\n\r\n")[2])
    return cast("list[dict[str, Any]]", body) if isinstance(body, list) else [body]


def lose(one: Speaker) -> None:
    """Let its connection break after the request was sent."""
    one.line = cast("Line", Wire())
    one.lose()


def test_an_obligation_is_written_on_an_accepting_verdict_only() -> None:
    one, tally = speaker()
    say(one)
    before = bytes(one.page.verdicts)
    one.hear(answer(4), 5)

    assert before == bytes([CLAIMED] * 4)
    assert bytes(one.page.verdicts) == bytes([OWED] * 4)
    assert (tally.accepted, tally.complaints) == (4, [])


def test_what_is_put_off_is_sent_again_alone_after_the_time_that_was_told() -> None:
    one, tally = speaker()
    first = say(one)

    wait_s = one.hear(answer(2, 0, (1, "lane_full", True), (3, "lane_full", True)), 5)
    second = say(one)
    one.hear(answer(2), 6)

    assert wait_s == 1.5
    assert second == [first[1], first[3]]
    assert one.page.is_torn[0]
    assert (tally.accepted, dict(tally.refused)) == (4, {"lane_full": 2})
    assert tally.complaints == []


def test_a_duplicate_of_what_was_never_sent_is_a_fault() -> None:
    one, tally = speaker()
    say(one)
    one.hear(answer(3, 1), 5)

    assert "1 duplicates of what was never sent" in tally.complaints[0]


def test_a_duplicate_after_a_lost_answer_is_an_obligation() -> None:
    one, tally = speaker()
    first = say(one)
    lose(one)
    second = say(one)
    one.hear(answer(1, 3), 5)

    assert first == second
    assert (tally.accepted, tally.broken, tally.complaints) == (4, 1, [])


def test_a_connection_that_never_came_about_makes_no_duplicate_fine() -> None:
    one, tally = speaker()
    say(one)
    one.lose()
    say(one)
    one.hear(answer(0, 4), 5)

    assert tally.broken == 0
    assert "never sent" in tally.complaints[0]


def test_what_was_late_may_have_become_durable() -> None:
    one, tally = speaker()
    say(one)
    one.hear(answer(3, 0, (0, "lane_failed", True)), 5)
    say(one)
    one.hear(answer(0, 1), 6)

    assert tally.complaints == []
    assert tally.accepted == 4


def test_the_last_batch_is_said_again_after_a_break_and_must_be_known() -> None:
    one, tally = speaker()
    first = say(one)
    one.hear(answer(4), 5)
    second = say(one)
    lose(one)

    repeated = say(one)
    one.hear(answer(0, 4), 6)
    resent = say(one)

    assert (repeated, resent) == (first, second)
    assert (tally.repeated, tally.complaints) == (4, [])


def test_the_last_batch_accepted_anew_is_a_fault() -> None:
    one, tally = speaker()
    say(one)
    one.hear(answer(4), 5)
    lose(one)
    say(one)
    one.hear(answer(1, 3), 6)

    assert "1 accepted anew that had been accepted" in tally.complaints[0]


def test_who_does_not_repeat_goes_on_at_once() -> None:
    one, _ = speaker(repeats=False)
    first = say(one)
    one.hear(answer(4), 5)
    second = say(one)
    lose(one)

    assert say(one) == second != first


@pytest.mark.parametrize(
    ("lane", "code", "complaints"),
    [
        ("telemetry", "lane_shed", 0),
        ("bet", "lane_shed", 1),
        ("telemetry", "schema_violation", 1),
    ],
)
def test_a_refusal_for_good_is_a_fault_unless_telemetry_was_shed(
    lane: str, code: str, complaints: int
) -> None:
    tally = Tally()
    one = Speaker(Player(1, 0, (lane,)), 4, ISSUER, tally, repeats=True)
    say(one)
    one.hear(answer(3, 0, (2, code, False)), 5)

    assert one.page.verdicts[2] == REFUSED
    assert one.is_settled
    assert len(tally.complaints) == complaints


def test_a_lone_event_of_the_wrong_time_gets_another() -> None:
    one, tally = speaker(batch=1)
    one.page.claim(0)
    one.page.settle()
    say(one)
    one.page.stamps_ms[-1] = 0
    one.hear(answer(0, 0, (0, "clock_skew", False), status=422), 5)
    say(one)
    one.hear(answer(1), 6)

    assert one.page.stamps_ms[-1] > 0
    assert tally.complaints == []


def test_a_request_refused_whole_counts_all_its_events_and_has_no_verdict() -> None:
    one, tally = speaker()
    first = say(one)
    problem = Answer(503, b"HTTP/1.1 503\r\n" + LATER, b'{"code":"draining"}')
    wait_s = one.hear(problem, 5)

    assert wait_s == 3.0
    assert dict(tally.refused) == {"draining": 4}
    assert tally.complaints == []
    assert say(one) == first


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (answer(3), "3 + 0 + 0 verdicts for 4 events"),
        (answer(4, status=200), "200 although 4 are durable"),
        (Answer(503, b"\r\n", b'{"code":"draining"}'), "503 without Retry-After"),
        (Answer(401, b"\r\n", b'{"code":"token_invalid"}'), "refused whole: 401 token_invalid"),
        (Answer(500, b"\r\n", b'{"code":"internal_error"}'), "500 internal_error"),
        (Answer(202, b"\r\n", b"<html>"), "body is no JSON"),
        (Answer(202, b"\r\n", b"[]"), "refused whole: 202 None"),
    ],
)
def test_an_answer_against_the_contract_is_told(wrong: Answer, words: str) -> None:
    found = rule(wrong, 4).complaint

    assert found is not None
    assert words in found


def test_the_wait_is_bounded_whatever_is_told() -> None:
    told = Answer(503, b"\r\nretry-after: 3600\r\n", b'{"code":"draining"}')

    assert rule(told, 4).retry_after_s == 5.0


def test_retryable_refusals_without_a_time_are_a_fault() -> None:
    document = json.loads(answer(3, 0, (0, "lane_full", True)).body) | {"retry_after_ms": None}

    found = rule(Answer(202, b"\r\n", json.dumps(document).encode()), 4)

    assert found.complaint == "retryable refusals without retry_after_ms"


def test_an_answer_is_read_when_it_is_whole() -> None:
    whole = b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"

    assert [parse(whole[:end]) for end in range(len(whole))] == [None] * len(whole)
    found = parse(whole)
    assert found is not None
    assert (found.status, found.body, found.is_last) == (202, b"{}", True)
    with pytest.raises(ValueError, match="no answer"):
        parse(b"SSH-2.0\r\n\r\n")
