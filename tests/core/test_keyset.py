"""Key sets: what is refused whole, what is skipped, what may verify."""

import base64
import json
import math
from typing import Final

import pytest
from hypothesis import example, given, strategies as st

from edge.core.keyset import (
    KEY_SET_BYTES_MAX,
    KEYS_MAX,
    Algorithm,
    Key,
    KeySetRefused,
    is_kid,
    read_key_set,
)
from tests.fakes import ED, ES, JWKS, RS, Signer, jwks


def _unsigned(number: int) -> str:
    octets = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def _modulus(bits: int = 2048) -> int:
    encoded = RS.jwk()["n"]
    assert isinstance(encoded, str)
    return int.from_bytes(base64.urlsafe_b64decode(encoded + "=="), "big") >> (2048 - bits)


def _roca_modulus() -> int:
    """A number of the form the broken generator makes, without small factors.

    Source: CVE-2017-15361: modulo the product of the first primes a power of 65,537.
    """
    product = math.prod(n for n in range(2, 354) if all(n % d for d in range(2, n)))
    residue = pow(65537, 1234, product)
    start = (1 << 2047) // product + 1
    candidates = (residue + product * step for step in range(start, start + 1000))
    small = math.prod(n for n in range(354, 752) if all(n % d for d in range(2, n)))
    return next(n for n in candidates if math.gcd(n, small) == 1)


def test_each_key_is_bound_to_the_algorithm_it_names() -> None:
    keys = read_key_set(JWKS, fallback=None).keys

    assert {kid: key.algorithm for kid, key in keys.items()} == {
        "ed-1": "EdDSA",
        "es-1": "ES256",
        "rs-1": "RS256",
    }
    assert all(key.kid == kid for kid, key in keys.items())
    assert keys["ed-1"].public == ED.private.public_key()
    assert keys["es-1"].public == ES.private.public_key()
    assert keys["rs-1"].public == RS.private.public_key()


def test_the_same_document_read_twice_gives_equal_keys() -> None:
    assert read_key_set(JWKS, fallback=None) == read_key_set(JWKS, fallback=None)


@pytest.mark.parametrize(
    ("signer", "fallback"), [(ED, "EdDSA"), (ES, "ES256"), (RS, "RS256"), (RS, "PS256")]
)
def test_a_key_that_names_no_algorithm_takes_the_issuers(
    signer: Signer, fallback: Algorithm
) -> None:
    jwk = signer.jwk()
    del jwk["alg"]

    keys = read_key_set(jwks(jwk), fallback).keys

    assert keys[signer.kid].algorithm == fallback


def test_a_key_that_names_an_algorithm_ignores_the_issuers() -> None:
    keys = read_key_set(jwks(RS.jwk(alg="PS256")), "RS256").keys

    assert keys["rs-1"].algorithm == "PS256"


_SECRET: Final[dict[str, object]] = {
    "kty": "oct",
    "kid": "hs-1",
    "alg": "HS256",
    "k": "c2VjcmV0",
}


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="empty body"),
        pytest.param(b"<!doctype html><title>Sign in</title>", id="HTML"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b"{}", id="no keys member"),
        pytest.param(b'{"keys":null}', id="keys null"),
        pytest.param(b'{"keys":{}}', id="keys an object"),
        pytest.param(b'{"keys":[1]}', id="a key that is no object"),
        pytest.param(jwks(), id="no keys"),
        pytest.param(jwks(ED.jwk(use="enc")), id="no usable key"),
        pytest.param(b'{"keys":[],' + JWKS[1:], id="keys twice"),
        pytest.param(JWKS[:-1], id="cut off"),
        pytest.param(b"\xef\xbb\xbf" + JWKS, id="byte order mark"),
        pytest.param(JWKS.decode().encode("utf-16"), id="UTF-16"),
        pytest.param(JWKS + b" " * KEY_SET_BYTES_MAX, id="too large"),
        pytest.param(jwks(*(ED.jwk(kid=f"k{n}") for n in range(KEYS_MAX + 1))), id="33 keys"),
        pytest.param(jwks(ED.jwk(), ES.jwk(kid="ed-1")), id="one kid for two keys"),
        pytest.param(jwks(ED.jwk(), ED.jwk(use="enc")), id="one kid, one key not for us"),
        pytest.param(jwks(ED.jwk(), ED.jwk(kid=1), ES.jwk(kid=1)), id="one odd kid twice"),
        pytest.param(jwks(RS.jwk(), _SECRET), id="a symmetric key beside a public one"),
        pytest.param(jwks(RS.jwk(), {"kty": "oct", "kid": "x"}), id="symmetric without k"),
        pytest.param(jwks(ED.jwk(), RS.jwk(d="AQAB")), id="private exponent"),
        pytest.param(jwks(ED.jwk(d="AQAB", use="enc")), id="private, in a key not for us"),
        pytest.param(jwks(RS.jwk(p="AQAB")), id="private prime"),
        pytest.param(jwks(RS.jwk(oth=[])), id="other primes"),
        pytest.param(jwks(ED.jwk(k=None)), id="a symmetric member, null"),
    ],
)
def test_a_set_is_refused_whole(document: bytes) -> None:
    with pytest.raises(KeySetRefused):
        read_key_set(document, "EdDSA")


