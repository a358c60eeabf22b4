"""Events refused one by one: threats.md 22, 23, 27, 28, 37, 53, 57, 58, 61, 62.

Each row: an event, its code and pointer. Every one is sent alone and beside a good neighbour;
what is strange and right stands in a table of its own.
"""

from collections.abc import Callable, Mapping
from typing import Final, cast

import pytest

from edge.demo.ledger import Event
from edge.demo.payloads import Visit, interactions, some_uuid, timestamp, unix_ms
from edge.demo.rounds import Round, slip_submitted
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system


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
