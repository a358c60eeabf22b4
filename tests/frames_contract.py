"""Whether a frame is as ``/asyncapi.json`` says: how a client's developer would check it."""

from typing import Any, Final

import jsonschema

from edge.core.asyncapi import asyncapi_document

_FORMATS: Final = jsonschema.Draft7Validator.FORMAT_CHECKER


class FramesContract:
    """One document, ready to hold frames against it.

    Args:
        document: As it is served.

    Attributes:
        sent: The ops that a gateway sends.
        received: Those that it takes.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        components = document["components"]
        self._validators: dict[str, Any] = {
            op: jsonschema.Draft7Validator(
                {**message["payload"], "components": components}, format_checker=_FORMATS
            )
            for op, message in components["messages"].items()
        }
        self.sent, self.received = (
            {
                reference["$ref"].rpartition("/")[2]
                for operation in document["operations"].values()
                if operation["action"] == action
                for reference in operation["messages"]
            }
            for action in ("send", "receive")
        )

    def ops_of(self, frame: object) -> set[str]:
        """Which messages *frame* is valid as: of a good one there is one."""
        return {op for op, validator in self._validators.items() if validator.is_valid(frame)}

    def faults_of(self, frame: dict[str, Any]) -> list[str]:
        """What is wrong with *frame*, as the message it says it is; and where."""
        validator = self._validators.get(frame["op"])
        if validator is None:
            return [f"no such op: {frame['op']}"]
        return [f"{each.json_path}: {each.message}" for each in validator.iter_errors(frame)]


CONTRACT: Final = FramesContract(asyncapi_document())
"""The document of this commit."""
