"""Prints a topic, one line per record: ``edge origin cat``.

In go a URL and a topic; out go lines. As JSON: the log's own line plus ``topic`` and
``partition``. For people: where, whose, what, and what is wrong with it as an envelope.
"""

from typing import Final, TextIO

import msgspec

from origin_client.open import open_reader
from origin_client.origin import Record
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


_GIST: Final = msgspec.json.Decoder(_Gist)


def cat(url: str, topic: str, out: TextIO, *, as_json: bool) -> int:
    """Print what *topic* holds now; return how many records that is.

    Raises:
        OriginError: No origin is described, it cannot be read, or there is none yet.
        OSError: *out* cannot be written.
    """
    written = _as_json if as_json else _for_people
    reader = open_reader(url)
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
        value=msgspec.Raw(record.value),
    )
    return _ENCODER.encode(line).decode()


def _for_people(record: Record) -> str:
    complaints = validate(record.value)
    try:
        gist = _GIST.decode(record.value)
    except msgspec.DecodeError:
        gist = _Gist()
    # A key is a subject or a session, but the log takes any text: repr shows, never acts.
    line = (
        f"{record.partition}:{record.offset} {record.key!r} "
        f"{gist.edgetime!r} {gist.type!r} {gist.id!r}"
    )
    return f"{line}  invalid: {complaints}" if complaints else line
