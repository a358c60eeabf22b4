"""Bearer token in, :class:`Principal` out.

Theory of operation
-------------------
A token is believed after six questions, asked in the order of what they cost. *Is it written
the one way there is? Does its header ask for anything?* :mod:`edge.core.jws` tells. *Whose is
it?* The issuer it names decides which keys may verify it, and those keys decide the algorithm: a
token chooses neither. *Is it signed? Do its claims suit us?* They are read again, strictly, from
the octets that were verified; times are compared with the instant handed in, never with a
clock. *Was it taken back?* A directive may have revoked it, its session or its player.

Everything wrong with a token gets the same refusal, ``token_invalid``, so that a forger learns
nothing; only the detail for our log differs. ``token_expired`` is kept for a token with which
nothing else is wrong: its holder may renew it. ``keys_unavailable`` says that we cannot judge
now, so that no client throws a good token away.

Verifying costs 0.1 to 0.2 ms, and a client sends the same token thousands of times, so what was
verified is remembered in a :class:`TokenCache` by the digest of its bytes. A remembered token
is believed only under the same generation of its issuer's keys, and its times are compared
each time, and so is what is revoked by now. Nothing is ever *revoked* by that digest: ECDSA lets
anybody respell a signature, so one signed set of claims may have several spellings, each verified
by itself.

Source: RFC 7515, RFC 7519, RFC 8725, RFC 9068; design.md §10 "Token"; threats.md 29-36, 39, 63.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from edge.core.claims import Claims, principal_of, read_claims
from edge.core.instant import NS_PER_S, Instant
from edge.core.jws import read_compact, verify
from edge.core.keyset import Key
from edge.core.principal import Principal
from edge.core.reject import Reason, Reject
from edge.core.revocations import Revocations
from edge.core.unambiguous import Ambiguous, json_object

TOKEN_BYTES_MAX: Final = 4 << 10
"""An RS256 token with our claims has about 900 bytes; PyJWT's own limit is none."""

LEEWAY_S: Final = 30
"""How far an issuer's clock and ours may disagree; design.md §10."""

TOKENS_MAX: Final = 32_768
"""Verified tokens remembered: three for each of 10,000 connections. Full: 24 MiB, 774 B each."""

KEYS_RETRY_NS: Final = 5 * NS_PER_S
"""When to try again without keys: at a start, the keyring has tried three times by then."""

_TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
_TYPES_AND_JWT: Final = _TYPES | {"jwt"}


class UnknownKey(Reject):
    """A well-formed token calls for a key that its issuer's set does not hold.

    Perhaps the issuer has just begun to use it. The door may have the set fetched once more
    and try again; to the client it is a ``token_invalid`` like any other.

    Attributes:
        issuer: Whose set to fetch.
    """

    def __init__(self, issuer: str, kid: str) -> None:
        super().__init__(Reason.TOKEN_INVALID, f"{issuer} has no key {kid}")
        self.issuer = issuer


def keys_unavailable(issuer: str) -> Reject:
    """Return what a token is refused with that nobody can judge for want of *issuer*'s keys."""
    return Reject(Reason.KEYS_UNAVAILABLE, issuer, retry_after_ns=KEYS_RETRY_NS)


@dataclass(frozen=True, slots=True)
class IssuerKeys:
    """One issuer's keys, as they are now.

    Attributes:
        keys: By ``kid``.
        generation: Changes exactly when ``keys`` does.
        stale_steady_ns: From when on they are too old to be believed; steady clock, ns.
    """

    keys: Mapping[str, Key]
    generation: int
    stale_steady_ns: int


class Keys(Protocol):
    """Every issuer's keys."""

    def keys_of(self, issuer: str) -> IssuerKeys | None:
        """The keys of *issuer* at hand, without waiting; ``None`` if it never had any."""
        ...


class Verified(msgspec.Struct, frozen=True, gc=False):
    """A token that was believed, and as long as what is true.

    Attributes:
        principal: Who it speaks for.
        issuer: Whose keys verified it.
        generation: Of those keys.
        begins_unix_ns: From when on it is valid, leeway included.
        ends_unix_ns: Until when it is valid (exclusive), leeway included.
    """

    principal: Principal
    issuer: str
    generation: int
    begins_unix_ns: int
    ends_unix_ns: int


