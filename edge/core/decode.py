"""A body's bytes in; out comes, for each of its events, the typed event or why it is not one.

Theory of operation
-------------------
The body is split into the bytes of its events, then each is decoded alone by one decoder that
knows all 25 types. Splitting looks at brackets and quotes only. What decodes is proven: its
type is closed, so no byte was skipped. What does not decode is read a second time without
types. If it is no JSON at all, the whole request is refused: its sender does not write JSON,
and where its events end is a guess. Otherwise this one event is refused, and the untyped
document tells its ``id``, its lane and the place at fault. So a good event pays nothing for
the questions that only a bad one raises, and a bad one costs its neighbours nothing.

A member named twice counts as its last copy; only the decoded event is ever forwarded.

Source: RFC 8259; CloudEvents 1.0.2, JSON event format and JSON batch format.
"""

import enum
import json
import math
from typing import Final, Union, cast

import msgspec

from edge.core import rfc3339
from edge.core.attributes import attribute_check, is_id, with_valid_trace
from edge.core.catalogue.registry import SPECS, WIRE_TYPES, check, spec_of
from edge.core.event import Event, WireEvent
from edge.core.lane import Lane
from edge.core.pointer import pointer_of
from edge.core.reject import Reason, Reject

BATCH_EVENTS_MAX: Final = 200  # design.md §4
EVENT_BYTES_MAX: Final = 8 * 1024
TELEMETRY_BYTES_MAX: Final = 32 * 1024  # 256 samples

_WHITESPACE: Final = b" \t\n\r"  # RFC 8259 §2
# Longer integers are out of every range, and Python reads none of more than 4,300 digits.
_INT_CHARS_MAX: Final = 20
_ATTRIBUTES: Final = frozenset(WireEvent.__struct_fields__) | {"type"}
_ANY_WIRE_TYPE: Final = Union[tuple(WIRE_TYPES.values())]  # noqa: UP007  # made from a table
_RULES: Final = {
    wire_type: (SPECS[type_], attribute_check(SPECS[type_]))
    for type_, wire_type in WIRE_TYPES.items()
}
_SPLITTER: Final = msgspec.json.Decoder(list[msgspec.Raw])
_STRIPPER: Final = msgspec.json.Decoder(msgspec.Raw)
_DECODER: Final = msgspec.json.Decoder(_ANY_WIRE_TYPE)
# What msgspec raises for input: its own error, and two that are not. Source: threats.md B12.
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Shape(enum.Enum):
    """What the media type says the body is."""

    OBJECT = enum.auto()
    ARRAY = enum.auto()
    EITHER = enum.auto()


class Unread(msgspec.Struct, frozen=True):
    """An event turned away before it became one.

    Attributes:
        reject: Why.
        id: Its ``id``, if that is valid; nothing else of the input may be told back.
        lane: Its type's lane; ``None`` if its type is unknown.
    """

    reject: Reject
    id: str | None
    lane: Lane | None


def decode(body: bytes, shape: Shape) -> list[Event | Unread]:
    """Read every event of *body*, in its order.

    Args:
        body: The whole body, as sent; its size is the door's business.
        shape: From the media type.

    Raises:
        Reject: BODY_MALFORMED, BATCH_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE: the whole request.
    """
    events = _split(body, shape)
    if len(events) > BATCH_EVENTS_MAX:
        raise Reject(Reason.BATCH_TOO_LARGE, f"{len(events)} events")
    if len(body) <= EVENT_BYTES_MAX:  # then no event is larger; measuring costs 0.1 µs each
        return [_read(event, 0) for event in events]
    return [_read(event, len(memoryview(event))) for event in events]


def _split(body: bytes, shape: Shape) -> list[msgspec.Raw]:
    opening = body.lstrip(_WHITESPACE)[:1]
    try:
        if opening == b"{" and shape is not Shape.ARRAY:
            return [_STRIPPER.decode(body)]
        if opening == b"[" and shape is not Shape.OBJECT:
            return _SPLITTER.decode(body)
    except _UNREADABLE as error:
        raise Reject(Reason.BODY_MALFORMED, str(error)) from error
    if opening in (b"{", b"["):
        raise Reject(Reason.UNSUPPORTED_MEDIA_TYPE, f"{opening!r} is not {shape.name}")
    raise Reject(Reason.BODY_MALFORMED, "neither object nor array")


