"""The wire contract between edge and origin: one structured-mode CloudEvent per record.

Fields are only ever added, and only with a default; golden files in ``tests/contract`` hold
that promise. Nothing here knows the edge's own types.
"""

import re
from typing import Final

import msgspec

_ENCODER = msgspec.json.Encoder()
# Longer reasons are cut: an attribute should be short, and the origin's words are its own.
DEADREASON_CHARS_MAX: Final = 256
_DEADREASON: Final = re.compile(rb'\{"deadreason":"(?:[^"\\]|\\.)*+",')


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One accepted event as it lies at the origin.

    Attributes:
        specversion: Always ``1.0``.
        id: The sender's id, an RFC 9562 UUID in lower-case text.
        source: The sender's URI-reference. Not trusted.
        type: As in the catalogue.
        time: The sender's clock, RFC 3339, UTC, ms. Not trusted.
        subject: The player.
        dataschema: ``urn:edge:schema:<type>:<MAJOR.MINOR>``, the version it was checked with.
        brand: From the player's token, or stated by a service.
        jurisdiction: As ``brand``.
        session: The player's session, UUID; absent on most facts.
        seq: The event's number in its session, from 1; absent on facts.
        traceparent: W3C trace context, passed through.
        tracestate: As ``traceparent``.
        edgenode: The node that accepted it.
        edgeregion: That node's region.
        edgespool: UUID of one run of the lane's spool; with ``edgeseq`` the deduplication key.
        edgeseq: Decimal string, from 1, contiguous within ``edgespool``.
        edgetime: The edge's wall clock at acceptance, RFC 3339, UTC, ms; never runs backwards
            within an ``edgespool``.
        authority: ``intent``, ``observation`` or ``fact``.
        flags: What the edge noticed, sorted, comma separated; absent when nothing.
        deadreason: Only on dead letters: why the origin refused it.
        data: The payload, re-encoded from the decoded event; never the client's own bytes.

    Source: CloudEvents 1.0.2, JSON event format §3; design.md §4, "Envelope out".
    """

    specversion: str
    id: str
    source: str
    type: str
    time: str
    subject: str
    dataschema: str
    brand: str
    jurisdiction: str
    session: str | None = None
    seq: int | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    edgenode: str
    edgeregion: str
    edgespool: str = ""
    edgeseq: str = ""
    edgetime: str
    authority: str
    flags: str = ""
    deadreason: str = ""
    data: msgspec.Raw


def number(envelope: bytes, edgespool: str, edgeseq: int) -> bytes:
    """Add the two attributes that are known only when an envelope is written down.

    Args:
        envelope: JSON of an envelope without both; begins with ``{`` and has a member.
        edgespool: UUID text.
        edgeseq: From 1.
    """
    return b'{"edgespool":"%s","edgeseq":"%d",%s' % (
        edgespool.encode("ascii"),
        edgeseq,
        envelope[1:],
    )


def mark_dead(envelope: bytes, reason: str) -> bytes:
    """Add why the origin refused it: what lies in ``dead/`` and at ``edge.dead.v1``.

    Args:
        envelope: JSON of a complete envelope; begins with ``{`` and has a member.
        reason: In the origin's words; what a CloudEvents string may not hold becomes ``?``.
    """
    plain = "".join(each if each.isprintable() else "?" for each in reason)
    return b'{"deadreason":%s,%s' % (
        _ENCODER.encode(plain[:DEADREASON_CHARS_MAX] or "?"),
        envelope[1:],
    )


def unmark_dead(letter: bytes) -> bytes:
    """Return the envelope that :func:`mark_dead` marked, byte for byte.

    Raises:
        ValueError: *letter* is not what it writes.
    """
    match = _DEADREASON.match(letter)
    if match is None:
        raise ValueError("no dead letter")
    return b"{" + letter[match.end() :]