class TokenCache:
    """The tokens believed lately, by digest: whoever reads this memory finds no token.

    Two generations: when the young one is full, the old one is dropped whole and the young one
    becomes it. So the longest unused go first, and a token in use is never dropped: finding it
    in the old generation moves it to the young one.
    """

    def __init__(self, tokens_max: int = TOKENS_MAX) -> None:
        self._young_max = max(1, tokens_max // 2)
        self._young: dict[bytes, Verified] = {}
        self._old: dict[bytes, Verified] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def find(self, digest: bytes) -> Verified | None:
        """What is remembered under *digest*; the caller asks whether it still holds."""
        verified = self._young.get(digest)
        if verified is None and (verified := self._old.pop(digest, None)) is not None:
            self.keep(digest, verified)
        return verified

    def keep(self, digest: bytes, verified: Verified) -> None:
        """Remember one more; full, forget those unused for longest."""
        if len(self._young) >= self._young_max:
            self._old = self._young
            self._young = {}
        self._young[digest] = verified


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whom we believe, by which keys, and whom we believed already.

    Attributes:
        audiences: For each issuer, the ``aud`` its tokens must have.
        keys: Its keys.
        cache: What was verified before.
        lifetime_max_s: From ``iat`` to ``exp``, s.
        revocations: Whom we believe no longer.
        takes_audience_list: Whether ``aud`` may be a list that contains ours.
        takes_typ_jwt: Whether ``typ`` may also be ``JWT``.
    """

    audiences: Mapping[str, str]
    keys: Keys
    cache: TokenCache
    lifetime_max_s: int
    revocations: Revocations = field(default_factory=Revocations)
    takes_audience_list: bool = False
    takes_typ_jwt: bool = False


def authenticate(authorization: Sequence[bytes], gate: Gate, now: Instant) -> Principal:
    """Decide who is speaking.

    A token seen before costs 1.3 µs, of which hashing it takes 0.8.

    Args:
        authorization: Every value of the request's ``Authorization`` header, as received.
        gate: Whom we believe.
        now: When the request is judged.

    Raises:
        UnknownKey: TOKEN_INVALID that newer keys might turn into a yes.
        Reject: TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED, KEYS_UNAVAILABLE, SESSION_REVOKED.
    """
    token = _bearer(authorization)
    digest = hashlib.sha256(token).digest()
    verified = gate.cache.find(digest)
    if verified is None or not _holds(verified, gate.keys, now):
        # What no longer holds is verified anew: that finds the right refusal by itself.
        verified = _verify(token, gate, now)
        gate.cache.keep(digest, verified)
    principal = verified.principal
    # Asked last: whoever has no good token learns nothing of what was taken back.
    if gate.revocations.covers(principal, now):
        raise Reject(Reason.SESSION_REVOKED)
    return principal


def reconfirm(principal: Principal, gate: Gate, now: Instant) -> None:
    """Ask again what may have changed since *principal* was believed; 0.2 µs.

    For whoever speaks for longer than one request. Keys are not asked for: the door looks at
    the whole token from time to time.

    Raises:
        Reject: TOKEN_EXPIRED, SESSION_REVOKED.
    """
    if now.unix_ns >= ends_unix_ns(principal.expires_unix_s):
        raise Reject(Reason.TOKEN_EXPIRED)
    if gate.revocations.covers(principal, now):
        raise Reject(Reason.SESSION_REVOKED)


def ends_unix_ns(expires_unix_s: int) -> int:
    """Return until when (exclusive) a token is valid whose ``exp`` is *expires_unix_s*."""
    return (expires_unix_s + LEEWAY_S) * NS_PER_S


def _bearer(authorization: Sequence[bytes]) -> bytes:
    """Take the token from the header.

    Source: RFC 6750 §2.1; RFC 9110 §11.1 (the scheme's case does not matter), §5.5 (blanks
    behind a field's value are none of it; httptools leaves them).
    """
    if not authorization:
        raise Reject(Reason.TOKEN_MISSING)
    if len(authorization) > 1:
        raise Reject(Reason.TOKEN_INVALID, "more than one Authorization header")
    scheme, _, rest = authorization[0].partition(b" ")
    token = rest.lstrip(b" ").rstrip(b" \t")
    if scheme.lower() != b"bearer" or not token:
        raise Reject(Reason.TOKEN_MISSING)
    if len(token) > TOKEN_BYTES_MAX:
        raise Reject(Reason.TOKEN_INVALID, "too long")
    return token


def _holds(verified: Verified, keys: Keys, now: Instant) -> bool:
    held = keys.keys_of(verified.issuer)
    return (
        held is not None
        and held.generation == verified.generation
        and now.steady_ns < held.stale_steady_ns
        and verified.begins_unix_ns <= now.unix_ns < verified.ends_unix_ns
    )


def _verify(token: bytes, gate: Gate, now: Instant) -> Verified:
    try:
        document = read_compact(token, _TYPES_AND_JWT if gate.takes_typ_jwt else _TYPES)
        issuer = _issuer_named(document.payload, gate)
        held = _current(gate.keys, issuer, now)
        key = held.keys.get(document.kid)
        if key is None:
            raise UnknownKey(issuer, document.kid)
        claims = read_claims(verify(document, key))
    except Ambiguous as error:
        raise Reject(Reason.TOKEN_INVALID, str(error)) from error
    return _judge(claims, gate, held.generation, now)


def _issuer_named(payload: bytes, gate: Gate) -> str:
    """The issuer a token names. It only chooses which keys are asked; they must then agree."""
    issuer = json_object(payload).get("iss")
    if not isinstance(issuer, str) or issuer not in gate.audiences:
        raise Reject(Reason.TOKEN_INVALID, "an issuer we do not know")
    return issuer


def _current(keys: Keys, issuer: str, now: Instant) -> IssuerKeys:
    held = keys.keys_of(issuer)
    if held is None or now.steady_ns >= held.stale_steady_ns:
        raise keys_unavailable(issuer)
    return held


def _judge(claims: Claims, gate: Gate, generation: int, now: Instant) -> Verified:
    """Compare signed claims with what we expect; whether they are over comes last."""
    if not _suits(claims.aud, gate.audiences[claims.iss], takes_list=gate.takes_audience_list):
        raise Reject(Reason.TOKEN_INVALID, "for another audience")
    # An ``exp`` before ``iat`` needs no rule of its own: it is over before it can be used.
    if claims.exp - claims.iat > gate.lifetime_max_s:
        raise Reject(Reason.TOKEN_INVALID, "lives too long")
    begins_unix_ns = (max(claims.iat, claims.nbf) - LEEWAY_S) * NS_PER_S
    over_unix_ns = ends_unix_ns(claims.exp)
    if now.unix_ns < begins_unix_ns:
        raise Reject(Reason.TOKEN_INVALID, "not yet valid")
    principal = principal_of(claims)
    if now.unix_ns >= over_unix_ns:
        raise Reject(Reason.TOKEN_EXPIRED)
    return Verified(principal, claims.iss, generation, begins_unix_ns, over_unix_ns)


def _suits(aud: str | list[str], audience: str, *, takes_list: bool) -> bool:
    if isinstance(aud, list):
        return takes_list and audience in aud
    return aud == audience
