"""``origin_client.http_answer``: what ends a record, what is an outage, what is taken."""

from http import HTTPStatus

import pytest

from origin_client.http_answer import (
    EXCERPT_CHARS_MAX,
    RETRY_AFTER_S_MAX,
    Answer,
    objection,
    retry_after_s,
)
from origin_client.origin import OriginUnavailable

OBJECTIONS = {400, 409, 413, 422}
EVERY_STATUS = range(100, 1000)


def answer(status: int, body: bytes = b"", retry_after: str = "") -> Answer:
    return Answer(status, retry_after, body)


def verdict(status: int) -> str:
    try:
        return "taken" if objection(answer(status), None) is None else "objection"
    except OriginUnavailable:
        return "outage"


def test_every_status_there_can_be_has_its_one_verdict() -> None:
    expected = dict.fromkeys(EVERY_STATUS, "outage")
    expected |= dict.fromkeys(OBJECTIONS, "objection")
    expected |= {status: "taken" for status in range(200, 300) if status != 207}

    assert {status: verdict(status) for status in EVERY_STATUS} == expected


@pytest.mark.parametrize("status", [401, 403, 404, 405, 407, 410, 415, 421, 429, 499])
def test_a_mistake_of_the_operator_ends_no_record(status: int) -> None:
    assert verdict(status) == "outage"


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (207, "answer for the whole batch"),
        (302, "write the final address"),
        (401, "put a token"),
        (403, "let this token publish"),
        (404, "make the topic"),
        (405, "mend origin.url"),
        (415, "application/cloudevents-batch"),
        (429, "raise its quota"),
        (500, "it fails"),
        (599, "it fails"),
        (499, "not what a receiver"),
        (101, "not what a receiver"),
    ],
)
def test_an_outage_says_what_to_do(status: int, advice: str) -> None:
    with pytest.raises(OriginUnavailable, match=f"answers {status}.*: .*{advice}"):
        objection(answer(status), None)


def test_an_outage_repeats_nothing_of_the_answer() -> None:
    with pytest.raises(OriginUnavailable) as told:
        objection(answer(500, b"player-0001 lost"), None)

    assert "player" not in str(told.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "the receiver answers 400 Bad Request"),
        (b"\r\n \t", "the receiver answers 400 Bad Request"),
        (b"no such\n\nfield", "the receiver answers 400 Bad Request: no such field"),
        (b"\x1b[31mred\x00", "the receiver answers 400 Bad Request: [31mred"),
        ("a\u202eb\u2028c".encode(), "the receiver answers 400 Bad Request: a b c"),
        (b"\xff\xfe", "the receiver answers 400 Bad Request: \ufffd\ufffd"),
        (b"you sent hush", "the receiver answers 400 Bad Request: you sent <secret>"),
    ],
)
def test_the_receivers_words_are_made_harmless(body: bytes, reason: str) -> None:
    assert objection(answer(400, body), "hush") == reason


def test_half_a_secret_at_the_end_of_what_was_read_is_not_moved_into_view() -> None:
    reason = objection(answer(400, b"no:" + b" " * 4096 + b"hus"), "hush")

    assert reason == "the receiver answers 400 Bad Request: no:"


@pytest.mark.parametrize(
    "written",
    ["a/b+c=", r"a\/b+c=", r"a\\/b+c=", r"a\u002Fb\u002bc\u003d", "a%2Fb%2Bc%3d"],
)
def test_a_secret_is_known_however_it_is_escaped(written: str) -> None:
    reason = objection(answer(400, f"you sent {written}!".encode()), "a/b+c=")

    assert reason == "the receiver answers 400 Bad Request: you sent <secret>!"


def test_the_receivers_words_are_few() -> None:
    reason = objection(answer(422, b"x" * 4096), None)

    assert reason is not None
    assert reason.count("x") == EXCERPT_CHARS_MAX


def test_a_secret_at_the_edge_of_the_excerpt_is_not_cut_into_view() -> None:
    reason = objection(answer(400, b"x" * (EXCERPT_CHARS_MAX - 2) + b"hush"), "hush")

    assert reason is not None
    assert "hu" not in reason


@pytest.mark.parametrize(
    ("asked", "told_s"),
    [
        ("", 0),
        ("0", 0),
        (" 7 ", 7),
        ("60", 60),
        ("61", RETRY_AFTER_S_MAX),
        ("999999999", RETRY_AFTER_S_MAX),
        ("9" * 5000, 0),
        ("-1", 0),
        ("1.5", 0),
        ("٣", 0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_receiver_is_left_alone_for_as_long_as_it_asks_within_a_bound(
    asked: str, told_s: int
) -> None:
    assert retry_after_s(answer(HTTPStatus.TOO_MANY_REQUESTS, retry_after=asked)) == told_s


def test_only_a_busy_receiver_asks_to_be_left_alone() -> None:
    asking = {
        status for status in EVERY_STATUS if retry_after_s(answer(status, retry_after="7"))
    }

    assert asking == {429, 503}
