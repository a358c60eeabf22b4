"""Tokens are what the gateway's contract asks for, and verify against the key set."""

import json
from typing import Any

import jwt

from loadtests.bench.tokens import AUDIENCE, ISSUER, Issuer


def claims(token: str, issuer: Issuer) -> dict[str, Any]:
    """Verify *token* as any reader of the key set would."""
    (key,) = jwt.PyJWKSet.from_dict(json.loads(issuer.jwks())).keys
    assert jwt.get_unverified_header(token) == {
        "alg": "EdDSA",
        "kid": key.key_id,
        "typ": "at+jwt",
    }
    return jwt.decode(token, key.key, ["EdDSA"], issuer=ISSUER, audience=AUDIENCE)


def test_a_player_is_its_session() -> None:
    issuer = Issuer()

    said = claims(issuer.player("player-1", "s-1", "brand-1", "MT"), issuer)

    assert {"sub": "player-1", "sid": "s-1", "brand": "brand-1"}.items() <= said.items()
    assert said["scope"] == "events:write"


def test_a_service_states_facts_about_bets_and_has_no_session() -> None:
    issuer = Issuer()

    said = claims(issuer.service("game-server"), issuer)

    assert said["scope"] == "facts:bet"
    assert "sid" not in said


def test_no_two_issuers_share_a_key() -> None:
    assert Issuer().jwks() != Issuer().jwks()
