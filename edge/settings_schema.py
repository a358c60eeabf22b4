"""The JSON Schema of the settings, for editors and for whoever writes them by program."""

from typing import Any, cast

from edge.config import Config
from edge.core.schema import DIALECT, Schema, definitions_of


def settings_schema() -> Schema:
    """Write the schema of the settings file; rules between settings are not in it."""
    definitions = definitions_of([Config], "#/$defs/{name}")
    # Where a quota has a default, what is left out comes from there.
    definitions["Limit"]["required"] = []
    return {
        "$schema": DIALECT,
        "$ref": "#/$defs/Config",
        "$defs": {name: _as_written(each) for name, each in definitions.items()},
    }


def _as_written(schema: Any) -> Any:
    """Say what the file may hold where the structs say what becomes of it.

    TOML has no null, so ``false`` stands for it; and a size may be text with a unit.
    """
    match schema:
        case {"type": "null"}:
            return {"enum": [False, None]}
        case {"type": "integer", "pattern": _}:
            return cast("Schema", schema) | {"type": ["integer", "string"]}
        case dict():
            return {name: _as_written(each) for name, each in cast("Schema", schema).items()}
        case list():
            return [_as_written(each) for each in cast("list[object]", schema)]
        case _:
            return schema
