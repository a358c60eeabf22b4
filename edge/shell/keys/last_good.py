"""Owns one small file: the last good key set of one issuer, for the next start.

Design constraints
------------------
A gateway that starts while its issuer is down must still know the players who are logged in.
So what was fetched and found good is kept, together with when, because age decides whether it
may still be believed. The file is replaced whole: a crash leaves the old set or the new one. It is not trusted when read: its keys go
through the same hygiene as fresh ones. Its name is a digest of issuer and source, so a changed
setting never finds the keys of the old one.

Record
------
One JSON object: ``version`` (1), ``issuer``, ``source`` (the URL), ``fetched_unix_ms`` (wall
clock) and ``jwks``, the document as it came, as text.
"""

import hashlib
from pathlib import Path
from typing import Final, Literal

import msgspec

from edge.core.instant import NS_PER_MS
from edge.core.keyset import KEY_SET_BYTES_MAX
from edge.shell.spool.disk import OsDisk, publish, settle_directory

_DISK: Final = OsDisk()
_FILE_BYTES_MAX: Final = 8 * KEY_SET_BYTES_MAX
"""Quoting a document as a JSON string makes it at most six times as long."""


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    version: Literal[1] = 1
    issuer: str
    source: str
    fetched_unix_ms: int
    jwks: str


class LastGood:
    """The last good key set of one issuer from one source."""

    def __init__(self, directory: Path, *, issuer: str, source: str) -> None:
        digest = hashlib.sha256(f"{issuer}\n{source}".encode()).hexdigest()
        self._path = directory / f"{digest[:32]}.json"
        self._issuer = issuer
        self._source = source

    def save(self, jwks: bytes, fetched_unix_ns: int) -> None:
        """Return when *jwks*, UTF-8, is on stable storage in place of what was there.

        Raises:
            OSError: It is not for sure; what is there is whole, be it the old set or the new.
        """
        record = _Record(
            issuer=self._issuer,
            source=self._source,
            fetched_unix_ms=fetched_unix_ns // NS_PER_MS,
            jwks=jwks.decode("utf-8"),
        )
        settle_directory(_DISK, self._path.parent)
        publish(_DISK, self._path, msgspec.json.encode(record)).close()

    def load(self) -> tuple[bytes, int] | None:
        """Return the document and when it was fetched, unix ns; ``None`` if there is none.

        A file that cannot be read, or is not such a record, counts as none: the set it held
        will be fetched again.
        """
        try:
            with self._path.open("rb") as file:
                record = msgspec.json.decode(file.read(_FILE_BYTES_MAX), type=_Record)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        if (record.issuer, record.source) != (self._issuer, self._source):
            return None
        return record.jwks.encode(), record.fetched_unix_ms * NS_PER_MS
