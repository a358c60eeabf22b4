"""One event after it was read: its attributes, its payload, and what its type promises."""

from typing import Final, Literal, TypeAlias

import msgspec

from edge.core.lane import Authority, Lane


class Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """The ``data`` of an event; each of the 25 types has its own, closed, in the catalogue."""


PayloadClass: TypeAlias = type[Payload]
"""Named here because :class:`Spec` has a member called ``type``."""


KEY_ATTRIBUTES: Final = frozenset({"session", "subject"})
"""Fields of business keys that are attributes of the event; all others stand in ``data``."""


class BusinessKey(msgspec.Struct, frozen=True):
    """What makes two messages the same transaction.

    Attributes:
        fields: Members of ``data``, or of :data:`KEY_ATTRIBUTES`; the first is the one a
            conflict points at.
        ignoring: Members of ``data`` that the digest compared under this key leaves out.
    """

    fields: tuple[str, ...]
    ignoring: tuple[str, ...] = ()


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the catalogue.

    Attributes:
        type: ``<lane>.<entity>.<action>``.
        lane: Where it is spooled and forwarded.
        authority: Who may say it.
        payload: The class of its ``data``.
        versions: Loaded schema versions, ``MAJOR.MINOR``, oldest first.
        keys: Business keys, at most two, in the order recall asks them.
        needs_session: A fact whose key is its ``session``. Client events always need one.
    """

    type: str
    lane: Lane
    authority: Authority
    payload: PayloadClass
    versions: tuple[str, ...] = ("1.0",)
    keys: tuple[BusinessKey, ...] = ()
    needs_session: bool = False


class WireEvent(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="type",
    gc=False,
):
    """The CloudEvents attributes as a sender writes them; ``null`` counts as absent.

    The catalogue derives one tagged subclass per type, whose ``data`` is that type's payload.
    Encoded again, an event is what lies at the origin but for what the edge adds: absent
    members are left out, and so is ``datacontenttype``, which says nothing new.

    Source: CloudEvents 1.0.2, JSON event format; design.md §4.
    """

    specversion: Literal["1.0"]
    id: str
    source: str
    time: str
    subject: str
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: str | None = None
    session: str | None = None
    seq: int | None = None
    brand: str | None = None
    jurisdiction: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    data: Payload  # last, so that its bytes end the encoded event


class Event(msgspec.Struct, frozen=True, gc=False):
    """One event that its schema accepts. Who sent it, and when, is for later stages.

    Attributes:
        spec: Its row of the catalogue.
        wire: What the sender wrote, typed and checked, its ``time`` in canonical form.
        time_ms: Its ``time``, unix ms, cut (not rounded). The sender's clock: not trusted.
        json: *wire* encoded again; its last member is ``data``.
    """

    spec: Spec
    wire: WireEvent
    time_ms: int
    json: bytes
