"""Prints a topic, one line per record: ``edge origin cat``.

In go a URL and a topic; out go lines. As JSON: the log's own line plus ``topic`` and
``partition``. For people: where, whose, what, and what is wrong with it as an envelope.
"""

import json
from typing import Final, TextIO

import msgspec

from origin_client.open import open_reader
from origin_client.origin import Options, Record
from origin_client.validate import validate

_ENCODER: Final = msgspec.json.Encoder()


class _Printed(msgspec.Struct, frozen=True):
    """One line; fields as in :class:`origin_client.origin.Record`."""

    topic: str
    partition: int
    offset: int
    key: str
    headers: dict[str, str]
    value: msgspec.Raw


class _Gist(msgspec.Struct, frozen=True):
    """What people look for in an envelope."""

    edgetime: str = "?"
    type: str = "?"
    id: str = "?"


_RAW: Final = msgspec.json.Decoder(msgspec.Raw)
_GIST: Final = msgspec.json.Decoder(_Gist)


def cat(url: str, options: Options, topic: str, out: TextIO, *, as_json: bool) -> int:
    """Print what *topic* holds now; return how many records that is.

    Raises:
        OriginError: No origin is described, it cannot be read, or there is none yet.
        OriginUnavailable: It does not answer, or refuses.
        OSError: *out* cannot be written.
    """
    written = _as_json if as_json else _for_people
    reader = open_reader(url, options)
    records = 0
    try:
        for record in reader.subscribe(topic, {}):
            out.write(written(record) + "\n")
            records += 1
    finally:
        reader.close()
    return records


def _as_json(record: Record) -> str:
    line = _Printed(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        key=record.key,
        headers=record.headers,
        value=_json(record.value),
    )
    text = _ENCODER.encode(line).decode()
    return text if text.isprintable() else "".join(map(_shown, text))


def _json(value: bytes) -> msgspec.Raw:
    """Return *value* as it stands; as a string if it is no JSON, for a broker takes anything."""
    try:
        value.decode()
        _RAW.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return msgspec.Raw(_ENCODER.encode(value.decode(errors="backslashreplace")))
    return msgspec.Raw(value)


def _shown(character: str) -> str:
    """Write what is not printable as JSON does; line ends stand between members only."""
    if character.isprintable():
        return character
    return " " if character in "\r\n\t" else json.dumps(character)[1:-1]


def _for_people(record: Record) -> str:
    complaints = validate(record.value)
    try:
        gist = _GIST.decode(record.value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        gist = _Gist()
    # A key is a subject or a session, but the log takes any text: repr shows, never acts.
    line = (
        f"{record.partition}:{record.offset} {record.key!r} "
        f"{gist.edgetime!r} {gist.type!r} {gist.id!r}"
    )
    return f"{line}  invalid: {complaints}" if complaints else line
