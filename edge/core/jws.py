"""A signed document in compact form: its octets in, and what they say once they are believed.

Tokens and directives are both such documents, told apart by their ``typ``: a key that signs the
one kind never makes anybody believe the other. Three steps, in the order of what they cost. *Is
it written the one way there is?* Compact form, canonical base64url, unambiguous JSON. *Does its
header ask for anything?* What would change how it is read, or where its key comes from, is
refused; all it may choose is a key of the set we hold. *Is it signed?* PyJWT answers that, and
nothing else, with the one algorithm of the key.

Source: RFC 7515; RFC 8725 §3; threats.md 30-34.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import jwt

from edge.core.keyset import Key, is_kid
from edge.core.unambiguous import Ambiguous, base64url, json_object

_COMPACT: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")

_DEMANDS: Final = frozenset({"crit", "b64", "zip", "enc", "jku", "x5u", "jwk", "x5c"})
"""Members that change how a document is read, or bring or fetch the key that verifies it.

Source: RFC 7515 §4.1; RFC 7516 §4.1; RFC 7797 §3; RFC 8725 §3.10.
"""

_JWS: Final = jwt.PyJWS(algorithms=["EdDSA", "ES256", "RS256", "PS256"])


@dataclass(frozen=True, slots=True)
class Compact:
    """A document that is well written. Whether it is signed nobody has asked yet.

    Attributes:
        octets: As it came.
        kid: The key it calls for.
        payload: What it says; not to be believed before :func:`verify`.
    """

    octets: bytes
    kid: str
    payload: bytes


def read_compact(octets: bytes, types: Collection[str]) -> Compact:
    """Take a document apart.

    Args:
        octets: The document, of a bounded length.
        types: What its ``typ`` may be, in lower case.

    Raises:
        Ambiguous: Not written the one way there is, or a header that is not for us.
    """
    if _COMPACT.fullmatch(octets) is None:
        raise Ambiguous("not in compact form")
    header, payload, _ = (base64url(part) for part in octets.split(b"."))
    return Compact(octets, _key_named(header, types), payload)


def verify(document: Compact, key: Key) -> bytes:
    """Return the payload of a document that *key* has signed.

    Raises:
        Ambiguous: It has not.
    """
    try:
        # The one algorithm of the key: PyJWT refuses a header that names another.
        signed = _JWS.decode(document.octets, key.public, algorithms=[key.algorithm])
    except jwt.PyJWTError as error:
        raise Ambiguous(str(error)) from error
    assert signed == document.payload, "PyJWT verified other octets than we read"
    return document.payload


def _key_named(header: bytes, types: Collection[str]) -> str:
    """Judge the header; all it may choose is a key."""
    members = json_object(header)
    if not _DEMANDS.isdisjoint(members):
        raise Ambiguous("a header that makes demands")
    if str(members.get("typ")).lower() not in types:
        raise Ambiguous("not typed as what it should be")
    kid = members.get("kid")
    if not isinstance(kid, str) or not is_kid(kid):
        raise Ambiguous("no kid")
    return kid
