"""A development issuer: a private key in a file, its key set, and tokens signed with it.

For ``edge token`` and ``edge demo`` only. A gateway never signs, and believes these tokens as
little as any others unless its settings name their issuer.
"""

import hashlib
import os
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from edge.config import ConfigError
from edge.core.instant import NS_PER_S, Instant
from edge.core.keyset import Algorithm

TTL_S: Final = 3600
"""An evening at the tables takes longer, but a forgotten token should not."""

_THUMBPRINT_MEMBERS: Final[tuple[str, ...]] = ("crv", "e", "kty", "n", "x", "y")
"""Those that make a public key, in lexicographic order. Source: RFC 7638 §3.2."""

PrivateKey: TypeAlias = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, ready to sign.

    Attributes:
        private: Never shown.
        algorithm: The one that fits it.
        public: Its public members, as in a JWK.
        kid: Its thumbprint, so the same file always has the same name. Source: RFC 7638.
    """

    private: PrivateKey = field(repr=False)
    algorithm: Algorithm
    public: dict[str, str]
    kid: str

    def sign(self, claims: Mapping[str, object], typ: str) -> str:
        """Write *claims* as a compact JWS; those that are ``None`` are left out.

        Source: RFC 7515 §3.1.
        """
        return jwt.encode(
            {name: value for name, value in claims.items() if value is not None},
            self.private,
            algorithm=self.algorithm,
            headers={"typ": typ, "kid": self.kid},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a token shall say. Nothing is checked: refused tokens must be minted too.

    Attributes:
        iss: The issuer, as the gateway's settings name it.
        aud: The audience.
        sub: The player, or the service's name.
        scope: Space separated.
        client_id: The app, or the service; ``None`` takes ``sub``.
        sid: A player's session, UUID text; ``None`` for a service.
        brand: A player's brand.
        jurisdiction: A player's jurisdiction.
        brands: Those a service is bound to; ``None`` is any.
        jurisdictions: Those a service is bound to; ``None`` is any.
        ttl_s: From issue to expiry, s; below zero it is over already.
        jti: Its serial number.
    """

    iss: str
    aud: str
    sub: str
    scope: str
    client_id: str | None = None
    sid: str | None = None
    brand: str | None = None
    jurisdiction: str | None = None
    brands: tuple[str, ...] | None = None
    jurisdictions: tuple[str, ...] | None = None
    ttl_s: int = TTL_S
    jti: str = field(default_factory=lambda: str(uuid.uuid4()))


def ensure_key(path: Path) -> bool:
    """Make an Ed25519 key at *path*, readable for its owner only, unless a file is there.

    A developer's first token should need one command. A mistyped path makes a key that no
    gateway knows, so the caller says aloud what this returns.

    Returns:
        Whether a new key was made.

    Raises:
        ConfigError: The file cannot be written.
    """
    pem = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        raise ConfigError("--key", f"cannot write {path}: {error.strerror}") from error
    with open(descriptor, "wb") as file:  # noqa: PTH123  # a path could not be made private
        file.write(pem)
    return True


def read_signing_key(path: Path) -> SigningKey:
    """Read a private key: PEM without a password; Ed25519, P-256 or RSA.

    Raises:
        ConfigError: The file holds no such key.
    """
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError("--key", f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError("--key", f"{path} is no PEM key without password") from error
    match private:
        case Ed25519PrivateKey():
            return _named(private, "EdDSA", OKPAlgorithm.to_jwk(private.public_key()))
        case EllipticCurvePrivateKey(curve=SECP256R1()):
            return _named(private, "ES256", ECAlgorithm.to_jwk(private.public_key()))
        case RSAPrivateKey():
            return _named(private, "RS256", RSAAlgorithm.to_jwk(private.public_key()))
        case _:
            raise ConfigError("--key", f"{path} is neither Ed25519, P-256 nor RSA")


def passing_key() -> SigningKey:
    """Make a key such as :func:`ensure_key` writes, for one trial: it lies nowhere."""
    private = Ed25519PrivateKey.generate()
    return _named(private, "EdDSA", OKPAlgorithm.to_jwk(private.public_key()))


def _named(private: PrivateKey, algorithm: Algorithm, jwk: str) -> SigningKey:
    written = msgspec.json.decode(jwk, type=dict[str, object])
    public = {name: str(written[name]) for name in _THUMBPRINT_MEMBERS if name in written}
    thumbprint = hashlib.sha256(msgspec.json.encode(public)).digest()
    kid = urlsafe_b64encode(thumbprint).rstrip(b"=").decode("ascii")
    return SigningKey(private, algorithm, public, kid)


def key_set(*keys: SigningKey) -> bytes:
    """Write the public halves of *keys* as a JWKS document."""
    return msgspec.json.encode(
        {
            "keys": [
                key.public | {"kid": key.kid, "alg": key.algorithm, "use": "sig"}
                for key in keys
            ]
        }
    )


def mint(key: SigningKey, grant: Grant, now: Instant) -> str:
    """Sign a token that says what *grant* says, issued *now*."""
    issued_unix_s = now.unix_ns // NS_PER_S
    claims = {
        "iss": grant.iss,
        "aud": grant.aud,
        "sub": grant.sub,
        "client_id": grant.sub if grant.client_id is None else grant.client_id,
        "scope": grant.scope,
        "iat": issued_unix_s,
        "exp": issued_unix_s + grant.ttl_s,
        "jti": grant.jti,
        "sid": grant.sid,
        "brand": grant.brand,
        "jurisdiction": grant.jurisdiction,
        "brands": grant.brands,
        "jurisdictions": grant.jurisdictions,
    }
    return key.sign(claims, "at+jwt")
