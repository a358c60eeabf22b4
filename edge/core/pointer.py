"""A complaint of msgspec's in, the place it complains of out, as a JSON pointer."""

import re
from typing import Final

import msgspec

_AT: Final = " - at `$"
_MISSING: Final = "Object missing required field `"
_STEP: Final = re.compile(r"\.([A-Za-z0-9_]+)|\[([0-9]+)\]")


def pointer_of(error: msgspec.ValidationError) -> str:
    """Tell which member *error* is about.

    A missing or wrong member is pointed at itself; of an unknown one its parent is. What a
    sender calls an unknown member stands in the message, but left of the last ``- at``, so
    it cannot forge a place. Only of the root msgspec writes no place at all: unknown members
    of the root must be sorted out before.

    Args:
        error: Raised for an object whose root has no unknown member. The structs' own member
            names are letters, digits and ``_``, so nothing is left to escape.

    Source: RFC 6901 §3; the messages are msgspec's, 0.22.
    """
    before, at, after = str(error).rpartition(_AT)
    complaint, place = (before, after) if at else (after, "")
    pointer = "".join(f"/{name or index}" for name, index in _STEP.findall(place))
    if complaint.startswith(_MISSING):
        return f"{pointer}/{complaint.removeprefix(_MISSING).removesuffix('`')}"
    return pointer
