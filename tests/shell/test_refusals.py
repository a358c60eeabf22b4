"""What is refused is told by code, place and shape: never by what it holds."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from edge.core.admit import RawRequest, admit
from edge.core.decode import Shape
from edge.core.principal import Kind, Principal
from edge.core.reject import Reason, Reject
from edge.core.sampling import CODE_BURST
from edge.core.verdict import Verdict, conclude
from edge.shell.refusals import STAGES
from tests.core.test_admit import spin, stake
from tests.fakes import NOW, PLAYER, SERVICE, FakeClock, bearer, player_token, service_token
from tests.fakes_notices import RecordingCourier, refusals
from tests.house import FakeSpool, house
from tests.test_readme import table

AS_PLAYER = Principal(
    kind=Kind.PLAYER, subject=PLAYER, client_id="web", session="s", expires_unix_s=0
)
AS_SERVICE = Principal(kind=Kind.SERVICE, subject=SERVICE, client_id=SERVICE, expires_unix_s=0)
CANARIES = (
    "eyJhbGciOiJFZERTQSJ9.e30.c2ln",
    "ada@example.com",
    "4111 1111 1111 1111",
    "Lovelace",
)


def judged(*events: object, token: str | None = None) -> list[Verdict]:
    """What the house says of one batch."""
    body = json.dumps(events).encode()
    request = RawRequest(bearer(token or player_token()), Shape.ARRAY, body)
    return admit(request, house(FakeSpool()), NOW)


def told_of(verdicts: Sequence[Verdict], principal: Principal = AS_PLAYER) -> RecordingCourier:
    """What goes to the origin of one batch."""
    courier = RecordingCourier()
    refused = conclude(verdicts, {}).verdicts.refused
    refusals(courier).of_events(refused, verdicts, principal)
    return courier


def test_a_players_refused_event_is_told_with_everything_but_its_values() -> None:
    event = spin()
    event["data"]["stake"]["amount_minor"] = "12"
    courier = told_of(judged(event))

    (record,), (notice,) = courier.records, courier.told()
    excerpt = notice["data"].pop("excerpt")
    assert (record.key, notice["subject"]) == (PLAYER.encode(), PLAYER)
    assert notice["data"] == {
        "stage": "decode",
        "code": "schema_violation",
        "counted": 1,
        "speaker": "player",
        "lane": "game",
        "type": "game.spin.requested",
        "authority": "intent",
        "id": event["id"],
        "pointer": "/data/stake/amount_minor",
    }
    assert excerpt["data"]["stake"]["amount_minor"] == "string(2)"


def test_a_service_is_no_player_so_the_node_is_the_key() -> None:
    event = stake()
    event["data"]["stake"]["amount_minor"] = -1
    courier = told_of(judged(event, token=service_token()), AS_SERVICE)

    (record,), (notice,) = courier.records, courier.told()
    assert (record.key, "subject" in notice) == (b"n-1", False)
    assert notice["data"]["speaker"] == "service"


def test_an_event_of_no_known_type_has_no_type_and_no_lane() -> None:
    (notice,) = told_of(judged({"type": "ada@example.com", "id": "ada"})).told()

    assert {"type", "authority", "lane", "id"}.isdisjoint(notice["data"])
    assert notice["data"]["excerpt"] == {"type": "string(15)", "id": "string(3)"}


def test_an_event_refused_after_it_was_decoded_is_shown_typed() -> None:
    (notice,) = told_of(judged(spin() | {"subject": "player-rich"})).told()

    assert notice["data"]["stage"] == "authorise"
    assert notice["data"]["excerpt"]["data"]["stake"]["amount_minor"] == "integer"
    assert "player-rich" not in json.dumps(notice)


def test_an_event_whose_sync_failed_has_nothing_to_show() -> None:
    verdicts = judged(spin())
    lost = {v.commit: Reject(Reason.LANE_FAILED) for v in verdicts if v.commit}
    courier = RecordingCourier()

    refused = conclude(verdicts, lost).verdicts.refused
    refusals(courier).of_events(refused, verdicts, AS_PLAYER)

    (notice,) = courier.told()
    assert (notice["data"]["stage"], notice["data"]["code"]) == ("spool", "lane_failed")
    assert "excerpt" not in notice["data"]


@pytest.mark.parametrize(
    ("principal", "key", "speaker"),
    [
        (None, b"n-1", None),
        (AS_PLAYER, PLAYER.encode(), "player"),
        (AS_SERVICE, b"n-1", "service"),
    ],
    ids=["stranger", "player", "service"],
)
def test_a_refused_request_is_told_by_its_code(
    principal: Principal | None, key: bytes, speaker: str | None
) -> None:
    courier = RecordingCourier()

    refusals(courier).of_request(Reject(Reason.TOKEN_EXPIRED, "secret"), principal)

    (record,), (notice,) = courier.records, courier.told()
    data = notice["data"]
    assert (record.key, data.pop("speaker", None)) == (key, speaker)
    assert data == {"stage": "authenticate", "code": "token_expired", "counted": 1}


def test_a_flood_is_told_in_a_few_records_that_count_all_of_it() -> None:
    courier, clock = RecordingCourier(), FakeClock()
    teller = refusals(courier, clock)
    for _ in range(5):
        for _ in range(100):
            teller.of_request(Reject(Reason.TOKEN_INVALID), None)
        clock.advance(1)
    teller.of_request(Reject(Reason.TOKEN_INVALID), None)

    counted = [notice["data"]["counted"] for notice in courier.told()]
    assert len(counted) == CODE_BURST + 5
    assert sum(counted) == 501


def test_of_a_batch_of_one_fault_a_few_events_are_told() -> None:
    verdicts = judged(*[{"type": "?"}] * 200)

    assert len(told_of(verdicts).records) == CODE_BURST


@pytest.mark.parametrize("canary", CANARIES)
def test_no_canary_leaves_by_this_way(canary: str) -> None:
    """Planted in every place of a good event, one place at a time, and as a member's name."""
    data = spin()["data"]
    events: list[Any] = [
        canary,
        {canary: canary},
        *(spin() | {name: canary} for name in spin()),
        *(spin() | {"data": data | {name: canary, canary: name}} for name in data),
        spin() | {"traceparent": canary, canary: canary},
    ]
    courier = RecordingCourier()
    clock = FakeClock()
    teller = refusals(courier, clock)
    codes: Counter[str] = Counter()
    for event in events:
        verdicts = judged(event)
        refused = conclude(verdicts, {}).verdicts.refused
        teller.of_events(refused, verdicts, AS_PLAYER)
        codes.update(each.code for each in refused)
        clock.advance(1)

    assert len(courier.records) == codes.total() > len(spin())
    for record in courier.records:
        assert canary not in (record.key + record.value).decode()


def test_every_code_has_its_stage_and_the_readme_agrees() -> None:
    assert STAGES.keys() == {reason.code for reason in Reason}
    for row in table("Path of one event"):
        codes = [word.strip(" ;,") for word in row["refuses with"].split() if "_" in word]
        assert {STAGES[code] for code in codes} <= {row["stage"]}