@pytest.mark.parametrize(
    ("jwk", "why"),
    [
        pytest.param(RS.jwk(kid=None), "kid", id="kid null"),
        pytest.param(RS.jwk(kid=7), "kid", id="kid a number"),
        pytest.param(RS.jwk(kid=""), "kid", id="kid empty"),
        pytest.param(RS.jwk(kid="a b"), "kid", id="kid with a space"),
        pytest.param(RS.jwk(kid="k" * 129), "kid", id="kid too long"),
        pytest.param(RS.jwk(use="enc"), "signatures", id="for encryption"),
        pytest.param(RS.jwk(use=None), "signatures", id="use null"),
        pytest.param(RS.jwk(key_ops=["encrypt"]), "verifying", id="only encrypts"),
        pytest.param(RS.jwk(key_ops=[]), "verifying", id="does nothing"),
        pytest.param(RS.jwk(key_ops="verify"), "verifying", id="key_ops no list"),
        pytest.param(RS.jwk(alg=None), "no algorithm", id="alg null"),
        pytest.param(RS.jwk(alg="HS256"), "algorithm", id="HS256 on an RSA key"),
        pytest.param(RS.jwk(alg="none"), "algorithm", id="none"),
        pytest.param(RS.jwk(alg="RS512"), "algorithm", id="RS512"),
        pytest.param(RS.jwk(alg="ES256"), "algorithm", id="another family's"),
        pytest.param(RS.jwk(alg=["RS256"]), "algorithm", id="a list"),
        pytest.param(RS.jwk(kty="AKP", alg="ML-DSA-44"), "algorithm", id="a kind of tomorrow"),
        pytest.param(RS.jwk(kty=None), "algorithm", id="no kty"),
        pytest.param(ES.jwk(kid="x", crv="P-384"), "curve", id="P-384"),
        pytest.param(ES.jwk(kid="x", crv="secp256k1"), "curve", id="secp256k1"),
        pytest.param(ES.jwk(kid="x", x=1), "members", id="x a number"),
        pytest.param(ES.jwk(kid="x", x="AA"), "length", id="x short"),
        pytest.param(ES.jwk(kid="x", x="A" * 43), "malformed", id="not on the curve"),
        pytest.param(ES.jwk(kid="x", y="=" * 43), "malformed", id="y not base64url"),
        pytest.param(ED.jwk(kid="x", crv="Ed448"), "curve", id="Ed448"),
        pytest.param(ED.jwk(kid="x", x="AAAA"), "malformed", id="Ed25519 short"),
        pytest.param(RS.jwk(e=None), "members", id="e null"),
        pytest.param(RS.jwk(e="AQAB="), "malformed", id="padded e"),
        pytest.param(RS.jwk(e=_unsigned(3)), "exponent", id="e = 3"),
        pytest.param(RS.jwk(e=_unsigned(65538)), "exponent", id="e even"),
        pytest.param(RS.jwk(e=_unsigned(2**32 + 1)), "exponent", id="e long"),
        pytest.param(RS.jwk(n=_unsigned(_modulus(1024))), "1024 bits", id="RSA-1024"),
        pytest.param(RS.jwk(n=_unsigned(_modulus(2047))), "2047 bits", id="RSA-2047"),
        pytest.param(RS.jwk(n=_unsigned(1 << 8192)), "8193 bits", id="RSA-8193"),
        pytest.param(RS.jwk(n=_unsigned(_modulus() + 1)), "factors", id="modified modulus"),
        pytest.param(RS.jwk(n=_unsigned(_roca_modulus())), "ROCA", id="ROCA"),
    ],
)
def test_a_key_is_skipped_and_its_neighbours_are_kept(jwk: dict[str, object], why: str) -> None:
    key_set = read_key_set(jwks(ED.jwk(), jwk), fallback=None)

    assert set(key_set.keys) == {"ed-1"}
    (reason,) = key_set.skipped
    assert reason.startswith("key 1: ")
    assert why in reason


