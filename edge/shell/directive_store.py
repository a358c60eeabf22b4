"""Owns one file: the directives believed so far, and the keys that signed them, for the next start.

Design constraints
------------------
A gateway that starts while its directives or their keys cannot be read must still shut out whom
it shut out before. So whatever is held is kept, with the key set it was believed by. The file is
replaced whole: a crash leaves the old one or the new one. It is not trusted when read: every
directive in it is verified again.

Record
------
One JSON object: ``version`` (1), ``keys`` (the path of the key set, as it was set), ``jwks`` (that
document as it came, as text) and ``directives``, each with ``signed``, the document, and
``forget_unix_s``, until when it has to be remembered.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import msgspec

from edge.core.directive import DIRECTIVE_BYTES_MAX
from edge.core.keyset import KEY_SET_BYTES_MAX
from edge.core.revocations import REVOCATIONS_MAX
from edge.shell.spool.disk import OsDisk, publish, settle_directory

_DISK: Final = OsDisk()
_ENTRY_BYTES: Final = 64  # names, quotes and a time around each document
_FILE_BYTES_MAX: Final = 8 * KEY_SET_BYTES_MAX + REVOCATIONS_MAX * (
    DIRECTIVE_BYTES_MAX + _ENTRY_BYTES
)
"""A full table; quoting a key set as a JSON string makes it at most six times as long."""


class Kept(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One directive.

    Attributes:
        signed: The document, ASCII.
        forget_unix_s: Until when it has to be remembered, unix s.
    """

    signed: str
    forget_unix_s: int


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that is kept.

    Attributes:
        version: Of this format.
        keys: Where the key set lay.
        jwks: The key set.
        directives: Believed by it.
    """

    version: Literal[1] = 1
    keys: str
    jwks: str
    directives: Sequence[Kept]


class DirectiveStore:
    """The last good directives of one gateway."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "last_good.json"

    def save(self, record: Record) -> None:
        """Return when *record* is on stable storage in place of what was there.

        Raises:
            OSError: It is not for sure; what is there is whole, be it the old one or the new.
        """
        settle_directory(_DISK, self._path.parent)
        publish(_DISK, self._path, msgspec.json.encode(record)).close()

    def load(self) -> Record | None:
        """Return what was kept; ``None`` if there is nothing, or nothing that can be read."""
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(_FILE_BYTES_MAX), type=Record)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
