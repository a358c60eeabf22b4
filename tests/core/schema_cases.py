"""From a served schema alone: an event it accepts, and for each field the ones it refuses.

Only what members must agree on with each other no schema says: AGREEMENTS says it.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, TypeAlias

import jsonschema

Schema: TypeAlias = dict[str, Any]
Path: TypeAlias = tuple[str | int, ...]

FORMATS: Final = jsonschema.Draft202012Validator.FORMAT_CHECKER

AGREEMENTS: Final[dict[str, Callable[[dict[str, Any]], object]]] = {
    # A limit is on money or on time.
    "player.limit.changed": lambda data: data.pop("duration_ms"),
    # The sample's one leg is a single, which has no system sizes.
    "bet.slip.submitted": lambda data: data.update(slip_type="single", system_sizes=[]),
}
"""By type: makes the sample's members agree."""

WORDS: Final = (
    "word",
    "MT",
    "PROMO",
    "0" * 64,
    "019856f0-6f2c-7b1e-8d53-2f1d5c0a9e44",
    "2026-07-31T20:00:00Z",
)
"""A schema's strings are the first of these that it takes."""

OTHER_TYPE: Final[dict[str, Any]] = {
    "string": 7,
    "integer": "7",
    "boolean": 1,
    "object": [],
    "array": {},
    "null": 7,
    "enum": 7,
}


def is_valid(instance: Any, schema: Schema) -> bool:
    """Whether a JSON Schema accepts *instance*, formats included."""
    validator: Any = jsonschema.Draft202012Validator(schema, format_checker=FORMATS)
    return bool(validator.is_valid(instance))


class Case(NamedTuple):
    """One broken event.

    Attributes:
        label: What is wrong with it.
        event: The event.
        pointer: Where the refusal must point.
    """

    label: str
    event: dict[str, Any]
    pointer: str


def sample_event(schema: Schema) -> dict[str, Any]:
    """Write an event that has every member the schema knows."""
    event: dict[str, Any] = _sample(schema, schema)
    if event["type"] in AGREEMENTS:
        AGREEMENTS[event["type"]](event["data"])
    return event


def broken_events(schema: Schema) -> Iterator[Case]:
    """Break each member of a valid event, one at a time, in every way its schema names."""
    event = sample_event(schema)
    for path, member in places_of(schema, schema):
        value = _sample(member, schema) if path else event
        for label, broken, below in _breaks(member, value):
            pointer = "".join(f"/{step}" for step in (*path, *below))
            yield Case(f"{pointer} {label}", replaced(event, path, broken), pointer)


def _breaks(member: Schema, value: Any) -> Iterator[tuple[str, Any, Path]]:
    """Yield what is wrong, the wrong value, and where below *value* to point."""
    yield "of another type", OTHER_TYPE[_kind(member)], ()
    if "enum" in member:
        yield "not in the enum", "no such value", ()
    if "pattern" in member:
        yield "not of the pattern", value + " ", ()
    for label, wrong in _sizes(member, value):
        yield label, wrong, ()
    if "properties" in member:
        yield "unknown member", value | {"unknown": 1}, ()
        for name in member["required"]:
            yield "missing", {n: v for n, v in value.items() if n != name}, (name,)


def _sizes(member: Schema, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield one below each lower bound, and one above each upper."""
    if "minimum" in member:
        yield "too small", member["minimum"] - 1
        yield "too large", member["maximum"] + 1
    for unit in ("Length", "Items"):
        if member.get(f"min{unit}"):
            yield "too short", value[: member[f"min{unit}"] - 1]
        if f"max{unit}" in member:
            size = member[f"max{unit}"] + 1
            yield "too long", ((value or "a") * size)[:size]


def replaced(value: Any, path: Path, new: Any) -> Any:
    """Copy *value* with *new* at *path*; an empty array gets its first element."""
    if not path:
        return new
    step, *rest = path
    if isinstance(step, int):
        elements = value or [None]
        return [
            replaced(e, tuple(rest), new) if i == step else e for i, e in enumerate(elements)
        ]
    return value | {step: replaced(value.get(step), tuple(rest), new)}


def _resolved(member: Schema, root: Schema) -> Schema:
    """Follow references, and of a choice the first."""
    if "anyOf" in member:
        return _resolved(member["anyOf"][0], root)
    if "$ref" in member:
        return _resolved(root["$defs"][member["$ref"].removeprefix("#/$defs/")], root)
    return member


def _kind(member: Schema) -> str:
    if "enum" in member:
        return "enum"
    kinds: str | list[str] = member["type"]
    return kinds if isinstance(kinds, str) else kinds[0]


def _sample(member: Schema, root: Schema) -> Any:
    member = _resolved(member, root)
    kind = _kind(member)
    if kind == "enum":
        return member["enum"][0]
    if kind == "string":
        return _text(member)
    if kind == "array":
        parts = member.get("prefixItems") or [member["items"]]
        return [_sample(part, root) for part in parts]
    if kind == "object":
        return {name: _sample(part, root) for name, part in member["properties"].items()}
    return {"integer": member.get("minimum", 0), "boolean": True, "null": None}[kind]


def _text(member: Schema) -> str:
    """Find the first word that has the pattern, the format and the length."""
    return next(word for word in WORDS if is_valid(word, member))


def places_of(member: Schema, root: Schema, path: Path = ()) -> Iterator[tuple[Path, Schema]]:
    """Yield each place the schema knows, with its own schema; of an array, one element."""
    member = _resolved(member, root)
    yield path, member
    for name, part in member.get("properties", {}).items():
        yield from places_of(part, root, (*path, name))
    parts = member.get("prefixItems", [member["items"]] if "items" in member else [])
    for index, part in enumerate(parts):
        yield from places_of(part, root, (*path, index))
