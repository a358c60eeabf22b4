"""A body's or a frame's bytes in; out comes, for each event, the typed event or why it is none.

Theory of operation
-------------------
What decodes is proven: its type is closed, so no byte was skipped. So a body is first read as
if all its events were good, by one call of one decoder that knows all 25 types, and its events
of one type are judged together (3 µs for each of fifty, where one by one they take 6).

If that does not surely succeed, nothing of it counts. The body is then split into the bytes of
its events, by brackets and quotes only, and each is decoded and judged alone. What does not
decode is read once more without types. If it is no JSON at all, the whole request is refused:
its sender does not write JSON, and where its events end is a guess. Otherwise this one event
is refused, and the untyped document tells its ``id``, its lane and the place at fault. So a
good event pays nothing for the questions that only a bad one raises, and a bad one costs its
neighbours nothing but time.

A member named twice counts as its last copy; only the decoded event is ever forwarded.

Source: RFC 8259; CloudEvents 1.0.2, JSON event format and JSON batch format.
"""

import enum
import json
import math
from collections.abc import Mapping, Sequence
from types import GenericAlias
from typing import Final, TypeAlias, Union, cast

import msgspec

from edge.core import rfc3339
from edge.core.attributes import SEQ_MAX, attribute_check, is_id, with_valid_trace
from edge.core.catalogue.registry import SPECS, WIRE_TYPES, are_fine, check, spec_of
from edge.core.event import Event, Spec, WireEvent
from edge.core.lane import Lane
from edge.core.ops import BATCH_EVENTS_MAX, EventsOp, TokenOp
from edge.core.pointer import pointer_of
from edge.core.reject import Reason, Reject

EVENT_BYTES_MAX: Final = 8 * 1024
TELEMETRY_BYTES_MAX: Final = 32 * 1024  # 256 samples

