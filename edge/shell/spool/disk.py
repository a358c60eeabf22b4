"""The few things the spool asks of a file system, as something one can hand over.

Nothing above this module calls the operating system about files of the spool, so a test can
fail every single call, lose what was not synced, or fill up.
"""

import contextlib
import errno
import os
from abc import abstractmethod
from pathlib import Path
from typing import Final, Protocol

from typing_extensions import override

_FILE_MODE: Final = 0o600
_DIRECTORY_MODE: Final = 0o700
"""Events speak of people: nobody but the gateway reads them."""

_FULL: Final = (errno.ENOSPC, errno.EDQUOT)

_LOST: Final = (errno.EIO, errno.ENODATA, errno.EUCLEAN, errno.EBADMSG, errno.ENOENT)
"""A bad sector (the first two), damage that the file system found (the next), and no file. The
rest (no descriptors, no memory, no permission, a stale mount) says nothing of the bytes."""


class Output(Protocol):
    """One file being written, from its first byte on."""

    @abstractmethod
    def write(self, content: bytes) -> None:
        """Append all of it.

        Raises:
            OSError: Some of it, or nothing, was written; ``ENOSPC`` when only some was.
        """
        ...

    @abstractmethod
    def sync(self) -> None:
        """Return when all that was written is on stable storage.

        Raises:
            OSError: It may never get there. Never ask again: a second answer would be a lie.
        """
        ...

    @abstractmethod
    def close(self) -> None:
        """Give the descriptor back; nothing is synced, and nothing raised."""
        ...


class Disk(Protocol):
    """A file system. Every method raises ``OSError`` as its system call does."""

    @abstractmethod
    def make_directory(self, path: Path) -> None:
        """Create it, with its parents, unless it is there."""
        ...

    @abstractmethod
    def files(self, directory: Path) -> dict[str, int]:
        """Name the regular files of a directory, with their sizes in bytes."""
        ...

    @abstractmethod
    def read(self, path: Path, offset: int, size: int) -> bytes:
        """Read *size* bytes, fewer only at the file's end."""
        ...

    @abstractmethod
    def create(self, path: Path) -> Output:
        """Begin a file anew, empty."""
        ...

    @abstractmethod
    def write_unsynced(self, path: Path, content: bytes) -> None:
        """Make a file of bytes that may be lost: nobody waits for stable storage."""
        ...

    @abstractmethod
    def overwrite(self, path: Path, offset: int, content: bytes) -> None:
        """Return when bytes of a file are replaced by others, on stable storage."""
        ...

    @abstractmethod
    def rename(self, source: Path, target: Path) -> None:
        """Give a file another name, replacing what had it."""
        ...

    @abstractmethod
    def unlink(self, path: Path) -> None:
        """Remove a file."""
        ...

    @abstractmethod
    def resize(self, path: Path, size: int) -> None:
        """Shorten a file, or lengthen it with blocks reserved for it."""
        ...

    @abstractmethod
    def sync_directory(self, path: Path) -> None:
        """Return when the names in it are on stable storage."""
        ...


def is_full(error: Exception) -> bool:
    """Whether the call failed for want of room: a state to wait out, not a broken disk."""
    return isinstance(error, OSError) and error.errno in _FULL


def is_lost(error: OSError) -> bool:
    """Whether a read failed because the bytes are gone: asking again brings nothing back."""
    return error.errno in _LOST


def settle_directory(disk: Disk, path: Path) -> None:
    """Make a directory that is still there after a power loss.

    Raises:
        OSError: It could not be made, or not for sure.
    """
    disk.make_directory(path)
    disk.sync_directory(path.parent)


def publish(disk: Disk, path: Path, content: bytes) -> Output:
    """Put a file where readers find either nothing (or the old one) or all of *content*.

    Temporary name, write, sync, rename, sync of the directory: only then is it there for sure.

    Returns:
        The file, open, for appending or closing.

    Raises:
        OSError: The new file may or may not have got its name; it is not durable.
    """
    temporary = path.with_suffix(".tmp")
    output = disk.create(temporary)
    try:
        output.write(content)
        output.sync()
        disk.rename(temporary, path)
        disk.sync_directory(path.parent)
    except OSError:
        output.close()
        with contextlib.suppress(OSError):  # the next start removes it
            disk.unlink(temporary)
        raise
    return output


