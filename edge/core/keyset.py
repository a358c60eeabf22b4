"""An issuer's key set comes in as bytes; the keys that may verify its tokens go out.

Theory of operation
-------------------
A key set is public text from a server that may be broken, captured or merely generous, and
whatever is taken from it decides who may speak. So two things can happen to it.

*The whole set is refused* when it shows that its publisher lost control: private or symmetric
members (whoever can read them can sign), one ``kid`` for two keys (the token's sender would
choose), a name that stands twice, no usable key at all. The last good set stays.

*One key is skipped* when it is merely not for us: another use, an algorithm we do not accept
or that nobody named, a weak or malformed key. RFC 7517 §5 asks for that, so that an issuer can
publish keys of tomorrow's kinds beside today's.

Every key that is kept is bound to exactly one algorithm, by itself or by the issuer's setting,
never by a token. With symmetric keys refused whole, ``RS256`` and ``ES256`` may stand in one
set (an issuer that changes its algorithm has to publish both), while the mixture that attacks
need, an HMAC key beside a public one, cannot occur.

Source: RFC 7517; RFC 8725 §3.1, §3.2; threats.md, "JWKS client rules".
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from msgspec import Meta

from edge.core.unambiguous import Ambiguous, base64url, json_object

Algorithm: TypeAlias = Literal["EdDSA", "ES256", "RS256", "PS256"]
PublicKey: TypeAlias = Ed25519PublicKey | EllipticCurvePublicKey | RSAPublicKey

KEY_SET_BYTES_MAX: Final = 64 << 10
"""32 RSA keys of 4,096 bits with their certificates fit; a page of HTML may be larger."""

KEYS_MAX: Final = 32
"""Three generations of keys for ten products; no issuer we know publishes more than eight."""

RSA_BITS_MIN: Final = 2048
"""Source: RFC 7518 §3.3."""

RSA_BITS_MAX: Final = 8192
"""A larger key would make each new token cost more than a millisecond to verify."""

RSA_EXPONENT_MAX: Final = 2**32 - 1
"""Above 65,537 nothing is won, and verification time grows with the exponent's length."""

COORDINATE_BYTES: Final = 32
"""Of a point on P-256. Source: RFC 7518 §6.2.1.2."""

_KID: Final = re.compile(r"[A-Za-z0-9._:+/=-]{1,128}")

_FAMILIES: Final[Mapping[str, tuple[Algorithm, ...]]] = {
    "OKP": ("EdDSA",),
    "EC": ("ES256",),
    "RSA": ("RS256", "PS256"),
}

_SECRET_MEMBERS: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"})
"""Source: RFC 7518 §6.2.2, §6.3.2, §6.4; RFC 8037 §2; "priv" of the post-quantum drafts."""


def _primes(*, below: int) -> tuple[int, ...]:
    return tuple(n for n in range(2, below) if all(n % d for d in range(2, math.isqrt(n) + 1)))


_SMALL_FACTORS: Final = math.prod(_primes(below=752))
"""Source: NIST SP 800-89 §5.3.3: a modulus has no factor below 752."""

_ROCA_TRACES: Final = tuple(
    (prime, frozenset(pow(65537, power, prime) for power in range(prime)))
    for prime in _primes(below=168)
    if prime > 2  # noqa: PLR2004  # every odd number is a power of 65,537 modulo 2
)
"""Residues a modulus of the broken generator has modulo each prime: powers of 65,537.

One sound modulus in 240 million looks the same.

Source: Nemec et al., "The Return of Coppersmith's Attack" (CVE-2017-15361), §2.3.
"""


class KeySetRefused(Exception):  # noqa: N818  # a verdict on somebody else's document
    """Nothing of this set may be used. The message says why and quotes nothing of it."""


class _Skipped(Exception):  # noqa: N818  # a verdict on one key, caught in this module
    """This key is not for us; the set goes on."""


@dataclass(frozen=True, slots=True)
class Key:
    """One public key and the only algorithm it verifies.

    Two are equal when a token that one believes the other believes too.

    Attributes:
        kid: The name under which tokens call for it.
        algorithm: From the key itself, else from the issuer's setting; never from a token.
        public: The key, checked: P-256, Ed25519, or RSA of a sound size and shape.
    """

    kid: str
    algorithm: Algorithm
    public: PublicKey


@dataclass(frozen=True, slots=True)
class KeySet:
    """What an issuer publishes, as far as we use it.

    Attributes:
        keys: By ``kid``; at least one.
        skipped: Why each other key is not used, for the operator; without key material.
    """

    keys: Mapping[str, Key]
    skipped: tuple[str, ...]


def is_kid(name: object) -> bool:
    """Whether *name* may name a key, in a key set or in a token's header."""
    return isinstance(name, str) and _KID.fullmatch(name) is not None


