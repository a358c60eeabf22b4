"""Stand-ins for the world, shared by every test: a clock that obeys, an issuer of tokens.

The issuer has three keys, one per algorithm family; ``JWKS`` is what it publishes.
"""

import base64
import enum
from dataclasses import dataclass
from typing import Final

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from edge.core.authenticate import Gate, IssuerKeys, TokenCache
from edge.core.instant import NS_PER_S, Instant
from edge.core.keyset import read_key_set

NOW_S: Final = 1_771_099_200
"""2026-02-14T20:00:00Z, a Saturday evening; unix s."""
NOW: Final = Instant(unix_ns=NOW_S * NS_PER_S, steady_ns=1_000 * NS_PER_S)

ISSUER: Final = "https://id.example"
AUDIENCE: Final = "edge"
PLAYER: Final = "player-0001"
SESSION: Final = "0192f3c4-7a10-7c3e-8d52-6b1f0a9e4c11"
BRAND: Final = "aurora"
JURISDICTION: Final = "GB"
SERVICE: Final = "game-server"
JTI: Final = "0192f3c4-0000-7000-8000-000000000001"


def later(seconds: float, *, than: Instant = NOW) -> Instant:
    """The instant *seconds* after *than*, on both clocks."""
    step_ns = round(seconds * NS_PER_S)
    return Instant(unix_ns=than.unix_ns + step_ns, steady_ns=than.steady_ns + step_ns)


@dataclass
class FakeClock:
    """A clock that moves when told."""

    instant: Instant = NOW

    def now(self) -> Instant:
        """Whatever it was set to."""
        return self.instant

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass on both clocks."""
        self.instant = later(seconds, than=self.instant)


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def _unsigned(number: int) -> str:
    return _base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))


PrivateKey = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Signer:
    """One private key and the name it is published under."""

    kid: str
    algorithm: str
    private: PrivateKey

    def jwk(self, **members: object) -> dict[str, object]:
        """The public key as a JWK; *members* are added, or replace others."""
        named: dict[str, object] = {"kid": self.kid, "alg": self.algorithm, "use": "sig"}
        return named | _public_members(self.private) | members

    def token(self, claims: dict[str, object], **header: object) -> str:
        """Sign *claims*; *header* members are added, or replace others."""
        return jwt.encode(
            claims,
            self.private,
            algorithm=self.algorithm,
            headers={"kid": self.kid, "typ": "at+jwt"} | header,
        )


def _public_members(private: PrivateKey) -> dict[str, object]:
    match private:
        case ed25519.Ed25519PrivateKey():
            octets = private.public_key().public_bytes_raw()
            return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(octets)}
        case ec.EllipticCurvePrivateKey():
            point = private.public_key().public_numbers()
            x, y = (_base64url(number.to_bytes(32, "big")) for number in (point.x, point.y))
            return {"kty": "EC", "crv": "P-256", "x": x, "y": y}
        case _:
            modulus = private.public_key().public_numbers()
            return {"kty": "RSA", "n": _unsigned(modulus.n), "e": _unsigned(modulus.e)}


_P: Final = int(
    "e832d898b063f2fb5ef607fc79c76f33d0ac751ddb890ea77097b5e9b5f4a659"
    "75df4bca093cd7cdb3a801e5cfef88c17398a0d154c61ee6591330e31d5d87ca"
    "ab524c28da12f51eea592ad26b060b82de218d0ed3e01b356b49116273421a9e"
    "75e3ed36071f0f91ebc8d474eb79fa111e80865487a217bff607e42c6b854353",
    16,
)
_Q: Final = int(
    "d5c4af466c7ef1fbdd3aeb1c28781163d157407270c6eea57b8f4c62c596e62c"
    "2a4b2b6047ce291e07bda8e2fe2223f1103bf95f859e73e34bd092d620807bde"
    "f5665d5b936622098cecda83f07cd4c149841e08a7a92b2fe5032901ca1bbef9"
    "9eb20286cf57c74f3303268148f4f701ddaf910eaaf67d11870aee859d93ddb1",
    16,
)


def _rsa() -> rsa.RSAPrivateKey:
    """A fixed key: a failing test must fail again."""
    e = 65537
    d = pow(e, -1, (_P - 1) * (_Q - 1))
    return rsa.RSAPrivateNumbers(
        p=_P,
        q=_Q,
        d=d,
        dmp1=rsa.rsa_crt_dmp1(d, _P),
        dmq1=rsa.rsa_crt_dmq1(d, _Q),
        iqmp=rsa.rsa_crt_iqmp(_P, _Q),
        public_numbers=rsa.RSAPublicNumbers(e, _P * _Q),
    ).private_key()


ED: Final = Signer("ed-1", "EdDSA", ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)))
ES: Final = Signer("es-1", "ES256", ec.derive_private_key(7, ec.SECP256R1()))
RS: Final = Signer("rs-1", "RS256", _rsa())


def jwks(*keys: dict[str, object]) -> bytes:
    """A key set as an issuer would publish it."""
    return msgspec.json.encode({"keys": keys})


JWKS: Final = jwks(ED.jwk(), ES.jwk(), RS.jwk())


class Absent(enum.Enum):
    """Stands where a claim is to be left out."""

    ABSENT = enum.auto()


ABSENT: Final = Absent.ABSENT

_COMMON: Final[dict[str, object]] = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "iat": NOW_S,
    "exp": NOW_S + 3600,
    "jti": JTI,
}


def player_claims(**claims: object) -> dict[str, object]:
    """A player's claims, valid at ``NOW`` unless *claims* say otherwise."""
    usual = _COMMON | {
        "sub": PLAYER,
        "client_id": "web",
        "scope": "events:write stream:read",
        "sid": SESSION,
        "brand": BRAND,
        "jurisdiction": JURISDICTION,
    }
    return _present(usual | claims)