class OsOutput(Output):
    """A descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @override
    def write(self, content: bytes) -> None:
        """Append all of it, by one call: on a regular file only a full disk cuts it short."""
        if os.write(self._descriptor, content) != len(content):
            raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: short write")

    @override
    def sync(self) -> None:
        """Every write was synced by itself (``O_DSYNC``): the bytes and the size, not the times.

        A file that nobody can open again is no stable storage: one that was removed meanwhile
        is a failed sync (1 µs beside the sync's 250).
        """
        if os.fstat(self._descriptor).st_nlink == 0:
            raise FileNotFoundError(errno.ENOENT, "the file was removed while it was written")

    @override
    def close(self) -> None:
        """Close; an error now tells of nothing that was promised."""
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


class OsDisk(Disk):
    """The operating system's file system."""

    @override
    def make_directory(self, path: Path) -> None:
        """Create it level by level; each new level's parent is synced."""
        missing = [p for p in (path, *path.parents) if not p.exists()]
        for level in reversed(missing):
            level.mkdir(mode=_DIRECTORY_MODE, exist_ok=True)
            self.sync_directory(level.parent)

    @override
    def files(self, directory: Path) -> dict[str, int]:
        """Scan the directory."""
        with os.scandir(directory) as entries:
            sizes: dict[str, int] = {}
            for entry in entries:
                with contextlib.suppress(FileNotFoundError):  # it went between the two calls
                    if entry.is_file():
                        sizes[entry.name] = entry.stat().st_size
            return sizes

    @override
    def read(self, path: Path, offset: int, size: int) -> bytes:
        """Open, ``pread`` until enough or the end, close."""
        descriptor = os.open(path, os.O_RDONLY)
        try:
            pieces: list[bytes] = []
            while size > 0 and (piece := os.pread(descriptor, size, offset)):
                pieces.append(piece)
                offset += len(piece)
                size -= len(piece)
            return b"".join(pieces)
        finally:
            os.close(descriptor)

    @override
    def create(self, path: Path) -> Output:
        """Open for appending; a remainder of an earlier try is emptied.

        ``O_DSYNC`` makes one call of a write and its sync: after each call a thread waits for
        the interpreter's lock, on a busy node up to 5 ms.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_DSYNC
        return OsOutput(os.open(path, flags, _FILE_MODE))

    @override
    def write_unsynced(self, path: Path, content: bytes) -> None:
        """Open, ``write``, close: it is in the page cache."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        output = OsOutput(os.open(path, flags, _FILE_MODE))
        try:
            output.write(content)
        finally:
            output.close()

    @override
    def overwrite(self, path: Path, offset: int, content: bytes) -> None:
        """Open, ``pwrite``, close; needs no room where blocks are overwritten."""
        descriptor = os.open(path, os.O_WRONLY | os.O_DSYNC)
        try:
            if os.pwrite(descriptor, content, offset) != len(content):
                raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: short write")
        finally:
            os.close(descriptor)

    @override
    def rename(self, source: Path, target: Path) -> None:
        """``rename``."""
        source.replace(target)

    @override
    def unlink(self, path: Path) -> None:
        """``unlink``."""
        path.unlink()

    @override
    def resize(self, path: Path, size: int) -> None:
        """``ftruncate`` when it gets shorter, ``posix_fallocate`` when longer."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, _FILE_MODE)
        try:
            if size > os.fstat(descriptor).st_size:
                os.posix_fallocate(descriptor, 0, size)
            else:
                os.ftruncate(descriptor, size)
        finally:
            os.close(descriptor)

    @override
    def sync_directory(self, path: Path) -> None:
        """``fsync`` of the directory."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
