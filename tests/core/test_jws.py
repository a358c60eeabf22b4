"""Signed documents: written the one way there is, asking for nothing, signed by the key."""

import base64
import dataclasses
import json
from typing import Final

import pytest
from hypothesis import given, strategies as st

from edge.core.jws import Compact, read_compact, verify
from edge.core.keyset import Key, read_key_set
from edge.core.unambiguous import Ambiguous
from tests.fakes import ED, ES, RS, Signer, jwks
from tests.fakes_directives import FORGER, ORIGIN

TYPES: Final = frozenset({"note+jwt"})
CLAIMS: Final[dict[str, object]] = {"a": 1}
HEADER: Final[dict[str, object]] = {"alg": "EdDSA", "kid": "ed-1", "typ": "note+jwt"}


def written(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def compact(header: object, payload: bytes = b"{}", signature: bytes = b"s") -> bytes:
    return ".".join(map(written, (json.dumps(header).encode(), payload, signature))).encode()


def key_of(signer: Signer) -> Key:
    return read_key_set(jwks(signer.jwk()), None).keys[signer.kid]


@pytest.mark.parametrize("signer", [ED, ES, RS], ids=lambda signer: signer.algorithm)
def test_a_signed_document_says_what_was_signed(signer: Signer) -> None:
    document = read_compact(signer.token(CLAIMS, typ="note+jwt").encode(), TYPES)

    assert document.kid == signer.kid
    assert json.loads(verify(document, key_of(signer))) == CLAIMS


@pytest.mark.parametrize("typ", ["note+jwt", "Note+JWT", "NOTE+JWT"])
def test_the_case_of_its_type_does_not_matter(typ: str) -> None:
    assert read_compact(ED.token(CLAIMS, typ=typ).encode(), TYPES).payload == b'{"a":1}'


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"a.b", id="two parts"),
        pytest.param(b"a.b.c.d", id="four parts"),
        pytest.param(compact(HEADER) + b"=", id="padding"),
        pytest.param(compact(HEADER) + b"\n", id="a line break"),
        pytest.param(b'{"payload":"","signatures":[]}', id="JSON serialisation"),
        pytest.param(compact(HEADER | {"typ": "at+jwt"}), id="another type"),
        pytest.param(compact({"alg": "EdDSA", "kid": "ed-1"}), id="no type"),
        pytest.param(compact(HEADER | {"kid": 1}), id="no kid"),
        pytest.param(compact(HEADER | {"kid": "a b"}), id="no name for a key"),
        pytest.param(compact(HEADER | {"crit": ["x"]}), id="crit"),
        pytest.param(compact(HEADER | {"jwk": "x"}), id="brings its key"),
        pytest.param(compact(HEADER | {"jku": "https://x"}), id="has its key fetched"),
        pytest.param(compact([]), id="a header that is no object"),
    ],
)
def test_what_is_written_otherwise_or_asks_for_more_is_refused(octets: bytes) -> None:
    with pytest.raises(Ambiguous):
        read_compact(octets, TYPES)


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param(FORGER.token(CLAIMS, typ="note+jwt"), id="another key of that name"),
        pytest.param(ORIGIN.token(CLAIMS, typ="note+jwt")[:-2] + "AA", id="another signature"),
        pytest.param(
            dataclasses.replace(RS, kid="origin-1").token(CLAIMS, typ="note+jwt"),
            id="another algorithm",
        ),
    ],
)
def test_what_the_key_has_not_signed_is_refused(forged: str) -> None:
    document = read_compact(forged.encode(), TYPES)

    with pytest.raises(Ambiguous):
        verify(document, key_of(ORIGIN))


class Careless:
    """A library that verifies one document and hands out what another says."""

    def decode(self, octets: bytes, key: object, *, algorithms: list[str]) -> bytes:
        """What nobody signed."""
        del octets, key, algorithms
        return b'{"a":2}'


def test_a_payload_that_is_not_the_one_we_read_is_a_bug(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("edge.core.jws._JWS", Careless())
    document = read_compact(ED.token(CLAIMS, typ="note+jwt").encode(), TYPES)

    with pytest.raises(AssertionError, match="other octets"):
        verify(document, key_of(ED))


@given(st.binary(max_size=200))
def test_any_octets_are_read_or_refused(octets: bytes) -> None:
    with pytest.raises(Ambiguous):
        read_compact(octets, TYPES)


@given(st.binary(max_size=200))
def test_any_signature_but_the_keys_is_refused(signature: bytes) -> None:
    document = Compact(compact(HEADER, signature=signature or b"s"), "ed-1", b"{}")

    with pytest.raises(Ambiguous):
        verify(document, key_of(ED))
