"""Every event must be durable, every octet come back; whatever else is said ends the run."""

import pytest

from loadtests.bench.client import WrongAnswerError
from loadtests.bench.sockets.answers import (
    Acknowledged,
    Echoed,
    Judged,
    check_welcome,
    flawless,
)
from loadtests.bench.sockets.speakers import Speech, greeting
from tests.fakes_bench_sockets import verdicts, welcome

SPEECH = Speech(first=11, events=5, payloads=[b""] * 4, wires=[b""] * 4)
BAD = (
    verdicts(15, missing=[[12, 12]]),
    verdicts(15, highest=16),
    verdicts(15, refused=[{"frame": 1, "index": 0, "code": "rate_exceeded"}]),
    verdicts(15, op="renewed"),
    '{"op":"bye","code":1013,"reason":"overloaded","reconnect_after_ms":0}',
    "[]",
    "no JSON",
)


def test_an_echo_brings_back_each_message_in_order() -> None:
    echoed = Echoed([b"a", b"b"])

    echoed.take(b"a")
    echoed.take(b"b")

    assert echoed.done == 2
    with pytest.raises(WrongAnswerError):
        echoed.take(b"b")


def test_an_echo_that_changes_the_order_is_wrong() -> None:
    with pytest.raises(WrongAnswerError):
        Echoed([b"a", b"b"]).take(b"b")


def test_a_message_is_done_when_its_last_event_is_settled() -> None:
    judged, done = Judged(SPEECH), list[int]()

    for settled in (10, 14, 15, 15, 29, 30):
        judged.take(verdicts(settled).encode())
        done.append(judged.done)

    assert done == [0, 0, 1, 1, 3, 4]


@pytest.mark.parametrize("settled", [9, 31])
def test_what_was_not_sent_cannot_be_settled(settled: int) -> None:
    with pytest.raises(WrongAnswerError):
        Judged(SPEECH).take(verdicts(settled).encode())


def test_what_is_settled_stays_so() -> None:
    judged = Judged(SPEECH)
    judged.take(verdicts(20).encode())

    with pytest.raises(WrongAnswerError):
        judged.take(verdicts(19).encode())


@pytest.mark.parametrize("text", BAD)
def test_a_flaw_is_quoted(text: str) -> None:
    with pytest.raises(WrongAnswerError) as told:
        flawless(text.encode())

    assert text in str(told.value)


def test_a_first_word_is_answered_once() -> None:
    acknowledged = Acknowledged()

    acknowledged.take(verdicts(0).encode())

    assert acknowledged.done == 1
    with pytest.raises(WrongAnswerError):
        acknowledged.take(verdicts(0).encode())


def test_a_session_stands_where_its_speech_begins() -> None:
    check_welcome(welcome(11).encode(), SPEECH)
    check_welcome(welcome(7).encode(), greeting())

    for text in (welcome(12), verdicts(11), "{}", "["):
        with pytest.raises(WrongAnswerError):
            check_welcome(text.encode(), SPEECH)