_TELEMETRY: Final = Lane.TELEMETRY  # a module's name is read faster than an enum's member
_TIME_CHARS_ADDED_MAX: Final = len(".000")  # by writing a time as envelopes have it
_WHITESPACE: Final = b" \t\n\r"  # RFC 8259 §2
# Longer integers are out of every range, and Python reads none of more than 4,300 digits.
_INT_CHARS_MAX: Final = 20
_ATTRIBUTES: Final = frozenset(WireEvent.__struct_fields__) | {"type"}
_ANY_WIRE_TYPE: Final = Union[tuple(WIRE_TYPES.values())]  # noqa: UP007  # made from a table
_BATCH_TYPE: Final = cast("type[list[WireEvent]]", GenericAlias(list, _ANY_WIRE_TYPE))
_SPECS: Final = {wire_type: SPECS[type_] for type_, wire_type in WIRE_TYPES.items()}
_CHECKS: Final = {wire_type: attribute_check(spec) for wire_type, spec in _SPECS.items()}
_SPLITTER: Final = msgspec.json.Decoder(list[msgspec.Raw])
_STRIPPER: Final = msgspec.json.Decoder(msgspec.Raw)
_DECODER: Final = msgspec.json.Decoder(_ANY_WIRE_TYPE)
_BATCH_DECODER: Final = msgspec.json.Decoder(_BATCH_TYPE)
_FRAME_TYPE: Final = cast(
    "type[EventsOp[WireEvent] | TokenOp]",
    Union[GenericAlias(EventsOp, _ANY_WIRE_TYPE), TokenOp],  # noqa: UP007  # made from a table
)
_FRAME_DECODER: Final = msgspec.json.Decoder(_FRAME_TYPE)
_RawFrame: TypeAlias = EventsOp[msgspec.Raw] | TokenOp
_FRAME_SPLITTER: Final[msgspec.json.Decoder[_RawFrame]] = msgspec.json.Decoder(_RawFrame)
_ENCODER: Final = msgspec.json.Encoder()
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
        evidence: What was refused: the typed event if it decoded, else its own bytes. Neither
            may be told to anybody as it is.
        session: Its ``session``, if that is valid.
        seq: Its ``seq``, if that is valid.
    """

    reject: Reject
    id: str | None
    lane: Lane | None
    evidence: WireEvent | bytes
    session: str | None = None
    seq: int | None = None


def decode(body: bytes, shape: Shape) -> list[Event | Unread]:
    """Read every event of *body*, in its order.

    Args:
        body: The whole body, as sent; its size is the door's business.
        shape: From the media type.

    Raises:
        Reject: BODY_MALFORMED, BATCH_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE: the whole request.
    """
    is_batch = _is_batch(body, shape)
    events = _read_together(body, is_batch=is_batch)
    return _read_apart(body, is_batch=is_batch) if events is None else events


def decode_frame(text: bytes) -> TokenOp | list[Event | Unread]:
    """Read one frame of a socket: a newer token, or every event, in order.

    Args:
        text: The whole message; its size is the door's business.

    Raises:
        Reject: BODY_MALFORMED, BATCH_TOO_LARGE: the whole frame.
    """
    try:
        op = _FRAME_DECODER.decode(text)
        if not isinstance(op, EventsOp):  # asked of its own class, a struct answers at once
            return op
        events = _judge_together(op.events, text)
    except (Reject, *_UNREADABLE):
        events = None
    return _read_frame_apart(text) if events is None else events


def _read_frame_apart(text: bytes) -> TokenOp | list[Event | Unread]:
    try:
        op = _FRAME_SPLITTER.decode(text)
    except _UNREADABLE as error:
        raise Reject(Reason.BODY_MALFORMED, str(error)) from error
    return op if isinstance(op, TokenOp) else _read_each(op.events)


def _is_batch(body: bytes, shape: Shape) -> bool:
    opening = body.lstrip(_WHITESPACE)[:1]
    if opening == b"{" and shape is not Shape.ARRAY:
        return False
    if opening == b"[" and shape is not Shape.OBJECT:
        return True
    if opening in (b"{", b"["):
        raise Reject(Reason.UNSUPPORTED_MEDIA_TYPE, f"{opening!r} is not {shape.name}")
    raise Reject(Reason.BODY_MALFORMED, "neither object nor array")


def _read_together(body: bytes, *, is_batch: bool) -> list[Event | Unread] | None:
    """Read a body of good events only; ``None`` if it is not surely one."""
    try:
        if not is_batch:
            return [_judge(_DECODER.decode(body), len(body))]
        return _judge_together(_BATCH_DECODER.decode(body), body)
    except (Reject, *_UNREADABLE):
        return None


def _judge_together(wires: list[WireEvent], body: bytes) -> list[Event | Unread] | None:
    """Judge what decoded; ``None``, or a refusal, if not all of it is surely good.

    Args:
        wires: In their order.
        body: What they were read from, and little else.

    Raises:
        Reject: Of one event, or of the body for what one event would be refused for.
    """
    if len(wires) == 1:
        return [_judge(wires[0], len(body))]
    if len(wires) > BATCH_EVENTS_MAX:
        return None
    times_ms = [_CHECKS[type(wire)](wire) for wire in wires]
    types = set(map(type, wires))
    if not all(are_fine([wire for wire in wires if type(wire) is one]) for one in types):
        return None
    wires = list(map(_in_normal_form, wires, times_ms))
    jsons = _ENCODER.encode_lines(wires).splitlines()
    specs = [_SPECS[type(wire)] for wire in wires]
    if not _are_small(body, jsons, specs):
        return None
    return list(map(Event, specs, wires, times_ms, jsons))


def _are_small(body: bytes, jsons: Sequence[bytes], specs: Sequence[Spec]) -> bool:
    """Whether surely no event is larger than its type may be.

    Where each begins is not known. But no event is shorter as it was sent than encoded again,
    save for its time, so what the body has in excess bounds what any one of them may have.
    """
    sizes = list(map(len, jsons))
    excess = len(body) - sum(sizes) + _TIME_CHARS_ADDED_MAX * len(sizes)
    return max(sizes, default=0) + excess <= EVENT_BYTES_MAX or all(
        size + excess <= _bytes_max(spec.lane) for size, spec in zip(sizes, specs, strict=True)
    )


def _in_normal_form(wire: WireEvent, time_ms: int) -> WireEvent:
    """Write ``time`` as envelopes have it, and keep only a valid trace."""
    if len(wire.time) != rfc3339.CANONICAL_CHARS:
        wire = msgspec.structs.replace(wire, time=rfc3339.canonical(time_ms))
    return with_valid_trace(wire)


def _read_apart(body: bytes, *, is_batch: bool) -> list[Event | Unread]:
    try:
        events = _SPLITTER.decode(body) if is_batch else [_STRIPPER.decode(body)]
    except _UNREADABLE as error:
        raise Reject(Reason.BODY_MALFORMED, str(error)) from error
    return _read_each(events)


def _read_each(events: Sequence[msgspec.Raw]) -> list[Event | Unread]:
    if len(events) > BATCH_EVENTS_MAX:
        raise Reject(Reason.BATCH_TOO_LARGE, f"{len(events)} events")
    return [_read(event, len(memoryview(event))) for event in events]


def _read(event: msgspec.Raw, size_bytes: int) -> Event | Unread:
    try:
        wire = _DECODER.decode(event)
    except _UNREADABLE:
        return _read_untyped(event, size_bytes)
    try:
        return _judge(wire, size_bytes)
    except Reject as reject:
        stated = {"id": wire.id, "session": wire.session, "seq": wire.seq}
        return _unread(reject, stated, spec_of(wire).lane, wire)


def _judge(wire: WireEvent, size_bytes: int) -> Event:
    spec = spec_of(wire)
    _check_size(size_bytes, spec.lane)
    time_ms = _CHECKS[type(wire)](wire)
    check(wire)
    wire = _in_normal_form(wire, time_ms)
    return Event(spec, wire, time_ms, _ENCODER.encode(wire))


def _read_untyped(event: msgspec.Raw, size_bytes: int) -> Event | Unread:
    """Read an event that did not decode: tell why, or accept it without its null members.

    Raises:
        Reject: BODY_MALFORMED, for the whole request.
    """
    octets = bytes(event)
    document = _parse(octets)
    if document is None:
        reject = Reject(Reason.SCHEMA_VIOLATION, "no object, or too deep", pointer="")
        return Unread(reject, None, None, octets)
    stated = {name: member for name, member in document.items() if member is not None}
    type_ = stated.get("type")
    try:
        _check_size(size_bytes, _lane_of(type_))
        return _judge(_convert(stated, type_), size_bytes)
    except Reject as reject:
        return _unread(reject, stated, _lane_of(type_), octets)


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


def _bytes_max(lane: Lane | None) -> int:
    return TELEMETRY_BYTES_MAX if lane is _TELEMETRY else EVENT_BYTES_MAX


def _check_size(size_bytes: int, lane: Lane | None) -> None:
    if size_bytes > _bytes_max(lane):
        raise Reject(Reason.EVENT_TOO_LARGE, f"{size_bytes} bytes")


def _unread(
    reject: Reject, stated: Mapping[str, object], lane: Lane | None, evidence: WireEvent | bytes
) -> Unread:
    id_, session, seq = stated.get("id"), stated.get("session"), stated.get("seq")
    return Unread(
        reject.alone(),
        id_ if isinstance(id_, str) and is_id(id_) else None,
        lane,
        evidence,
        # A session is written as an id is.
        session if isinstance(session, str) and is_id(session) else None,
        seq if type(seq) is int and 1 <= seq <= SEQ_MAX else None,
    )


def _lane_of(type_: object) -> Lane | None:
    return SPECS[type_].lane if isinstance(type_, str) and type_ in SPECS else None


def _int(digits: str) -> int | float:
    return int(digits) if len(digits) <= _INT_CHARS_MAX else math.inf


# It would take NaN and the infinities too, but splitting refuses them.
_PARSER: Final = json.JSONDecoder(parse_int=_int)
