"""Whole batches and their verdicts: threats.md 21, 23-26, 38, 40, 56, 57, 60, 66."""

import json
from collections.abc import Mapping
from typing import Final

import pytest

from edge.demo.payloads import Visit
from edge.demo.rounds import Round
from tests.system.raw import Answer
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

FACT = Round(TABLE, "round-1", 100, "tx-1")


def say_raw(door: World, speaker: Visit, body: bytes) -> Answer:
    """Send *body* as one batch."""
    with door.line() as line:
        line.post(body, door.headers(speaker))
        answer = line.answer()
        line.post(b"[]", door.headers(speaker))
        assert line.answer().counts == (0, 0), "the connection must live on"
        return answer


MALFORMED: Final[Mapping[str, bytes]] = {
    "nothing": b"",
    "no JSON": b"[{",
    "NaN": b'[{"seq":NaN}]',
    "Infinity": b'[{"seq":-Infinity}]',
    "byte order mark": b"\xef\xbb\xbf[]",
    "UTF-16": "[]".encode("utf-16"),
    "trailing data": b"[] []",
    "control character": b'["a\x01"]',
    "lone surrogate": b'["\\ud800"]',
    "bad UTF-8": b'["\xff\xfe"]',
    "bad UTF-8 in a skipped member": b'[{"z":"\xff\xfe"}]',
    "abyss": b"[" * 100_000,
    "closed abyss": b"[" * 100_000 + b"]" * 100_000,
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_21_what_is_no_json_is_refused_whole(door: World, ada: Visit, body: bytes) -> None:
    answer = say_raw(door, ada, body)

    assert (answer.status, answer.json["code"]) == (400, "body_malformed")


def test_23_a_number_beyond_any_float_is_that_events_fault(door: World, ada: Visit) -> None:
    event = json.dumps(TABLE.spin(ada, 100)).replace("2500", "1e999999")

    answer = say_raw(door, ada, f"[{event}]".encode())

    assert answer.refusals == [(0, "schema_violation", "/data/since_last_ms")]


def test_24_of_two_members_of_one_name_the_last_counts(door: World, ada: Visit) -> None:
    event = json.dumps(TABLE.spin(ada, 100))

    answer = say_raw(door, ada, f'[{event[:-1]}, "subject": "player-rich"}}]'.encode())

    assert answer.refusals == [(0, "subject_mismatch", "/subject")]


def test_26_the_same_event_again_is_a_duplicate(door: World, ada: Visit) -> None:
    event = TABLE.spin(ada, 100)

    assert door.say(ada, event).counts == (1, 0)
    assert door.say(ada, event, event).counts == (0, 2)


def test_56_the_same_id_twice_in_one_batch_is_one_event(door: World, ada: Visit) -> None:
    event = TABLE.spin(ada, 100)

    answer = door.say(ada, event, event)

    assert (answer.counts, answer.refusals) == ((1, 1), [])


def test_56_one_id_for_two_events_is_a_conflict(door: World, ada: Visit) -> None:
    event = TABLE.spin(ada, 100)
    other = TABLE.spin(ada, 900) | {"id": event["id"]}

    answer = door.say(ada, event, other)

    assert answer.counts == (1, 0)
    assert answer.refusals == [(1, "idempotency_conflict", "/id")]
    assert door.say(ada, other).status == 409


def test_56_one_number_for_two_events_is_a_conflict(door: World, ada: Visit) -> None:
    event = TABLE.spin(ada, 100)
    other = TABLE.spin(ada, 900) | {"seq": event["seq"]}

    answer = door.say(ada, event, other)

    assert answer.refusals == [(1, "idempotency_conflict", "/seq")]


def test_a_number_below_the_window_is_too_old(door: World, ada: Visit) -> None:
    door.say(ada, TABLE.spin(ada, 100) | {"seq": 5000})

    answer = door.say(ada, TABLE.spin(ada, 100) | {"seq": 2})

    assert (answer.status, answer.refusals) == (422, [(0, "sequence_too_old", "/seq")])


def test_57_a_fact_has_no_number(door: World, ada: Visit) -> None:
    token = door.issuer.service("games", "bet")

    assert door.say(token, FACT.staked(ada) | {"seq": 1}).refusals == [
        (0, "schema_violation", "/seq")
    ]


def test_38_a_lane_outside_the_scope(door: World, ada: Visit) -> None:
    token = door.issuer.service("cashier", "wallet")

    answer = door.say(token, FACT.staked(ada))

    assert (answer.status, answer.refusals) == (403, [(0, "scope_missing", "/type")])


def test_60_an_empty_batch_is_zeros(door: World, ada: Visit) -> None:
    answer = door.say(ada)

    assert (answer.status, answer.json) == (
        202,
        {"accepted": 0, "duplicate": 0, "refused": [], "retry_after_ms": None},
    )


def test_more_than_200_events_are_refused_whole(door: World, ada: Visit) -> None:
    answer = say_raw(door, ada, b"[" + b",".join([b"1"] * 201) + b"]")

    assert (answer.status, answer.json["code"]) == (413, "batch_too_large")


def test_nothing_of_a_refused_event_is_told_back_but_a_valid_id(
    door: World, ada: Visit
) -> None:
    bad = TABLE.spin(ada, 100) | {"subject": "player-rich"}

    known = door.say(ada, bad).json["refused"]
    unknown = door.say(ada, bad | {"id": "<script>"}).json["refused"]

    assert known == [
        {
            "index": 0,
            "id": bad["id"],
            "code": "subject_mismatch",
            "pointer": "/subject",
            "retryable": False,
        }
    ]
    assert unknown == [
        {
            "index": 0,
            "id": None,
            "code": "schema_violation",
            "pointer": "/id",
            "retryable": False,
        }
    ]


def test_40_a_burst_above_the_quota_is_cut_and_told_when_to_come_back(
    door: World, ada: Visit
) -> None:
    first = door.say(ada, *(TABLE.spin(ada, 5) for _ in range(150)))
    second = door.say(ada, *(TABLE.spin(ada, 5) for _ in range(150)))
    third = door.say(ada, *(TABLE.spin(ada, 5) for _ in range(150)))

    assert first.counts == (150, 0)
    assert second.status == 202
    assert {code for _, code, _ in second.refusals} == {"rate_exceeded"}
    assert second.json["retry_after_ms"] is not None
    refused = {code for _, code, _ in third.refusals}
    assert refused == {"rate_exceeded"}
    if third.status == 429:
        assert int(third.headers["retry-after"]) >= 1
        assert third.counts == (0, 0)


def test_40_when_all_share_it_the_answer_is_429(door: World, ada: Visit) -> None:
    for _ in range(2):
        door.say(ada, *(TABLE.spin(ada, 5) for _ in range(200)))
    answers = [door.say(ada, TABLE.spin(ada, 5)) for _ in range(40)]

    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.refusals == [(0, "rate_exceeded", None)]
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["ratelimit"].startswith('"player";r=0;t=')


def test_66_a_client_that_hangs_up_after_the_body_was_heard(door: World, ada: Visit) -> None:
    event = TABLE.spin(ada, 100)
    with door.line() as line:
        line.post(json.dumps([event]).encode(), door.headers(ada))

    door.wait_until_forwarded(event)
    assert door.say(ada, event).counts == (0, 1)
