"""A lane's directory, for as long as its name leads to it.

A descriptor outlives its name: where a lane, or the whole spool, is moved away under a running
process (somebody puts a backup in its place), what is synced lies where no start will look, and
what is called by its name is somebody else's. So every call asks first whether the directory is
still the one that was opened, and a sync asks last: 3 to 8 µs beside its 250.

What was moved and comes back works again; that it is a link now, or goes through one, does not
matter.
"""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from typing_extensions import override

from edge.shell.spool.disk import Disk, Output

_Identity: TypeAlias = tuple[int, int] | None


class Home(Disk):
    """A disk for the files of one directory. Once that is another one, every call fails.

    Args:
        disk: Does the work.
        directory: It is there.
    """

    def __init__(self, disk: Disk, directory: Path) -> None:
        self._disk: Final = disk
        self._directory: Final = directory
        self._identity: Final = _identity(directory)

    @override
    def make_directory(self, path: Path) -> None:
        self._check()
        self._disk.make_directory(path)

    @override
    def files(self, directory: Path) -> dict[str, int]:
        self._check()
        return self._disk.files(directory)

    @override
    def read(self, path: Path, offset: int, size: int) -> bytes:
        self._check()
        return self._disk.read(path, offset, size)

    @override
    def create(self, path: Path) -> Output:
        self._check()
        return _HomeOutput(self._disk.create(path), self._check)

    @override
    def write_unsynced(self, path: Path, content: bytes) -> None:
        self._check()
        self._disk.write_unsynced(path, content)

    @override
    def overwrite(self, path: Path, offset: int, content: bytes) -> None:
        self._check()
        self._disk.overwrite(path, offset, content)

    @override
    def rename(self, source: Path, target: Path) -> None:
        self._check()
        self._disk.rename(source, target)

    @override
    def unlink(self, path: Path) -> None:
        self._check()
        self._disk.unlink(path)

    @override
    def resize(self, path: Path, size: int) -> None:
        self._check()
        self._disk.resize(path, size)

    @override
    def sync_directory(self, path: Path) -> None:
        self._disk.sync_directory(path)
        self._check()

    def _check(self) -> None:
        """Raise if the name leads elsewhere; not as a lost file, for those bytes still are."""
        if _identity(self._directory) != self._identity:
            words = "the directory was moved or replaced while in use"
            raise OSError(errno.ESTALE, words, str(self._directory))


class _HomeOutput(Output):
    """A file of it."""

    def __init__(self, output: Output, check: Callable[[], None]) -> None:
        self._output: Final = output
        self._check: Final = check

    @override
    def write(self, content: bytes) -> None:
        self._output.write(content)

    @override
    def sync(self) -> None:
        self._output.sync()
        self._check()

    @override
    def close(self) -> None:
        self._output.close()


def _identity(directory: Path) -> _Identity:
    """Tell a directory from every other; ``None`` if there is none."""
    try:
        status = directory.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
