"""The JSON Schema of each event type, made from the structs that decode it.

What the structs do not tell, since :mod:`edge.core.attributes` checks it, is filled in from
there. What members must agree on with each other no schema says; it is the catalogue's.

Source: JSON Schema 2020-12.
"""

from collections.abc import Iterable
from inspect import cleandoc
from typing import Any, Final, TypeAlias

import msgspec

from edge.core.attributes import PATTERNS, SEQ_MAX, SOURCE_CHARS_MAX, dataschema, required_of
from edge.core.catalogue.registry import SPECS, WIRE_TYPES
from edge.core.event import BusinessKey, Spec
from edge.core.lane import Authority

Schema: TypeAlias = dict[str, Any]  # JSON, of any depth

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_FORMATS: Final[dict[str, Schema]] = {
    "id": {"format": "uuid"},
    "source": {"format": "uri-reference", "minLength": 1, "maxLength": SOURCE_CHARS_MAX},
    "time": {"format": "date-time"},
    "session": {"format": "uuid"},
}
_SEQ: Final = {"type": "integer", "minimum": 1, "maximum": SEQ_MAX}
_NO_SEQ: Final = {"type": "null", "description": "Facts are not numbered."}
_TRACE: Final = {"type": ["string", "null"], "description": "Dropped if not valid."}


def event_schema(type_: str) -> Schema:
    """Write the schema of one whole CloudEvent; it refers to nothing outside itself.

    Args:
        type_: As in the catalogue.
    """
    definitions = event_definitions([type_], "#/$defs/{name}")
    root = definitions.pop(definition_name(type_))
    return {
        "$schema": DIALECT,
        "$id": dataschema(type_, SPECS[type_].versions[-1]),
        **root,
        "$defs": definitions,
    }


def definition_name(type_: str) -> str:
    """Name the definition of a whole CloudEvent among its parts."""
    return WIRE_TYPES[type_].__name__


def event_definitions(types: Iterable[str], ref_template: str) -> dict[str, Schema]:
    """Write the schemas of whole CloudEvents, and of all they are made of, by name.

    Args:
        types: As in the catalogue.
        ref_template: Where the definitions will stand, with ``{name}`` in it.
    """
    specs = {WIRE_TYPES[type_].__name__: SPECS[type_] for type_ in types}
    definitions = definitions_of((WIRE_TYPES[s.type] for s in specs.values()), ref_template)
    return {
        name: _whole_event(definition, specs[name]) if name in specs else definition
        for name, definition in definitions.items()
    }


def definitions_of(types: Iterable[type], ref_template: str) -> dict[str, Schema]:
    """Write the schemas of structs, and of all they are made of, by name.

    Args:
        types: Structs.
        ref_template: Where the definitions will stand, with ``{name}`` in it.
    """
    _, definitions = msgspec.json.schema_components(types, ref_template=ref_template)
    for definition in definitions.values():
        # Docstrings are written for Python's tools, descriptions are read as Markdown.
        definition["description"] = cleandoc(definition["description"]).replace("``", "`")
    return definitions


def _whole_event(definition: Schema, spec: Spec) -> Schema:
    required = {*definition["required"], *required_of(spec)}
    properties = definition["properties"] | _attributes(spec)
    return definition | {
        "title": spec.type,
        "description": " ".join(
            [f"Lane `{spec.lane}`, {spec.authority}.", *(_told(key, spec) for key in spec.keys)]
        ),
        "properties": properties,
        "required": [name for name in properties if name in required],
    }


def _told(key: BusinessKey, spec: Spec) -> str:
    owner = "brand" if spec.authority is Authority.FACT else "player"
    names = " and ".join(f"`{field}`" for field in key.fields)
    return f"Two events of one {owner} with the same {names} are one transaction."


def _attributes(spec: Spec) -> Schema:
    required = required_of(spec)
    texts = {
        name: {
            "type": "string" if name in required else ["string", "null"],
            "pattern": pattern,
            **_FORMATS.get(name, {}),
        }
        for name, pattern in PATTERNS.items()
    }
    versions = [dataschema(spec.type, version) for version in spec.versions]
    return texts | {
        "datacontenttype": {"enum": ["application/json", None]},
        "dataschema": {"enum": [*versions, None]},
        "seq": _SEQ if "seq" in required else _NO_SEQ,
        "traceparent": _TRACE,
        "tracestate": _TRACE,
    }
