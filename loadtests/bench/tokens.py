"""Who signs for the bench: an issuer its tokens, a director its revocations; one key each."""

import base64
import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ISSUER: Final = "https://id.bench.example"
AUDIENCE: Final = "edge"
KEY_ID: Final = "bench-1"
# Longer than any run, the soak included; within the gateway's ``auth.lifetime_max_s``.
LIFETIME_S: Final = 6 * 3600


class Signer:
    """One Ed25519 key, and its key set."""

    def __init__(self) -> None:
        self._private = Ed25519PrivateKey.generate()

    def jwks(self) -> str:
        """Write the key set.

        Source: RFC 8037 §2 (OKP keys).
        """
        octets = self._private.public_key().public_bytes_raw()
        x = base64.urlsafe_b64encode(octets).rstrip(b"=").decode()
        key = {"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig"}
        return json.dumps({"keys": [key | {"kid": KEY_ID, "x": x}]})

    def _jws(self, typ: str, claims: Mapping[str, object]) -> str:
        headers = {"kid": KEY_ID, "typ": typ}
        return jwt.encode(dict(claims), self._private, "EdDSA", headers=headers)


class Issuer(Signer):
    """Signs what clients and services carry.

    Attributes:
        scope: Of players' tokens.
    """

    scope: ClassVar[str] = "events:write"

    def player(self, subject: str, session: str, brand: str, jurisdiction: str) -> str:
        """Sign what a player's client carries."""
        return self._sign(
            sub=subject,
            sid=session,
            brand=brand,
            jurisdiction=jurisdiction,
            client_id="app",
            scope=self.scope,
        )

    def service(self, name: str) -> str:
        """Sign what a backend service carries that states facts about bets."""
        return self._sign(sub=name, client_id=name, scope="facts:bet")

    def _sign(self, **claims: str) -> str:
        now_s = time.time_ns() // 1_000_000_000
        own: dict[str, object] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "iat": now_s,
            "exp": now_s + LIFETIME_S,
            "jti": str(uuid.uuid4()),
        }
        return self._jws("at+jwt", own | claims)


class Director(Signer):
    """Signs revocations, of nobody who speaks in a bench."""

    def revocations(self, count: int) -> str:
        """Write a source of *count*: of sessions, of players and of tokens, in turn."""
        now_s = time.time_ns() // 1_000_000_000
        own: dict[str, object] = {
            "kind": "revocation",
            "issued_at": now_s,
            "until": now_s + LIFETIME_S,
        }
        named: Sequence[Callable[[int], dict[str, object]]] = (
            lambda _: {"session": str(uuid.uuid4())},
            lambda number: {"subject": f"banned-{number:05d}"},
            lambda _: {"jti": [str(uuid.uuid4())]},
        )
        lines = (
            self._jws(
                "edge-directive+jwt",
                own | {"id": f"bench-{number}"} | named[number % len(named)](number),
            )
            for number in range(count)
        )
        return "".join(f"{line}\n" for line in lines)
