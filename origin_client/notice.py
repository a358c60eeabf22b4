"""What the edge tells of what it did not forward: refusals, and frames it could not read.

Design constraints
------------------
* One structured-mode CloudEvent per record, as the events themselves: one reader reads all.
* Nothing of it is a sender's text: members come from closed lists, from the edge's own
  settings, from a verified token, or are a valid UUID. So it may be kept where personal data
  may not.
* It is best effort: samples are capped, and none is kept for an origin that is away. What must
  not be lost lies on the edge's disk; what must be counted stands in its metrics.
* Fields are only ever added, and only with a default.

Record
------
At ``edge.refused.v1`` a :class:`Notice` whose data is a :class:`Refused`; key: its ``subject``,
else ``edgenode``. At ``edge.dead.v1`` a dead letter, which is its envelope plus ``deadreason``
under the envelope's own key (:func:`origin_client.envelope.mark_dead`); for a damaged frame,
which has no envelope, a :class:`Notice` whose data is a :class:`Quarantined`, under
``edgenode``.

Source: CloudEvents 1.0.2, JSON event format §3; design.md §4, "Envelope out"; catalogue.md,
"Refusals".
"""

from typing import Final

import msgspec

REFUSED_TOPIC: Final = "edge.refused.v1"
DEAD_TOPIC: Final = "edge.dead.v1"

REFUSED_TYPE: Final = "edge.refusal.sampled"
QUARANTINED_TYPE: Final = "edge.frame.quarantined"

_ENCODER: Final = msgspec.json.Encoder()


class Refused(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One refusal, and how many others it stands for.

    Attributes:
        stage: Who refused.
        code: The public code.
        counted: Refusals with this code since the last sample of it, this one included.
        speaker: ``player`` or ``service``; absent when nobody was authenticated.
        lane: Absent when the event could not be read that far, or the request was refused.
        type: Only if the catalogue has it.
        authority: That type's.
        id: The event's, if it is a UUID.
        pointer: RFC 6901, into the event; ``""`` is all of it, absent where no one place is at
            fault.
        excerpt: The event's shape: what stands where, without a single value.
    """

    stage: str
    code: str
    counted: int
    speaker: str = ""
    lane: str = ""
    type: str = ""
    authority: str = ""
    id: str = ""
    pointer: str | None = None
    excerpt: msgspec.Raw | None = None


class Quarantined(msgspec.Struct, frozen=True, kw_only=True):
    """One damaged frame of the spool; its bytes lie in the lane's ``dead/``.

    Attributes:
        lane: Whose spool.
        segment: Where it stood.
        offset: As ``segment``; bytes from the segment's beginning.
        size_bytes: How much of the segment is damaged there.
        reason: What is wrong with it.
    """

    lane: str
    segment: int
    offset: int
    size_bytes: int
    reason: str


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The CloudEvent around it.

    Attributes:
        specversion: Always ``1.0``.
        id: UUID, the edge's own: a record that came twice is known by it.
        source: ``urn:edge:node:<edgenode>``.
        type: What ``data`` is.
        time: The edge's wall clock, RFC 3339, UTC, ms.
        subject: The player whose token it was; absent for services and strangers.
        edgenode: The node that tells.
        edgeregion: That node's region.
        data: What it tells.
    """

    specversion: str
    id: str
    source: str
    type: str
    time: str
    subject: str = ""
    edgenode: str
    edgeregion: str
    data: Refused | Quarantined


def encode(notice: Notice) -> bytes:
    """Write *notice* as JSON; members at their default are left out."""
    return _ENCODER.encode(notice)