def _read(event: msgspec.Raw, size_bytes: int) -> Event | Unread:
    try:
        wire = _DECODER.decode(event)
    except _UNREADABLE:
        return _read_untyped(event, size_bytes)
    try:
        return _judge(wire, size_bytes)
    except Reject as reject:
        return _unread(reject, wire.id, spec_of(wire).type)


def _judge(wire: WireEvent, size_bytes: int) -> Event:
    spec, check_attributes = _RULES[type(wire)]
    if size_bytes > EVENT_BYTES_MAX:
        _check_size(size_bytes, spec.lane)
    check_attributes(wire)
    try:
        time_ms = rfc3339.unix_ms(wire.time)
    except ValueError as error:
        raise Reject(Reason.SCHEMA_VIOLATION, "no such day", pointer="/time") from error
    check(wire)
    if wire.traceparent is not None or wire.tracestate is not None:
        wire = with_valid_trace(wire)
    return Event(spec, wire, time_ms)


def _read_untyped(event: msgspec.Raw, size_bytes: int) -> Event | Unread:
    """Read an event that did not decode: tell why, or accept it without its null members.

    Raises:
        Reject: BODY_MALFORMED, for the whole request.
    """
    document = _parse(bytes(event))
    if document is None:
        reject = Reject(Reason.SCHEMA_VIOLATION, "no object, or too deep", pointer="")
        return Unread(reject, None, None)
    stated = {name: member for name, member in document.items() if member is not None}
    type_ = stated.get("type")
    try:
        _check_size(size_bytes, _lane_of(type_))
        return _judge(_convert(stated, type_), size_bytes)
    except Reject as reject:
        return _unread(reject, stated.get("id"), type_)


def _parse(event: bytes) -> dict[str, object] | None:
    """Check the grammar of every byte; return the object, ``None`` if it is something else.

    Or if it is too deep to be read: splitting it took a little less of the stack, so that where
    it ends is known, and its neighbours need not suffer.

    The standard library's parser, since msgspec takes a number too large for a double for bad
    grammar, and it is only one event's bad value. In turn it lets through what the encoder
    then refuses: halves of surrogate pairs.

    Raises:
        Reject: BODY_MALFORMED.
    """
    try:
        document: object = _PARSER.decode(event.decode())
        msgspec.json.encode(document)
    except ValueError as error:
        raise Reject(Reason.BODY_MALFORMED, str(error)) from error
    except RecursionError:
        return None
    return cast("dict[str, object]", document) if isinstance(document, dict) else None


def _convert(stated: dict[str, object], type_: object) -> WireEvent:
    if not isinstance(type_, str):
        raise Reject(Reason.SCHEMA_VIOLATION, "no type", pointer="/type")
    if type_ not in SPECS:
        raise Reject(Reason.UNKNOWN_TYPE, type_, pointer="/type")
    if not stated.keys() <= _ATTRIBUTES:
        raise Reject(Reason.SCHEMA_VIOLATION, "unknown attribute", pointer="")
    try:
        return msgspec.convert(stated, WIRE_TYPES[type_])
    except msgspec.ValidationError as error:
        raise Reject(Reason.SCHEMA_VIOLATION, str(error), pointer=pointer_of(error)) from error


def _check_size(size_bytes: int, lane: Lane | None) -> None:
    bytes_max = TELEMETRY_BYTES_MAX if lane is Lane.TELEMETRY else EVENT_BYTES_MAX
    if size_bytes > bytes_max:
        raise Reject(Reason.EVENT_TOO_LARGE, f"{size_bytes} bytes")


def _unread(reject: Reject, id_: object, type_: object) -> Unread:
    return Unread(reject, id_ if isinstance(id_, str) and is_id(id_) else None, _lane_of(type_))


def _lane_of(type_: object) -> Lane | None:
    return SPECS[type_].lane if isinstance(type_, str) and type_ in SPECS else None


def _int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INT_CHARS_MAX else math.inf


# It would take NaN and the infinities too, but splitting refuses them.
_PARSER: Final = json.JSONDecoder(parse_int=_int)
