"""Lane player: limits measure one thing, and nothing tells who a player is."""

import pytest

from edge.core.reject import Reason
from tests.core.catalogue.examples import TIME_MS, money
from tests.core.catalogue.judging import ABSENT, changed, decoding_complaint, refusal

VIOLATION = Reason.SCHEMA_VIOLATION


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        pytest.param({}, None, id="money"),
        pytest.param({"/data/amount": ABSENT, "/data/duration_ms": 3_600_000}, None, id="time"),
        pytest.param(
            {"/data/amount": money(0), "/data/direction": "remove"}, None, id="removed"
        ),
        pytest.param({"/data/amount": ABSENT}, (VIOLATION, "/data/amount"), id="neither"),
        pytest.param({"/data/duration_ms": 1}, (VIOLATION, "/data/duration_ms"), id="both"),
    ],
)
def test_a_limit_is_either_of_money_or_of_time(
    changes: dict[str, object], verdict: tuple[Reason, str] | None
) -> None:
    assert refusal(changed("player.limit.changed", changes)) == verdict


@pytest.mark.parametrize(
    ("scope", "complaint"),
    [
        pytest.param(["sports"], None, id="only what has no rounds"),
        pytest.param(
            [
                "slots",
                "table",
                "live",
                "crash",
                "instant",
                "bingo",
                "poker",
                "virtual",
                "sports",
            ],
            None,
            id="everything",
        ),
        pytest.param([], "length >= 1 - at `$.data.scope`", id="nothing"),
        pytest.param(["lottery"], "at `$.data.scope[0]`", id="what nobody offers"),
        pytest.param(
            ["slots"] * 10, "length <= 9 - at `$.data.scope`", id="more than there are"
        ),
    ],
)
def test_an_exclusion_is_from_something(scope: list[str], complaint: str | None) -> None:
    found = decoding_complaint(changed("player.exclusion.set", {"/data/scope": scope}))

    assert found is None if complaint is None else complaint in str(found)


def test_an_exclusion_may_end() -> None:
    ending = changed(
        "player.exclusion.set", {"/data/end_ms": TIME_MS, "/data/permanent": False}
    )

    assert refusal(ending) is None


def test_a_net_position_may_be_a_loss() -> None:
    losing = changed("player.reality_check.acknowledged", {"/data/net_position_minor": -1})

    assert refusal(losing) is None


@pytest.mark.parametrize(
    ("event_type", "member"),
    [
        pytest.param("player.session.started", "date_of_birth", id="date of birth"),
        pytest.param("player.location.checked", "latitude", id="coordinate"),
        pytest.param("player.kyc.status_changed", "document_number", id="document"),
    ],
)
def test_there_is_no_place_for_what_is_never_admitted(event_type: str, member: str) -> None:
    telling = changed(event_type, {f"/data/{member}": "x"})

    assert f"unknown field `{member}`" in str(decoding_complaint(telling))


def test_a_free_string_with_an_address_leaks() -> None:
    leaking = changed("player.session.started", {"/data/app_version": "4.1 by ada@example.com"})

    assert refusal(leaking) == (Reason.PII_LEAK, "/data/app_version")


def test_a_device_is_known_only_by_its_hash() -> None:
    named = changed("player.session.started", {"/data/device_id": "X" * 64})

    assert decoding_complaint(named) is None
    assert refusal(named) == (VIOLATION, "/data/device_id")
