"""An origin that directs: revocations as the core holds them, and as it signs them.

Its key is one of its own, never an issuer's; ``DIRECTIVE_JWKS`` is what it publishes.
"""

from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.core.keyset import Key, read_key_set
from edge.core.revocations import Revocation
from tests.fakes import NOW_S, SESSION, Signer, jwks

ORIGIN: Final = Signer("origin-1", "EdDSA", Ed25519PrivateKey.from_private_bytes(b"o" * 32))
FORGER: Final = Signer("origin-1", "EdDSA", Ed25519PrivateKey.from_private_bytes(b"f" * 32))
"""Says it is ``ORIGIN``; has another key."""

DIRECTIVE_JWKS: Final = jwks(ORIGIN.jwk())
DIRECTIVE_KEYS: Final[dict[str, Key]] = dict(read_key_set(DIRECTIVE_JWKS, None).keys)

HOUR_S: Final = 3600


def revocation(
    *,
    name: str = "r-1",
    issued_s: int = 0,
    until_s: int = HOUR_S,
    session: str = "",
    subject: str = "",
    jtis: tuple[str, ...] = (),
) -> Revocation:
    """One revocation, believed; times in s from ``NOW``."""
    said = [name, issued_s, until_s, session, subject, jtis]
    return Revocation(
        id=name,
        issued_unix_s=NOW_S + issued_s,
        until_unix_s=NOW_S + until_s,
        forget_unix_s=NOW_S + until_s,
        session=session,
        subject=subject,
        jtis=jtis,
        signed=msgspec.json.encode(said),
    )


def directive_claims(**claims: object) -> dict[str, object]:
    """What a directive says: revoked is ``SESSION``, unless *claims* say otherwise."""
    usual: dict[str, object] = {
        "id": "r-1",
        "kind": "revocation",
        "issued_at": NOW_S,
        "until": NOW_S + HOUR_S,
    }
    named = {"session", "subject", "jti"} & claims.keys()
    return usual | ({} if named else {"session": SESSION}) | claims


def directive(signer: Signer = ORIGIN, **claims: object) -> bytes:
    """A signed directive."""
    return signer.token(directive_claims(**claims), typ="edge-directive+jwt").encode()


def lines(*documents: bytes) -> bytes:
    """A source file of these documents."""
    return b"".join(document + b"\n" for document in documents)
