"""Verified claims: which speaker they describe, and which they fail to describe."""

import itertools

import msgspec
import pytest
from hypothesis import given, strategies as st

from edge.core.claims import UNIX_S_MAX, principal_of, read_claims
from edge.core.lane import Lane
from edge.core.principal import Kind, Principal
from edge.core.reject import Reason, Reject
from edge.core.unambiguous import Ambiguous
from tests.fakes import (
    ABSENT,
    BRAND,
    JTI,
    JURISDICTION,
    NOW_S,
    PLAYER,
    SERVICE,
    SESSION,
    player_claims,
    service_claims,
)


def _principal(claims: dict[str, object]) -> Principal:
    return principal_of(read_claims(msgspec.json.encode(claims)))


def test_a_players_claims_make_a_player() -> None:
    assert _principal(player_claims()) == Principal(
        kind=Kind.PLAYER,
        subject=PLAYER,
        client_id="web",
        session=SESSION,
        brand=BRAND,
        jurisdiction=JURISDICTION,
        writes=frozenset(Lane),
        reads_stream=True,
        jti=JTI,
        expires_unix_s=NOW_S + 3600,
    )


def test_a_services_claims_make_a_service() -> None:
    claims = service_claims(scope="facts:wallet facts:bet", brands=["aurora"])

    assert _principal(claims) == Principal(
        kind=Kind.SERVICE,
        subject=SERVICE,
        client_id=SERVICE,
        brands=frozenset({"aurora"}),
        writes=frozenset({Lane.WALLET, Lane.BET}),
        jti=JTI,
        expires_unix_s=NOW_S + 3600,
    )


def test_a_session_is_told_in_lower_case() -> None:
    assert _principal(player_claims(sid=SESSION.upper())).session == SESSION


def test_claims_we_do_not_know_change_nothing() -> None:
    more = player_claims(realm_access={"roles": ["x"]}, kyc_level=2, ratio=0.5, none=None)

    assert _principal(more) == _principal(player_claims())


@pytest.mark.parametrize(
    ("scope", "writes", "reads_stream"),
    [
        ("events:write", frozenset(Lane), False),
        ("stream:read", frozenset[Lane](), True),
        ("openid events:write profile", frozenset(Lane), False),
        ("", frozenset[Lane](), False),
        (ABSENT, frozenset[Lane](), False),
        ("Events:write", frozenset[Lane](), False),
        ("events:write\tstream:read", frozenset[Lane](), False),
    ],
)
def test_a_players_scopes(
    scope: object, writes: frozenset[Lane], *, reads_stream: bool
) -> None:
    principal = _principal(player_claims(scope=scope))

    assert (principal.writes, principal.reads_stream) == (writes, reads_stream)


@pytest.mark.parametrize(
    ("scope", "writes"),
    [
        *((f"facts:{lane.value}", frozenset({lane})) for lane in Lane),
        ("facts:bet facts:game", frozenset({Lane.BET, Lane.GAME})),
        ("facts:lottery", frozenset[Lane]()),
        ("facts:", frozenset[Lane]()),
        ("stream:read", frozenset[Lane]()),
        (ABSENT, frozenset[Lane]()),
    ],
)
def test_a_services_scopes(scope: object, writes: frozenset[Lane]) -> None:
    principal = _principal(service_claims(scope=scope))

    assert (principal.writes, principal.reads_stream) == (writes, False)


def test_a_service_without_lists_is_bound_to_nothing_and_with_empty_ones_to_nobody() -> None:
    free = _principal(service_claims())
    bound = _principal(service_claims(brands=[], jurisdictions=["GB", "US-NJ"]))

    assert (free.brands, free.jurisdictions) == (None, None)
    assert (bound.brands, bound.jurisdictions) == (
        frozenset[str](),
        frozenset({"GB", "US-NJ"}),
    )


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param(player_claims(sid=ABSENT), id="player without sid"),
        pytest.param(player_claims(brand=ABSENT), id="player without brand"),
        pytest.param(player_claims(jurisdiction=ABSENT), id="player without jurisdiction"),
        pytest.param(player_claims(scope="events:write facts:bet"), id="player with facts"),
        pytest.param(player_claims(scope="facts:lottery"), id="player with unknown facts"),
        pytest.param(player_claims(sub="abc"), id="sub shorter than a player id"),
        pytest.param(player_claims(sub="p" * 65), id="sub longer than a player id"),
        pytest.param(player_claims(sub="ada@example"), id="sub with a character too many"),
        pytest.param(service_claims(sid=SESSION), id="service with sid"),
        pytest.param(service_claims(scope="events:write"), id="service that sends events"),
        pytest.param(service_claims(brand=BRAND), id="service of a player's brand"),
        pytest.param(service_claims(jurisdiction="GB"), id="service of a jurisdiction"),
    ],
)
def test_claims_of_neither_kind_or_of_both_are_refused(claims: dict[str, object]) -> None:
    with pytest.raises(Reject) as refused:
        _principal(claims)

    assert refused.value.reason is Reason.TOKEN_INVALID