def read_key_set(octets: bytes, fallback: Algorithm | None) -> KeySet:
    """Take from a key set the keys that may verify tokens.

    Args:
        octets: The document, as the issuer publishes it.
        fallback: The algorithm of keys that name none; ``None`` leaves those out.

    Raises:
        KeySetRefused: None of it may be used.
    """
    keys: dict[str, Key] = {}
    skipped: list[str] = []
    for position, jwk in enumerate(_sound_jwks(octets)):
        try:
            key = _read_key(jwk, fallback)
            keys[key.kid] = key
        except _Skipped as why:
            skipped.append(f"key {position}: {why}")
    if not keys:
        raise KeySetRefused("; ".join(["no usable key", *skipped]))
    return KeySet(keys, tuple(skipped))


class _Jwks(msgspec.Struct, frozen=True):
    keys: Annotated[list[dict[str, object]], Meta(max_length=KEYS_MAX)]


def _sound_jwks(octets: bytes) -> list[dict[str, object]]:
    """Judge the set as a whole."""
    if len(octets) > KEY_SET_BYTES_MAX:
        raise KeySetRefused(f"larger than {KEY_SET_BYTES_MAX} bytes")
    try:
        jwks = msgspec.convert(json_object(octets), _Jwks).keys
    except Ambiguous as error:
        raise KeySetRefused(str(error)) from error
    except msgspec.ValidationError as error:
        raise KeySetRefused(f"no list of at most {KEYS_MAX} keys") from error
    if any(jwk.get("kty") == "oct" or _SECRET_MEMBERS & jwk.keys() for jwk in jwks):
        raise KeySetRefused("publishes a secret: a symmetric key or private members")
    kids = [jwk["kid"] for jwk in jwks if "kid" in jwk]
    if any(kid in kids[:position] for position, kid in enumerate(kids)):
        raise KeySetRefused("two keys have the same kid")
    return jwks


def _read_key(jwk: dict[str, object], fallback: Algorithm | None) -> Key:
    kid = jwk.get("kid")
    if not isinstance(kid, str) or not is_kid(kid):
        raise _Skipped("no kid that a token may name")
    if jwk.get("use", "sig") != "sig":
        raise _Skipped("not for signatures")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise _Skipped("not for verifying")
    algorithm = _algorithm(jwk, fallback)
    try:
        return Key(kid, algorithm, _public_key(jwk))
    except ValueError as error:
        raise _Skipped("malformed, or not on its curve") from error


def _algorithm(jwk: dict[str, object], fallback: Algorithm | None) -> Algorithm:
    named = jwk.get("alg", fallback)
    if named is None:
        raise _Skipped("names no algorithm, and the issuer's setting neither")
    for algorithm in _FAMILIES.get(str(jwk.get("kty")), ()):
        if algorithm == named:
            return algorithm
    raise _Skipped("its algorithm is not accepted, or not of its type")


def _public_key(jwk: dict[str, object]) -> PublicKey:
    match jwk:
        case {"kty": "OKP", "crv": "Ed25519", "x": str(x)}:
            return Ed25519PublicKey.from_public_bytes(base64url(x))
        case {"kty": "EC", "crv": "P-256", "x": str(x), "y": str(y)}:
            return _point(base64url(x), base64url(y))
        case {"kty": "RSA", "n": str(n), "e": str(e)}:
            return _modulus(_unsigned(base64url(n)), _unsigned(base64url(e)))
        case _:
            raise _Skipped("an unknown curve, or members missing")


def _unsigned(octets: bytes) -> int:
    return int.from_bytes(octets, "big")


def _point(x: bytes, y: bytes) -> EllipticCurvePublicKey:
    if not len(x) == len(y) == COORDINATE_BYTES:
        raise _Skipped("a coordinate of the wrong length")
    return EllipticCurvePublicNumbers(_unsigned(x), _unsigned(y), SECP256R1()).public_key()


def _modulus(n: int, e: int) -> RSAPublicKey:
    """Refuse what a sound generator never makes, before anything costs time.

    Source: NIST SP 800-89 §5.3.3.
    """
    if not RSA_BITS_MIN <= n.bit_length() <= RSA_BITS_MAX:
        raise _Skipped(f"RSA of {n.bit_length()} bits")
    if e % 2 == 0 or not 65537 <= e <= RSA_EXPONENT_MAX:  # noqa: PLR2004  # F4, the usual one
        raise _Skipped("an unsound RSA exponent")
    if math.gcd(n, _SMALL_FACTORS) != 1:
        raise _Skipped("an RSA modulus with small factors")
    if all(n % prime in trace for prime, trace in _ROCA_TRACES):
        raise _Skipped("an RSA modulus of the ROCA generator")
    return RSAPublicNumbers(e, n).public_key()
