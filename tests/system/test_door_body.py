"""Events refused one by one, over HTTP to a real process: threats.md 21-28, 37, 53, 56-62, 66."""

import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final, cast

import pytest

from edge.demo.ledger import Event
from edge.demo.payloads import Visit, interactions, some_uuid, timestamp, unix_ms
from edge.demo.rounds import Round, slip_submitted
from tests.system.raw import Answer
from tests.system.world import TABLE, World, world

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One gateway for all rows."""
    with world(tmp_path_factory.mktemp("door")) as built:
        built.gateway.start()
        built.wait_until_ready()
        yield built


@pytest.fixture
def ada(door: World, request: pytest.FixtureRequest) -> Visit:
    """A player of this test's own, so that no row disturbs another."""
    return door.visit(f"{zlib.crc32(request.node.nodeid.encode())}")


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


def spin_with(**change: object) -> Callable[[Visit], Event]:
    """A spin whose attributes say otherwise; ``None`` stands for JSON's null."""
    return lambda ada: TABLE.spin(ada, 100) | change


def spin_without(name: str) -> Callable[[Visit], Event]:
    """A spin that lacks an attribute."""

    def say(ada: Visit) -> Event:
        event = TABLE.spin(ada, 100)
        del event[name]
        return event

    return say


def with_data(event: Event, change: Event) -> Event:
    """The same event whose payload says otherwise."""
    return event | {"data": cast("Event", event["data"]) | change}


def spin_data(**change: object) -> Callable[[Visit], Event]:
    """A spin whose payload says otherwise."""

    def say(ada: Visit) -> Event:
        return with_data(TABLE.spin(ada, 100), change)

    return say


def deep(levels: int) -> object:
    """Lists in lists."""
    found: object = 1
    for _ in range(levels):
        found = [found]
    return found


def fact(ada: Visit) -> Event:
    """What only a service may say."""
    return Round(TABLE, "round-1", 100, "tx-1").staked(ada)


def crowded(ada: Visit) -> Event:
    """Telemetry with one sample too many for any array."""
    return with_data(interactions(ada), {"samples": [[1, "m", 1, 1, 0, 1]] * 501})


def twenty_legs_as_system(ada: Visit) -> Event:
    """A slip whose lines would take a second to sum up."""
    event = slip_submitted(ada, some_uuid(ada.rng))
    payload = cast("dict[str, list[Event]]", event["data"])
    legs = [payload["legs"][0] | {"leg_no": n, "fixture_id": f"f{n}"} for n in range(1, 21)]
    change: Event = {"slip_type": "system", "legs": legs, "system_sizes": [3]}
    return with_data(event, change)