_REQUIRED = ["iss", "aud", "sub", "iat", "exp", "jti", "client_id"]


@pytest.mark.parametrize("name", _REQUIRED)
@pytest.mark.parametrize("value", [ABSENT, None, True, 1.5, ["x", 1], {}])
def test_a_required_claim_is_there_and_of_its_type(name: str, value: object) -> None:
    with pytest.raises(Ambiguous):
        read_claims(msgspec.json.encode(player_claims(**{name: value})))


@pytest.mark.parametrize("name", ["iat", "exp", "nbf"])
@pytest.mark.parametrize(
    "value",
    [
        -1,
        UNIX_S_MAX + 1,
        float(NOW_S),
        "1771099200",
        "9_999_999_999",
        " 9999999999 ",
        True,
        None,
        10**18,
    ],
)
def test_a_time_is_an_integer_that_a_calendar_can_show(name: str, value: object) -> None:
    with pytest.raises(Ambiguous):
        read_claims(msgspec.json.encode(player_claims(**{name: value})))


def test_a_time_of_four_hundred_digits_is_refused() -> None:
    written = msgspec.json.encode(player_claims(exp=0)).replace(
        b'"exp":0', b'"exp":1' + b"0" * 400
    )

    with pytest.raises(Ambiguous):
        read_claims(written)


@pytest.mark.parametrize("exp", [0, UNIX_S_MAX])
def test_the_first_and_the_last_time_are_times(exp: int) -> None:
    assert read_claims(msgspec.json.encode(player_claims(exp=exp))).exp == exp


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sub", ""),
        ("sub", "s" * 129),
        ("sub", "a\nb"),
        ("sub", "a\x00"),
        ("sub", "ab\n"),
        ("jti", ""),
        ("client_id", "c" * 129),
        ("scope", None),
        ("scope", ["events:write"]),
        ("sid", None),
        ("sid", ""),
        ("sid", SESSION + "\n"),
        ("sid", SESSION.replace("-", "")),
        ("brand", ""),
        ("brand", "Aurora"),
        ("brand", "a"),
        ("brand", "aurora\n"),
        ("jurisdiction", ""),
        ("jurisdiction", "gb"),
        ("jurisdiction", "GBR"),
        ("jurisdiction", "US-"),
        ("jurisdiction", "GB\n"),
        ("brands", None),
        ("brands", "aurora"),
        ("brands", ["Aurora"]),
        ("jurisdictions", None),
        ("jurisdictions", ["gb"]),
    ],
)
def test_a_claim_has_its_form(name: str, value: object) -> None:
    with pytest.raises(Ambiguous):
        read_claims(msgspec.json.encode(player_claims(**{name: value})))


def test_half_a_surrogate_is_no_name() -> None:
    written = msgspec.json.encode(service_claims(sub="X")).replace(b'"X"', b'"\\ud800"')

    with pytest.raises(Ambiguous):
        read_claims(written)


def test_a_claim_that_stands_twice_is_refused() -> None:
    written = msgspec.json.encode(player_claims())

    with pytest.raises(Ambiguous):
        read_claims(written[:-1] + b',"sub":"player-0002"}')


@given(st.binary())
def test_any_octets_are_claims_or_refused(octets: bytes) -> None:
    with pytest.raises(Ambiguous):
        read_claims(octets)


_WORLD = itertools.product(
    [ABSENT, SESSION],
    [ABSENT, BRAND],
    [ABSENT, JURISDICTION],
    ["", "events:write", "facts:bet", "events:write facts:bet"],
    [ABSENT, ["north"]],
)


def test_a_token_is_wholly_a_players_or_wholly_a_services() -> None:
    for sid, brand, jurisdiction, scope, brands in _WORLD:
        own = {"sid": sid, "brand": brand, "jurisdiction": jurisdiction}
        claims = player_claims(**own, scope=scope, brands=brands)
        if ABSENT not in own.values() and "facts" not in scope:
            assert _principal(claims).kind is Kind.PLAYER
            assert _principal(claims).brands is None
        elif set(own.values()) == {ABSENT} and "events" not in scope:
            assert _principal(claims).kind is Kind.SERVICE
            assert _principal(claims).brands == (None if brands is ABSENT else {"north"})
        else:
            with pytest.raises(Reject):
                _principal(claims)
