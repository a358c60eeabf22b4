"""The claims of a verified token come in; the :class:`Principal` they describe goes out.

Two kinds of token exist. A player's has a ``sid``, a brand and a jurisdiction, and may send and
watch. A service's has no ``sid`` and may state facts. A token that is neither, or something of
both, was issued by mistake: it is ``token_invalid``, never half of what it says.

Source: RFC 9068 §2.2; design.md §10 "Token"; threats.md 35, 36.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from edge.core.attributes import PATTERNS
from edge.core.lane import Lane
from edge.core.principal import Kind, Principal
from edge.core.reject import Reason, Reject
from edge.core.unambiguous import Ambiguous, json_object

UNIX_S_MAX: Final = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second that RFC 3339 can write."""

_PLAYER_ID: Final = re.compile(PATTERNS["subject"])
"""What an event's ``subject`` may be: a player of another name could send no event."""

_WRITE: Final = "events:write"
_READ: Final = "stream:read"
_FACTS: Final = "facts:"
_LANES_BY_SCOPE: Final[Mapping[str, Lane]] = {_FACTS + lane.value: lane for lane in Lane}
_ALL_LANES: Final = frozenset(Lane)


def _all_of(attribute: str) -> str:
    """Write an attribute's pattern for a search, whose ``$`` would let a line break follow."""
    return rf"\A{PATTERNS[attribute].removeprefix('^').removesuffix('$')}\Z"


PlayerId = Annotated[str, Meta(pattern=_all_of("subject"))]
UnixS = Annotated[int, Meta(ge=0, le=UNIX_S_MAX)]
Name = Annotated[
    str,
    # No control characters, which have no business in a log or a key; no lone surrogates,
    # which cannot be written as UTF-8 again.
    Meta(min_length=1, max_length=128, pattern=r"\A[^\x00-\x1f\x7f\ud800-\udfff]*\Z"),
]
SessionId = Annotated[str, Meta(pattern="(?i)" + _all_of("session"))]
_Brand = Annotated[str, Meta(pattern=_all_of("brand"))]
_Jurisdiction = Annotated[str, Meta(pattern=_all_of("jurisdiction"))]


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """The claims we know; a token may carry others.

    ``""`` stands for an absent claim: written out, it would not match its pattern. ``null`` is
    a wrong type, not an absence: read as one, it would unbind a service from its brands.

    Attributes:
        iss: The issuer.
        aud: For whom it is.
        sub: The player, or the service's own name.
        iat: Issued at, unix s.
        exp: Over at, unix s.
        nbf: Not before, unix s; absent = always.
        jti: Its serial number, by which it may be revoked.
        client_id: The app, or the service.
        scope: Space separated. Absent it is empty: a genuine token that may write nothing.
        sid: The player's session.
        brand: The player's brand.
        jurisdiction: The player's jurisdiction.
        brands: Those a service is bound to.
        jurisdictions: Those a service is bound to.
    """

    iss: str
    aud: str | list[str]
    sub: Name
    iat: UnixS
    exp: UnixS
    nbf: UnixS = 0
    jti: Name
    client_id: Name
    scope: str = ""
    sid: SessionId = ""
    brand: _Brand = ""
    jurisdiction: _Jurisdiction = ""
    brands: frozenset[_Brand] | UnsetType = UNSET
    jurisdictions: frozenset[_Jurisdiction] | UnsetType = UNSET


def read_claims(payload: bytes) -> Claims:
    """Read the verified payload of a token, strictly: no number may be a string or a fraction.

    Names that stand twice are refused as in the header. The issuer may have signed either
    meaning, and whoever else reads this token may take the other one.

    Raises:
        Ambiguous: Not one clear JSON object with the claims it must have.
    """
    try:
        return msgspec.convert(json_object(payload), Claims)
    except msgspec.ValidationError as error:
        raise Ambiguous(str(error)) from error


def principal_of(claims: Claims) -> Principal:
    """Decide which kind of speaker these claims describe.

    Raises:
        Reject: TOKEN_INVALID, when they describe neither kind, or something of both.
    """
    scopes = frozenset(claims.scope.split(" "))
    return _player(claims, scopes) if claims.sid else _service(claims, scopes)


def _player(claims: Claims, scopes: frozenset[str]) -> Principal:
    if any(scope.startswith(_FACTS) for scope in scopes):
        raise Reject(Reason.TOKEN_INVALID, "a player who states facts")
    if not claims.brand or not claims.jurisdiction:
        raise Reject(Reason.TOKEN_INVALID, "a player without brand or jurisdiction")
    if _PLAYER_ID.fullmatch(claims.sub) is None:
        raise Reject(Reason.TOKEN_INVALID, "a sub that is no player id")
    return Principal(
        kind=Kind.PLAYER,
        subject=claims.sub,
        client_id=claims.client_id,
        session=claims.sid.lower(),
        brand=claims.brand,
        jurisdiction=claims.jurisdiction,
        writes=_ALL_LANES if _WRITE in scopes else frozenset(),
        reads_stream=_READ in scopes,
        jti=claims.jti,
        expires_unix_s=claims.exp,
    )


def _service(claims: Claims, scopes: frozenset[str]) -> Principal:
    # ``stream:read`` is ignored: no service is admitted to the stream (design.md §3a rule 11).
    if claims.brand or claims.jurisdiction or _WRITE in scopes:
        raise Reject(Reason.TOKEN_INVALID, "a player without sid")
    return Principal(
        kind=Kind.SERVICE,
        subject=claims.sub,
        client_id=claims.client_id,
        brands=None if claims.brands is UNSET else claims.brands,
        jurisdictions=None if claims.jurisdictions is UNSET else claims.jurisdictions,
        writes=frozenset(_LANES_BY_SCOPE[name] for name in scopes & _LANES_BY_SCOPE.keys()),
        jti=claims.jti,
        expires_unix_s=claims.exp,
    )