def service_claims(**claims: object) -> dict[str, object]:
    """A backend service's claims: every lane of facts, bound to no brand."""
    scope = "facts:player facts:wallet facts:bet facts:game facts:bonus facts:telemetry"
    return _present(_COMMON | {"sub": SERVICE, "client_id": SERVICE, "scope": scope} | claims)


def _present(claims: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in claims.items() if value is not ABSENT}


def player_token(**claims: object) -> str:
    """A player's token, good at ``NOW``; a claim set to ``ABSENT`` is left out."""
    return ED.token(player_claims(**claims))


def service_token(**claims: object) -> str:
    """A service's token, good at ``NOW``; a claim set to ``ABSENT`` is left out."""
    return ED.token(service_claims(**claims))


def bearer(token: str) -> list[bytes]:
    """Every value of a request's ``Authorization`` header."""
    return [b"Bearer " + token.encode("ascii")]


@dataclass
class FixedKeys:
    """Keys that change when told; good for an hour after ``NOW``."""

    held: dict[str, IssuerKeys]

    def keys_of(self, issuer: str) -> IssuerKeys | None:
        """Whatever is there."""
        return self.held.get(issuer)

    def publish(self, jwks: bytes, *, issuer: str = ISSUER) -> None:
        """Replace an issuer's keys, as a renewal that found others would."""
        before = self.held.get(issuer)
        generation = 1 if before is None else before.generation + 1
        stale_steady_ns = later(3600).steady_ns
        self.held[issuer] = IssuerKeys(
            read_key_set(jwks, fallback=None).keys, generation, stale_steady_ns
        )


def fixed_keys() -> FixedKeys:
    """The keys of ``ISSUER``."""
    keys = FixedKeys({})
    keys.publish(JWKS)
    return keys


def gate(keys: FixedKeys | None = None) -> Gate:
    """Believe ``ISSUER``, whose tokens live a day at most."""
    return Gate(
        audiences={ISSUER: AUDIENCE},
        keys=keys or fixed_keys(),
        cache=TokenCache(),
        lifetime_max_s=86400,
    )
