"""How these tests change an example and have it judged: decoded by type, then checked."""

from collections.abc import Mapping
from typing import Any, Final, Union

import msgspec

from edge.core.catalogue.registry import WIRE_TYPES, check
from edge.core.event import WireEvent
from edge.core.reject import Reason, Reject
from tests.core.catalogue.examples import example

ABSENT: Final = object()
"""As a value: the member is left out."""

_DECODER: Final[msgspec.json.Decoder[WireEvent]] = msgspec.json.Decoder(
    Union[tuple(WIRE_TYPES.values())]  # noqa: UP007  # a union made of a table
)


def put(document: Any, pointer: str, value: object) -> None:
    """Write *value* at *pointer* of a JSON document; objects have names, arrays numbers."""
    *way, last = (int(step) if step.isdecimal() else step for step in pointer.split("/")[1:])
    place = document
    for step in way:
        place = place[step]
    if value is ABSENT:
        place.pop(last, None)
    else:
        place[last] = value


def changed(event_type: str, changes: Mapping[str, object]) -> dict[str, Any]:
    """The example of *event_type* with other values at some pointers."""
    event = example(event_type)
    for pointer, value in changes.items():
        put(event, pointer, value)
    return event


def read(event: Mapping[str, object]) -> WireEvent:
    """Decode *event* as one call decodes any of the 25 types."""
    return _DECODER.decode(msgspec.json.encode(event))


def decoding_complaint(event: Mapping[str, object]) -> str | None:
    """Where and what the typed decoder complains of; ``None`` when it takes *event*."""
    try:
        read(event)
    except msgspec.ValidationError as error:
        return str(error)
    return None


def refusal(event: Mapping[str, object]) -> tuple[Reason, str | None] | None:
    """Reason and pointer of the payload check; ``None`` when it accepts *event*."""
    try:
        check(read(event))
    except Reject as reject:
        return reject.reason, reject.pointer
    return None