@pytest.mark.parametrize("missing", ["kid", "alg", "kty", "n", "e"])
def test_a_key_without_a_member_it_needs_is_skipped(missing: str) -> None:
    jwk = RS.jwk()
    del jwk[missing]

    assert set(read_key_set(jwks(ED.jwk(), jwk), fallback=None).keys) == {"ed-1"}


def test_two_nameless_keys_are_two_skipped_keys() -> None:
    nameless = [signer.jwk() for signer in (ES, RS)]
    for jwk in nameless:
        del jwk["kid"]

    key_set = read_key_set(jwks(*nameless, ED.jwk()), fallback=None)

    assert (set(key_set.keys), len(key_set.skipped)) == ({"ed-1"}, 2)


def test_thirty_two_keys_and_64_kib_are_allowed() -> None:
    document = jwks(*(ED.jwk(kid=f"k{n}") for n in range(KEYS_MAX)))
    padded = document + b" " * (KEY_SET_BYTES_MAX - len(document))

    assert len(read_key_set(padded, fallback=None).keys) == KEYS_MAX


def test_a_fresh_rsa_key_is_no_false_alarm() -> None:
    assert isinstance(read_key_set(jwks(RS.jwk()), fallback=None).keys["rs-1"], Key)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("a", True),
        ("A-Z_0.9:+/=", True),
        ("k" * 128, True),
        ("k" * 129, False),
        ("", False),
        ("a\n", False),
        ("é", False),
        (None, False),
        (1, False),
    ],
)
def test_a_kid_is_a_short_printable_name(name: object, *, is_one: bool) -> None:
    assert is_kid(name) is is_one


_ODD: Final[list[object]] = [None, 1, "", "oct", "RS256", "verify", ["verify"], [], 2**80]
_WHOLE: Final = [signer.jwk() for signer in (ED, ES, RS)]
_MEMBERS = st.sampled_from([name for jwk in _WHOLE for name in jwk] + ["key_ops", "d"])
_VALUES = st.sampled_from([value for jwk in _WHOLE for value in jwk.values()] + _ODD)


def _changed(
    jwk: dict[str, object], changes: dict[str, object], missing: set[str]
) -> dict[str, object]:
    return {name: value for name, value in (jwk | changes).items() if name not in missing}


_JWK = st.builds(
    _changed,
    st.sampled_from(_WHOLE),
    st.dictionaries(_MEMBERS, _VALUES, max_size=2),
    st.sets(_MEMBERS, max_size=1),
)


@given(st.lists(_JWK, max_size=4))
@example([{}])
def test_any_members_are_keys_or_refused(keys: list[dict[str, object]]) -> None:
    document = json.dumps({"keys": keys}).encode()
    try:
        key_set = read_key_set(document, "RS256")
    except KeySetRefused:
        return
    assert len(key_set.keys) + len(key_set.skipped) == len(keys)


@given(st.binary())
def test_any_octets_are_a_key_set_or_refused(octets: bytes) -> None:
    with pytest.raises(KeySetRefused):
        read_key_set(octets, "RS256")


@given(st.integers(0, len(JWKS) - 1), st.binary(max_size=3))
def test_a_damaged_key_set_is_read_or_refused(place: int, patch: bytes) -> None:
    document = JWKS[:place] + patch + JWKS[place + len(patch) :]
    try:
        keys = read_key_set(document, fallback=None).keys
    except KeySetRefused:
        return
    assert keys
