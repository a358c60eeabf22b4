"""What is tried is refused exactly when a door refuses it, with words that name an option."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge.core.authenticate import authenticate
from edge.core.authorise import authorise_request, authorise_stream
from edge.core.reject import Reject
from edge.shell.keys.mint import (
    TTL_S,
    Grant,
    SigningKey,
    key_set,
    mint,
    passing_key,
    read_signing_key,
)
from edge.shell.keys.trial import caution, complaint
from tests.fakes import AUDIENCE, ISSUER, NOW, SESSION, FixedKeys, bearer, gate

KEY: Final = passing_key()
SERVICES: Final = Grant(iss=ISSUER, aud=AUDIENCE, sub="wallet", scope="facts:bet")
PLAYERS: Final = replace(
    SERVICES,
    sub="p-0001",
    scope="events:write",
    sid=SESSION,
    brand="aurora",
    jurisdiction="MT",
)
DECADE_S: Final = 10 * 366 * 86_400


def is_let_in(key: SigningKey, grant: Grant) -> bool:
    """Whether one of the doors takes such a token."""
    keys = FixedKeys({})
    keys.publish(key_set(key))
    try:
        principal = authenticate(bearer(mint(key, grant, NOW)), gate(keys), NOW)
    except Reject:
        return False
    for door in (authorise_request, authorise_stream):
        try:
            door(principal)
        except Reject:
            continue
        return True
    return False


def test_a_grant_is_refused_exactly_when_no_door_takes_it_and_an_option_is_named() -> None:
    """Planted: a rule of the core's without words; a player's token judged by one door only."""
    grants = [
        replace(SERVICES, sub=sub, sid=sid, brand=brand, jurisdiction=jurisdiction, scope=scope)
        for sub, sid, brand, jurisdiction, scope in product(
            ("p-0001", "pe", "joe@example.com", "", "p\n", "x" * 129),
            (None, SESSION, SESSION.upper(), "s", ""),
            (None, "aurora", "A"),
            (None, "MT", "US-NJ", "Malta"),
            (
                "events:write",
                "stream:read",
                "facts:bet",
                "events:write facts:bet",
                "stream:read facts:game",
            ),
        )
    ]

    told = [complaint(KEY, grant, NOW) for grant in grants]

    assert [said is None for said in told] == [is_let_in(KEY, grant) for grant in grants]
    assert {said[:2] for said in told if said} == {"--"}
    assert None in told


@pytest.mark.parametrize(
    ("grant", "said"),
    [
        pytest.param(replace(PLAYERS, sub="pe"), "--sub must be written as", id="short"),
        pytest.param(replace(PLAYERS, sub="joe@example.com"), "{4,64}", id="an address"),
        pytest.param(replace(SERVICES, sub=""), "--sub must have 1 to 128", id="no name"),
        pytest.param(replace(PLAYERS, brand=None), "--brand, ^", id="no brand"),
        pytest.param(replace(PLAYERS, jurisdiction=None), "both", id="no jurisdiction"),
        pytest.param(replace(PLAYERS, jurisdiction="Malta"), "such as MT", id="a country"),
        pytest.param(replace(PLAYERS, brand="Aurora"), "--brand must", id="a capital"),
        pytest.param(replace(PLAYERS, sid="s"), "--sid must be a UUID", id="no UUID"),
        pytest.param(
            replace(PLAYERS, scope="facts:bet"), "--scope must be without", id="facts"
        ),
        pytest.param(replace(SERVICES, scope="events:write"), "--sid UUID", id="no session"),
        pytest.param(replace(SERVICES, brand="aurora"), "--sid UUID", id="a service's brand"),
        pytest.param(replace(SERVICES, scope="stream:read"), "facts:<lane>", id="listens only"),
        pytest.param(replace(SERVICES, iss=""), "--iss must", id="no issuer"),
        pytest.param(replace(SERVICES, aud="a\nb"), "--aud must", id="no audience"),
        pytest.param(replace(SERVICES, iss="i" * 2048, aud="a" * 2048), "too long", id="long"),
        pytest.param(replace(SERVICES, ttl_s=0), "--ttl must be at least 1 s", id="over"),
        pytest.param(replace(SERVICES, ttl_s=DECADE_S + 1), "--ttl", id="for ever"),
        pytest.param(replace(SERVICES, ttl_s=10**40), "--ttl", id="beyond any number"),
        pytest.param(replace(SERVICES, brands=("A",)), "no gateway would take it", id="other"),
    ],
)
def test_it_says_which_option_is_wrong_and_what_form_it_has(grant: Grant, said: str) -> None:
    assert said in (complaint(KEY, grant, NOW) or "")


@pytest.mark.parametrize(
    "changes", [{}, {"scope": "stream:read"}, {"sid": SESSION.upper()}, {"ttl_s": DECADE_S}]
)
def test_what_a_gateway_takes_is_not_complained_about(changes: dict[str, Any]) -> None:
    assert complaint(KEY, replace(PLAYERS, **changes), NOW) is None
    assert complaint(KEY, replace(SERVICES, ttl_s=1), NOW) is None


def test_a_key_that_no_gateway_takes_is_blamed_itself(tmp_path: Path) -> None:
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505  # that is the point
    path = tmp_path / "key.pem"
    path.write_bytes(weak.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    said = complaint(read_signing_key(path), SERVICES, NOW)

    assert said is not None
    assert said.startswith("--key is none that a gateway takes: ")


def test_a_gateway_must_be_set_for_what_lives_longer_than_usual() -> None:
    told = [caution(replace(SERVICES, ttl_s=ttl_s)) for ttl_s in (TTL_S, 86_400, 86_401)]

    assert told[:2] == [None, None]
    assert "auth.lifetime_max_s" in (told[2] or "")
