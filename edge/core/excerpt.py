"""A refused event in, its shape out: what stands where, and not one value of it.

*Design constraints.* The shape is told to others, and a refused event may hold anything: a
token in the wrong member, a name, a card number, in a value or as a member's name. So what is
written here comes from a closed list of words, and from the catalogue's own names:

* a member is named only if the catalogue knows that name, anywhere; others are counted as
  ``"?"``, and nothing is told of what they hold;
* a value is its JSON type; of a string also the length, of an integer also the sign, since
  these are what is usually wrong with one;
* of an array the first elements stand for all, then ``"+n"`` says how many more there are;
  ``"+"`` counts members for which there was no room.

Example: ``{"id":"string(36)","data":{"stake":{"amount_minor":"integer"},"?":1}}``.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final, cast

import msgspec
from msgspec import inspect

from edge.core.catalogue.forms import INT_MAX
from edge.core.catalogue.registry import SPECS, WIRE_TYPES, spec_of
from edge.core.event import Spec, WireEvent

SHAPE_BYTES_MAX: Final = 1024  # catalogue.md, "Refusals"
EVIDENCE_BYTES_MAX: Final = 32 * 1024  # the largest event that may be admitted; 0.3 ms to read
ELEMENTS_SHOWN_MAX: Final = 2  # one tells the form, two whether it is the same
DEPTH_MAX: Final = 5  # the catalogue's deepest is a member of a leg of a slip, at 4

_MEMBER_BYTES: Final = 6  # four quotes, colon and comma
_COUNTS_BYTES: Final = 24  # what may close an object or array: ',"?":12345,"+":12345'
_LONGEST_BYTES: Final = 80  # of one member: the catalogue's longest name, the longest word


class Excerpt(msgspec.Struct, frozen=True):
    """What may be told of a refused event.

    Attributes:
        spec: The catalogue's row of its type; ``None`` if it has none.
        shape: JSON, at most :data:`SHAPE_BYTES_MAX`.
    """

    spec: Spec | None
    shape: bytes


def excerpt(evidence: WireEvent | bytes) -> Excerpt:
    """Tell what may be told of *evidence*, which may be any bytes whatsoever."""
    if isinstance(evidence, WireEvent):
        stated = cast("dict[str, object]", msgspec.to_builtins(evidence))
        present = {name: value for name, value in stated.items() if value is not None}
        return Excerpt(spec_of(evidence), _shape(present))
    unread = Excerpt(None, msgspec.json.encode(f"unread({len(evidence)} bytes)"))
    if len(evidence) > EVIDENCE_BYTES_MAX:
        return unread
    try:
        document: object = json.loads(evidence)
    except (ValueError, RecursionError):
        return unread
    shape = _shape(document)
    type_ = (
        cast("dict[str, object]", document).get("type") if isinstance(document, dict) else None
    )
    return Excerpt(SPECS.get(type_) if isinstance(type_, str) else None, shape)


def _shape(document: object) -> bytes:
    return msgspec.json.encode(_Sketch().draw(document, 0))


class _Sketch:
    """One shape being drawn, and the room that is left for it."""

    def __init__(self) -> None:
        self._bytes_left = SHAPE_BYTES_MAX - _LONGEST_BYTES

    def draw(self, value: object, depth: int) -> object:
        """Return what stands for *value*."""
        match value:
            case dict():
                return self._object(cast("dict[str, object]", value), depth)
            case list() | tuple():
                return self._array(cast("Sequence[object]", value), depth)
            case _:
                word = _word(value)
                self._bytes_left -= len(word)
                return word

    def _object(self, members: dict[str, object], depth: int) -> object:
        drawn: dict[str, object] = {}
        unknown = left_out = 0
        self._bytes_left -= _COUNTS_BYTES
        for name, value in members.items():
            if name not in _NAMES:
                unknown += 1
            elif self._bytes_left <= 0 or depth == DEPTH_MAX:
                left_out += 1
            else:
                self._bytes_left -= len(name) + _MEMBER_BYTES
                drawn[name] = self.draw(value, depth + 1)
        counts = {mark: n for mark, n in (("?", unknown), ("+", left_out)) if n}
        if not counts:
            self._bytes_left += _COUNTS_BYTES
        return drawn | counts

    def _array(self, elements: Sequence[object], depth: int) -> object:
        drawn: list[object] = []
        self._bytes_left -= _COUNTS_BYTES
        for element in elements[:ELEMENTS_SHOWN_MAX]:
            if self._bytes_left <= 0 or depth == DEPTH_MAX:
                break
            self._bytes_left -= _MEMBER_BYTES
            drawn.append(self.draw(element, depth + 1))
        more = len(elements) - len(drawn)
        if more:
            return [*drawn, f"+{more}"]
        self._bytes_left += _COUNTS_BYTES
        return drawn


def _word(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case str():
            return f"string({len(value)})"
        case int():
            size = ", unsafe" if abs(value) > INT_MAX else ""
            return f"integer{', negative' if value < 0 else ''}{size}"
        case _:
            return "number"


def _names(kind: inspect.Type) -> Iterator[str]:
    """Every member's name in values of *kind*, at any depth."""
    match kind:
        case inspect.StructType(fields=fields):
            for field in fields:
                yield field.encode_name
                yield from _names(field.type)
        case inspect.Metadata(type=inner):
            yield from _names(inner)
        case inspect.UnionType(types=kinds):
            for each in kinds:
                yield from _names(each)
        case inspect.VarTupleType(item_type=element):
            yield from _names(element)
        case _:
            return


_NAMES: Final = frozenset(
    name for wire_type in WIRE_TYPES.values() for name in _names(inspect.type_info(wire_type))
) | {"type"}
