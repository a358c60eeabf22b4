"""One small mounted file: what stands in it, each time that may have changed.

A look at an unchanged file costs one ``fstat``. One whose time is too young to tell two writes
apart is read again until it is older, so no change is missed, however it was made: a swapped
symlink, a rename, an edit in place, two within one tick of the clock. Blocking.
"""

import os
from pathlib import Path
from typing import Final

from edge.core.instant import NS_PER_S

_SETTLED_NS: Final = 2 * NS_PER_S
"""A file's time may stand still for so long on the coarsest file system we know (FAT)."""


class FileTooLarge(Exception):  # noqa: N818  # an expected state of the world
    """There is more than may be read. The message says how much may."""


class WatchedFile:
    """One file that is read when it may have changed. One thread at a time.

    Args:
        path: Where it is mounted.
        bytes_max: A larger one is refused, not cut.
    """

    def __init__(self, path: Path, bytes_max: int) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._seen: tuple[int, ...] | None = None

    def read(self, unix_ns: int) -> bytes | None:
        """Return what stands there, or ``None`` if that is surely what was there last time.

        Args:
            unix_ns: Now, by the clock that files' times come from.

        Raises:
            OSError: It cannot be read.
            FileTooLarge: As it says.
        """
        seen, self._seen = self._seen, None  # what cannot be read is read again
        try:
            with self._path.open("rb") as file:
                marks = _marks(os.fstat(file.fileno()), unix_ns)
                is_same = marks is not None and marks == seen
                # One more than may be, so that a larger file is refused, not cut.
                octets = None if is_same else file.read(self._bytes_max + 1)
        except OSError as error:
            # Where a relative path was looked for is half of what an operator needs to know.
            raise OSError(error.errno, f"{self._path.absolute()}: {error.strerror}") from error
        self._seen = marks
        if octets is not None and len(octets) > self._bytes_max:
            raise FileTooLarge(
                f"{self._path.absolute()} is larger than {self._bytes_max} bytes"
            )
        return octets


def _marks(found: os.stat_result, unix_ns: int) -> tuple[int, ...] | None:
    """Tell this content from any other; ``None`` while the clock might not."""
    if found.st_ctime_ns >= unix_ns - _SETTLED_NS:
        return None
    times = found.st_mtime_ns, found.st_ctime_ns
    return found.st_dev, found.st_ino, found.st_size, *times
