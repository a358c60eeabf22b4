"""Tokens that verify with the key that the key server hands out."""

import http.client
import json
from random import Random

import jwt
import pytest

from edge.demo.issuer import AUDIENCE, Issuer
from edge.demo.payloads import Visit

VISIT = Visit("player-ada", "north", "MT", Random(1))  # noqa: S311  # no secret


def claims(token: str, issuer: Issuer) -> dict[str, object]:
    """Verify *token* with the keys *issuer* publishes, as a stranger would."""
    key = jwt.PyJWK(json.loads(issuer.jwks())["keys"][0])
    return jwt.decode(token, key, algorithms=["EdDSA"], audience=AUDIENCE, issuer=issuer.name)


def test_the_key_server_serves_the_keys() -> None:
    with Issuer() as issuer:
        port = int(issuer.jwks_url.split(":")[2].split("/")[0])
        server = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        server.request("GET", "/jwks.json")
        answer = server.getresponse()

        assert answer.read() == issuer.jwks()
        assert answer.headers["content-type"] == "application/jwk-set+json"
        server.close()


def test_no_private_half_is_published() -> None:
    assert b'"d"' not in Issuer().jwks()


def test_a_players_token_says_whose_session_it_is() -> None:
    issuer = Issuer()

    said = claims(issuer.player(VISIT), issuer)

    assert {name: said[name] for name in ("sub", "sid", "brand", "jurisdiction", "scope")} == {
        "sub": "player-ada",
        "sid": VISIT.session,
        "brand": "north",
        "jurisdiction": "MT",
        "scope": "events:write",
    }


def test_a_services_token_has_no_session_and_its_lanes_as_scopes() -> None:
    issuer = Issuer()

    said = claims(issuer.service("game-servers", "bet", "game"), issuer)

    assert said["scope"] == "facts:bet facts:game"
    assert said["client_id"] == "game-servers"
    assert "sid" not in said


def test_another_issuers_token_does_not_verify() -> None:
    with pytest.raises(jwt.InvalidSignatureError):
        claims(Issuer().player(VISIT), Issuer())


def test_an_expired_token_can_be_had() -> None:
    issuer = Issuer()

    with pytest.raises(jwt.ExpiredSignatureError):
        claims(issuer.player(VISIT, iat=0, exp=60), issuer)