REFUSED: Final[Mapping[str, tuple[Callable[[Visit], Event], str, str | None]]] = {
    "22 too deep": (spin_data(stake=deep(17)), "schema_violation", "/data/stake"),
    "22 too many members": (
        spin_data(**{f"m{n}": 1 for n in range(300)}),
        "schema_violation",
        "/data",
    ),
    "22 too many elements": (crowded, "schema_violation", "/data/samples"),
    "22 string too long": (spin_data(game_id="g" * 7000), "schema_violation", "/data/game_id"),
    "22 event too large": (spin_data(game_id="g" * 9000), "event_too_large", None),
    "23 bool for int": (
        spin_data(stake={"amount_minor": True, "currency": "EUR"}),
        "schema_violation",
        "/data/stake/amount_minor",
    ),
    "23 float for int": (
        spin_data(stake={"amount_minor": 1.5, "currency": "EUR"}),
        "schema_violation",
        "/data/stake/amount_minor",
    ),
    "23 beyond 2^53": (
        spin_data(since_last_ms=2**53),
        "schema_violation",
        "/data/since_last_ms",
    ),
    "23 beyond any machine": (
        spin_data(since_last_ms=10**4000),
        "schema_violation",
        "/data/since_last_ms",
    ),
    "23 unknown field": (spin_data(colour="red"), "schema_violation", "/data"),
    "23 null for a value": (spin_data(game_id=None), "schema_violation", "/data/game_id"),
    "23 newline after the pattern": (
        spin_data(game_id="starburst\n"),
        "schema_violation",
        "/data/game_id",
    ),
    "27 unknown type": (spin_with(type="game.spin.dreamt"), "unknown_type", "/type"),
    "27 unknown version": (
        spin_with(dataschema="urn:edge:schema:game.spin.requested:9.9"),
        "unknown_version",
        "/dataschema",
    ),
    "27 another type's schema": (
        spin_with(dataschema="urn:edge:schema:bet.slip.submitted:1.0"),
        "schema_violation",
        "/dataschema",
    ),
    "28 an hour old": (
        spin_with(time=timestamp(unix_ms() - 3_600_000)),
        "clock_skew",
        "/time",
    ),
    "28 of tomorrow": (
        spin_with(time=timestamp(unix_ms() + 86_400_000)),
        "clock_skew",
        "/time",
    ),
    "28 leap second": (spin_with(time="2016-12-31T23:59:60Z"), "schema_violation", "/time"),
    "37 another player": (spin_with(subject="player-rich"), "subject_mismatch", "/subject"),
    "37 another session": (
        spin_with(session="00000000-0000-4000-8000-000000000000"),
        "subject_mismatch",
        "/session",
    ),
    "37 another brand": (spin_with(brand="south"), "brand_mismatch", "/brand"),
    "37 another law": (spin_with(jurisdiction="GB"), "brand_mismatch", "/jurisdiction"),
    "a client that states a fact": (fact, "authority_denied", "/type"),
    "53 line end": (spin_data(game_id="a\r\nb"), "schema_violation", "/data/game_id"),
    "53 terminal codes": (spin_with(subject="a\x1b[31mb"), "schema_violation", "/subject"),
    "57 number 0": (spin_with(seq=0), "schema_violation", "/seq"),
    "57 number beyond 32 bits": (spin_with(seq=2**31), "schema_violation", "/seq"),
    "57 no number": (spin_without("seq"), "schema_violation", "/seq"),
    "58 no session": (spin_without("session"), "schema_violation", "/session"),
    "58 a null id": (spin_with(id=None), "schema_violation", "/id"),
    "58 unknown extension": (spin_with(colour="red"), "schema_violation", ""),
    "58 edge attribute": (spin_with(edgenode="mine"), "schema_violation", ""),
    "58 binary data": (spin_with(data_base64="AAAA"), "schema_violation", ""),
    "61 a system of twenty": (twenty_legs_as_system, "schema_violation", "/data/legs"),
    "61 a payout beyond 2^53": (
        lambda ada: with_data(
            slip_submitted(ada, some_uuid(ada.rng)), {"max_payout_minor": 2**53}
        ),
        "schema_violation",
        "/data/max_payout_minor",
    ),
    "62 a card number": (
        lambda ada: slip_submitted(ada, some_uuid(ada.rng), "4111 1111 1111 1111"),
        "pii_leak",
        "/data/legs/0/specifiers",
    ),
    "62 an e-mail address": (
        lambda ada: slip_submitted(ada, some_uuid(ada.rng), "ada@lovelace.example"),
        "pii_leak",
        "/data/legs/0/specifiers",
    ),
}
STATUS: Final = {
    "clock_skew": 422,
    "subject_mismatch": 403,
    "brand_mismatch": 403,
    "authority_denied": 403,
}


@pytest.mark.parametrize(("say", "code", "pointer"), REFUSED.values(), ids=REFUSED.keys())
def test_one_bad_event_is_refused_and_costs_its_neighbour_nothing(
    door: World, ada: Visit, say: Callable[[Visit], Event], code: str, pointer: str | None
) -> None:
    bad = say(ada)

    alone = door.say(ada, bad)
    together = door.say(ada, bad, TABLE.spin(ada, 100))

    assert alone.refusals == [(0, code, pointer)]
    assert alone.status == STATUS.get(code, 422)
    assert (together.status, together.counts) == (202, (1, 0))
    assert together.refusals == [(0, code, pointer)]


ACCEPTED: Final[Mapping[str, Callable[[Visit], Event]]] = {
    "58 nulls are absent": spin_with(
        dataschema=None, datacontenttype=None, traceparent=None, brand=None
    ),
    "57 a jump to the last number": spin_with(seq=2**31 - 1),
    "62 a numeric id that passes Luhn": spin_data(request_id="4111111111111111"),
    "brand and law as in the token": spin_with(brand="north", jurisdiction="MT"),
    "an invalid traceparent is dropped": spin_with(traceparent="00-zz"),
    "a zone other than UTC": spin_with(time="TIME"),
}


@pytest.mark.parametrize("say", ACCEPTED.values(), ids=ACCEPTED.keys())
def test_strange_but_right(door: World, ada: Visit, say: Callable[[Visit], Event]) -> None:
    event = say(ada)
    if event["time"] == "TIME":
        event["time"] = timestamp(unix_ms() + 3_600_000).replace("Z", "+01:00")

    answer = door.say(ada, event)

    assert (answer.status, answer.counts, answer.refusals) == (202, (1, 0), [])


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

    assert door.say(token, fact(ada) | {"seq": 1}).refusals == [(0, "schema_violation", "/seq")]


def test_38_a_lane_outside_the_scope(door: World, ada: Visit) -> None:
    token = door.issuer.service("cashier", "wallet")

    answer = door.say(token, fact(ada))

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
