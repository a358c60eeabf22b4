"""Whether bytes are an envelope as the edge promises to write it; in words when they are not.

In goes one record's value; out comes a list of complaints, empty for an envelope. It knows the
forms and the relations of the attributes, not the payloads: those are the catalogue's, on the
edge. It shares no code with what writes envelopes, except the list of their names.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

import msgspec

from origin_client.envelope import DEADREASON_CHARS_MAX

_MEMBERS: Final = msgspec.json.Decoder(dict[str, object])
_CLIENT: Final = ("intent", "observation")  # the two authorities that number their events


def _matches(pattern: str) -> Callable[[object], bool]:
    compiled = re.compile(pattern)
    return lambda value: isinstance(value, str) and compiled.fullmatch(value) is not None


def _is_instant(value: object) -> bool:
    """Whether *value* is RFC 3339 in UTC with exactly three fraction digits."""
    if not _INSTANT(value):
        return False
    try:
        datetime.fromisoformat(str(value))
    except ValueError:
        return False
    return True


def _is_sequence_number(value: object) -> bool:
    return type(value) is int and 1 <= value < 1 << 31


def _are_flags(value: object) -> bool:
    """Whether *value* is one or more names, sorted, each once, comma separated."""
    if not isinstance(value, str):
        return False
    names = value.split(",")
    return names == sorted(set(names)) and all(map(_NAME, names))


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


_INSTANT: Final = _matches(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_NAME: Final = _matches(r"[a-z][a-z0-9_]*")
_UUID: Final = _matches(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_WORD: Final = _matches(r"[A-Za-z0-9._:-]{1,64}")

# Source: CloudEvents 1.0.2 §3; W3C Trace Context §3.2 and §3.3; design.md §4; catalogue.md.
_REQUIRED: Final[dict[str, Callable[[object], bool]]] = {
    "specversion": _matches(r"1\.0"),
    "id": _UUID,
    "source": _matches(r"[!#-;=?-\[\]_a-z~]{1,256}"),
    "type": _matches(r"[a-z]+\.[a-z_]+\.[a-z_]+"),
    "time": _is_instant,
    "subject": _matches(r"[A-Za-z0-9_-]{4,64}"),
    "dataschema": _matches(r"urn:edge:schema:[a-z_.]+:\d+\.\d+"),
    "brand": _matches(r"[a-z0-9-]{2,32}"),
    "jurisdiction": _matches(r"[A-Z]{2}(-[A-Z0-9]{2,8})?"),
    "edgenode": _WORD,
    "edgeregion": _WORD,
    "edgespool": _UUID,
    "edgeseq": _matches(r"[1-9][0-9]*"),
    "edgetime": _is_instant,
    "authority": _matches(r"intent|observation|fact"),
    "data": _is_object,
}
_OPTIONAL: Final[dict[str, Callable[[object], bool]]] = {
    "session": _UUID,
    "seq": _is_sequence_number,
    "traceparent": _matches(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"),
    "tracestate": _matches(r"[ -~]{1,512}"),
    "flags": _are_flags,
    "deadreason": lambda value: (
        isinstance(value, str)
        and 0 < len(value) <= DEADREASON_CHARS_MAX
        and value.isprintable()
    ),
}
ATTRIBUTES: Final = _REQUIRED | _OPTIONAL


def validate(value: bytes) -> list[str]:
    """Return what is wrong with *value* as an envelope; nothing is wrong with an empty list."""
    try:
        members = _MEMBERS.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return [f"not a JSON object: {error}"]
    complaints = [f"{name} is missing" for name in _REQUIRED if name not in members]
    for name, member in members.items():
        if name not in ATTRIBUTES:
            complaints.append(f"{name!r} is not an attribute of ours")
        elif not ATTRIBUTES[name](member):
            complaints.append(f"{name} has not its form: {member!r:.80}")
    return complaints or _relations(members)


def _relations(members: dict[str, object]) -> list[str]:
    """Return what is wrong between attributes that are each as they should be."""
    complaints: list[str] = []
    kind, authority = members["type"], members["authority"]
    if not str(members["dataschema"]).startswith(f"urn:edge:schema:{kind}:"):
        complaints.append(f"dataschema is not one of {kind}")
    if authority in _CLIENT:
        complaints += [
            f"{name} is missing on an {authority}"
            for name in ("session", "seq")
            if name not in members
        ]
    elif "seq" in members:
        complaints.append("a fact has a seq")
    return complaints
