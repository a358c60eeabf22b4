"""One signed document of the origin in; what it directs, believed, or a plain reason why not.

A directive is a compact JWS of ``typ`` ``edge-directive+jwt``, signed with a key of a set of its
own (never an issuer's: who may let players in may not yet shut them out). Its payload:

==============  ==============================================================================
``id``          its name, 1..128 of ``A-Z a-z 0-9 . _ : -``; a later one replaces it
``kind``        ``revocation``, the only one there is so far
``issued_at``   unix s; of two of one ``id`` the later one counts
``until``       unix s, exclusive; one that is over lifts what it replaces
``session``     a player's session, a UUID,
``subject``     or a player,
``jti``         or 1 to 16 tokens: exactly one of the three
==============  ==============================================================================

Any other member is refused, as is one that stands twice: a reader that skips what it does not
know would revoke too much or too little.

Source: RFC 7515; RFC 8725 §3.11 (explicit typing).
"""

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from edge.core.claims import Name, PlayerId, SessionId, UnixS
from edge.core.jws import read_compact, verify
from edge.core.keyset import Key
from edge.core.revocations import Revocation
from edge.core.unambiguous import Ambiguous, base64url, json_object

DIRECTIVE_BYTES_MAX: Final = 4 << 10
"""16 serial numbers of 128 characters in base64, and an RS256 signature of 4,096 bits."""

JTIS_MAX: Final = 16
"""Every token of one device in a day that renews each 90 minutes; more take two directives."""

TYPE: Final = "edge-directive+jwt"

REVOCATION: Final = "revocation"

_TYPES: Final = frozenset({TYPE, f"application/{TYPE}"})


class DirectiveRefused(Exception):  # noqa: N818  # a verdict on somebody else's document
    """This is no directive to believe. The message says why, and names nobody."""


_Id = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9._:-]{1,128}\Z")]


class _Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: _Id
    kind: str
    issued_at: UnixS
    until: UnixS
    session: SessionId = ""
    subject: PlayerId = ""
    jti: Annotated[list[Name], Meta(min_length=1, max_length=JTIS_MAX)] = []


def read_directive(octets: bytes, keys: Mapping[str, Key]) -> Revocation:
    """Believe one directive, or say why not. Costs 0.2 ms, with RS256 0.1.

    Args:
        octets: The document, without what stood around it.
        keys: Those that may sign directives, by ``kid``.

    Raises:
        DirectiveRefused: It is none, or not signed by one of *keys*.
    """
    if len(octets) > DIRECTIVE_BYTES_MAX:
        raise DirectiveRefused(f"longer than {DIRECTIVE_BYTES_MAX} bytes")
    try:
        document = read_compact(octets, _TYPES)
        key = keys.get(document.kid)
        if key is None:
            raise DirectiveRefused("signed with a key we do not have")
        payload = msgspec.convert(json_object(verify(document, key)), _Payload)
    except Ambiguous as error:
        raise DirectiveRefused(str(error)) from error
    except msgspec.ValidationError as error:
        raise DirectiveRefused(str(error)) from error
    return _revocation(payload, octets)


def claimed_id(octets: bytes) -> str | None:
    """Tell which ``id`` a document says it has, signed or not; ``None``: none. Costs 13 µs.

    What :func:`read_directive` believes has the ``id`` that it claims.
    """
    if len(octets) > DIRECTIVE_BYTES_MAX:
        return None
    payload = octets.partition(b".")[2].partition(b".")[0]
    try:
        claimed = json_object(base64url(payload)).get("id")
    except Ambiguous:
        return None
    return claimed if isinstance(claimed, str) else None


def _revocation(payload: _Payload, octets: bytes) -> Revocation:
    if payload.kind != REVOCATION:
        raise DirectiveRefused("of a kind that this release does not know")
    named = (payload.session, payload.subject, payload.jti)
    if sum(map(bool, named)) != 1:
        raise DirectiveRefused("names not exactly one of session, subject and jti")
    return Revocation(
        id=payload.id,
        issued_unix_s=payload.issued_at,
        until_unix_s=payload.until,
        forget_unix_s=payload.until,
        session=payload.session.lower(),
        subject=payload.subject,
        jtis=tuple(payload.jti),
        signed=octets,
    )
