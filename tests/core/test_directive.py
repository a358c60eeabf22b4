"""Directives: what is believed, and everything that is not."""

import base64
import json
from typing import Final

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, strategies as st

from edge.core.directive import (
    DIRECTIVE_BYTES_MAX,
    JTIS_MAX,
    DirectiveRefused,
    claimed_id,
    read_directive,
)
from edge.core.keyset import read_key_set
from edge.core.revocations import Revocation
from tests.fakes import ED, ES, JWKS, NOW_S, PLAYER, RS, SESSION, Signer, jwks
from tests.fakes_directives import (
    DIRECTIVE_KEYS,
    FORGER,
    HOUR_S,
    ORIGIN,
    directive,
    directive_claims,
)

ABSENT: Final = object()


def why(octets: bytes) -> str:
    with pytest.raises(DirectiveRefused) as refused:
        read_directive(octets, DIRECTIVE_KEYS)
    return str(refused.value)


def with_claims(**changes: object) -> bytes:
    claims = {
        name: value
        for name, value in (directive_claims() | changes).items()
        if value is not ABSENT
    }
    return ORIGIN.token(claims, typ="edge-directive+jwt").encode()


def _signed(payload: bytes) -> bytes:
    """Sign octets that no library would write."""
    assert isinstance(ORIGIN.private, Ed25519PrivateKey)
    header = b'{"alg":"EdDSA","kid":"origin-1","typ":"edge-directive+jwt"}'
    text = _written(header) + b"." + _written(payload)
    return text + b"." + _written(ORIGIN.private.sign(text))


def _written(octets: bytes) -> bytes:
    return base64.urlsafe_b64encode(octets).rstrip(b"=")


def test_a_signed_revocation_is_believed_as_it_stands() -> None:
    signed = directive(session=SESSION.upper())

    assert read_directive(signed, DIRECTIVE_KEYS) == Revocation(
        id="r-1",
        issued_unix_s=NOW_S,
        until_unix_s=NOW_S + HOUR_S,
        forget_unix_s=NOW_S + HOUR_S,
        session=SESSION,
        signed=signed,
    )


def test_a_player_or_tokens_may_be_revoked_instead() -> None:
    assert read_directive(directive(subject=PLAYER), DIRECTIVE_KEYS).subject == PLAYER
    assert read_directive(directive(jti=["a", "b"]), DIRECTIVE_KEYS).jtis == ("a", "b")


@pytest.mark.parametrize("signer", [ED, ES, RS], ids=lambda signer: signer.algorithm)
def test_each_kind_of_key_may_sign(signer: Signer) -> None:
    keys = read_key_set(jwks(signer.jwk()), None).keys

    assert read_directive(directive(signer), keys).session == SESSION


REFUSED: Final = {
    "unsigned": b".".join([*directive().split(b".")[:2], b""]),
    "alg none": b"eyJhbGciOiJub25lIn0.e30.c2ln",
    "forged under our key's name": directive(FORGER),
    "signed by an issuer of tokens": directive(ED),
    "typed as a token": ORIGIN.token(directive_claims()).encode(),
    "typed as plain JWT": ORIGIN.token(directive_claims(), typ="JWT").encode(),
    "no JSON": b"<html>",
    "two on one line": directive() + b" " + directive(),
    "a blank before it": b" " + directive(),
    "half of one": directive()[:100],
    "too long": directive() + b"A" * DIRECTIVE_BYTES_MAX,
    "no id": with_claims(id=ABSENT),
    "an id with blanks": with_claims(id="a b"),
    "an id with a line break": with_claims(id="a\n"),
    "an id too long": with_claims(id="x" * 129),
    "an empty id": with_claims(id=""),
    "no kind": with_claims(kind=ABSENT),
    "an unknown kind": with_claims(kind="exclusion"),
    "no until": with_claims(until=ABSENT),
    "until as text": with_claims(until=str(NOW_S)),
    "until as a fraction": with_claims(until=NOW_S + 0.5),
    "until null": with_claims(until=None),
    "until past the year 9999": with_claims(until=10**12),
    "until below zero": with_claims(until=-1),
    "no issued_at": with_claims(issued_at=ABSENT),
    "issued_at as a truth": with_claims(issued_at=True),
    "nobody": with_claims(session=ABSENT),
    "a session and a player": with_claims(subject=PLAYER),
    "a session and a token": with_claims(jti=["a"]),
    "a session that is none": with_claims(session="all"),
    "an empty session": with_claims(session=""),
    "a session null": with_claims(session=None),
    "an empty player": directive(subject=""),
    "a player that is none": directive(subject="a b"),
    "no tokens": directive(jti=[]),
    "one token not in a list": directive(jti="a"),
    "too many tokens": directive(jti=[str(number) for number in range(JTIS_MAX + 1)]),
    "an empty token": directive(jti=["a", ""]),
    "another member": with_claims(brand="aurora"),
    "a list": _signed(b"[]"),
    "a demand": ORIGIN.token(directive_claims(), typ="edge-directive+jwt", crit=["x"]).encode(),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_signed_and_exact_is_refused(name: str) -> None:
    complaint = why(REFUSED[name])

    assert complaint
    assert PLAYER not in complaint
    assert SESSION not in complaint


def test_names_that_stand_twice_are_refused() -> None:
    payload = json.dumps(directive_claims()).encode()[:-1] + b',"until":1}'
    signed = _signed(payload)

    assert why(signed) == "not unambiguous JSON in UTF-8"


def test_the_longest_directive_fits() -> None:
    wide = [f"{number:0128}" for number in range(JTIS_MAX)]
    signed = directive(RS, id="x" * 128, jti=wide)

    believed = read_directive(signed, read_key_set(JWKS, None).keys)

    assert believed.jtis == tuple(wide)
    assert (
        len(signed) + 342 <= DIRECTIVE_BYTES_MAX
    )  # an RS256 signature of 4,096 bits is longer


def test_a_directive_that_is_over_is_still_believed_for_what_it_lifts() -> None:
    assert read_directive(directive(until=0), DIRECTIVE_KEYS).until_unix_s == 0


@given(st.binary(max_size=300))
def test_any_octets_are_refused(octets: bytes) -> None:
    why(octets)


def test_an_id_is_claimed_signed_or_not() -> None:
    assert claimed_id(directive(id="r-9")) == "r-9"
    assert claimed_id(directive(FORGER, id="r-9")) == "r-9"
    assert claimed_id(directive(id="r-9")[:-46]) == "r-9"


@pytest.mark.parametrize(
    "name", ["no JSON", "half of one", "too long", "no id", "a list", "alg none"]
)
def test_what_names_no_id_claims_none(name: str) -> None:
    assert claimed_id(REFUSED[name]) is None


def test_an_id_that_is_no_text_is_none() -> None:
    assert claimed_id(with_claims(id=["r-9"])) is None


@given(st.binary(max_size=300))
def test_any_octets_may_be_asked_for_their_id(octets: bytes) -> None:
    claimed_id(octets)
    claimed_id(b"e30." + _written(octets) + b".")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*directive_claims(), "jti", "subject", "x"]), _JSON))
def test_any_signed_claims_are_believed_or_refused(changes: dict[str, object]) -> None:
    try:
        payload = json.dumps(directive_claims() | changes).encode()
        believed = read_directive(_signed(payload), DIRECTIVE_KEYS)
    except DirectiveRefused:
        return
    named = [bool(believed.session), bool(believed.subject), bool(believed.jtis)]
    assert sum(named) == 1
    assert claimed_id(believed.signed) == believed.id
