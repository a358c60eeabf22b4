"""Tokens and revocations are what the gateway asks for, and verify against the key set."""

import json
from typing import Any

import jwt

from loadtests.bench.tokens import AUDIENCE, ISSUER, LIFETIME_S, Director, Issuer, Signer


def key_of(signer: Signer, document: str, typ: str) -> jwt.PyJWK:
    """Find the key of *document*, whose header says what it is."""
    (key,) = jwt.PyJWKSet.from_dict(json.loads(signer.jwks())).keys
    assert jwt.get_unverified_header(document) == {
        "alg": "EdDSA",
        "kid": key.key_id,
        "typ": typ,
    }
    return key


def claims(token: str, issuer: Issuer) -> dict[str, Any]:
    """Verify *token* as any reader of the key set would."""
    key = key_of(issuer, token, "at+jwt")
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


def test_revocations_are_of_sessions_players_and_tokens_and_outlast_the_run() -> None:
    director = Director()

    lines = director.revocations(6).splitlines()

    said = [
        jwt.decode(
            line,
            key_of(director, line, "edge-directive+jwt").key,
            ["EdDSA"],
            options={"verify_jti": False},  # it names tokens here, and is a list
        )
        for line in lines
    ]
    assert len({each["id"] for each in said}) == len(said) == 6
    for each, named in zip(said, ("session", "subject", "jti") * 2, strict=True):
        assert each.keys() == {"id", "kind", "issued_at", "until", named}
        assert each["until"] - each["issued_at"] == LIFETIME_S
    assert not {each.get("subject", "") for each in said} & {"player-00001", "player-00004"}
