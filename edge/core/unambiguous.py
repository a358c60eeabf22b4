"""Base64url and JSON read the one way that two readers cannot understand differently.

Signed text and key sets come in. Whatever a lenient reader would repair, skip or choose
between is refused here: the party that signed may have meant the other reading.
"""

import base64
import json
from typing import NoReturn


class Ambiguous(ValueError):  # noqa: N818  # a verdict on somebody else's text
    """This text has no reading, or more than one. The message never quotes it."""


def base64url(text: str | bytes) -> bytes:
    """Decode base64url without padding, in its one canonical spelling.

    Writing the octets again must give the same text. That catches padding, white space, the
    other alphabet, and the unused low bits of the last character, which a lenient decoder
    drops: with them one signature could be spelled up to sixteen ways.

    Raises:
        Ambiguous: Not base64url, or not the canonical spelling.

    Source: RFC 7515 §2; RFC 4648 §3.5, §5.
    """
    try:
        octets = text.encode("ascii") if isinstance(text, str) else text
        decoded = base64.urlsafe_b64decode(octets + b"=" * (-len(octets) % 4))
    except ValueError as error:
        raise Ambiguous("not base64url") from error
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != octets:
        raise Ambiguous("not in canonical base64url")
    return decoded


def json_object(octets: bytes) -> dict[str, object]:
    """Read one JSON object: UTF-8 without BOM, no name twice at any depth, no NaN.

    The standard library's reader, because neither msgspec nor orjson tells of a name that
    stands twice: both keep the last, others keep the first.

    Raises:
        Ambiguous: Not such an object, or nested deeper than the interpreter's stack.

    Source: RFC 8259 §4, §8.1; RFC 7515 §4; RFC 7519 §4.
    """
    try:
        # Decoded here: given bytes, the reader would guess UTF-16 and UTF-32 too.
        read: object = json.loads(
            octets.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number
        )
    except (ValueError, RecursionError) as error:
        raise Ambiguous("not unambiguous JSON in UTF-8") from error
    if not isinstance(read, _Members):
        raise Ambiguous("not a JSON object")
    return read


class _Members(dict[str, object]):
    """A JSON object, known by this type to have unique names."""


def _unique(members: list[tuple[str, object]]) -> _Members:
    named = _Members(members)
    if len(named) != len(members):
        raise Ambiguous("a name stands twice")
    return named


def _no_number(_literal: str) -> NoReturn:
    raise Ambiguous("NaN and Infinity are no JSON")
