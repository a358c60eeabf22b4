"""A disk for the embedded log that fails when told, and minds what no caller may do."""

import errno
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path

from origin_client import log_layout
from origin_client.log_partition import Disk


@dataclass
class FailingDisk:
    """The machine's disk, with faults.

    Attributes:
        full: Writes take what fits and then fail: so many bytes fit; ``None``: any number.
        broken_syncs: How many of the next syncs fail.
        is_uncuttable: Whether no file can be shortened.
        hanging_syncs: How many of the next syncs wait for the gate.
        synced: Every file that was synced, by inode, in order.
        broken_directories: How many of the next syncs of a directory fail.
        listed: Every file that stood in a directory when that was synced, by inode.
        gate: Lets what hangs go on.
        hanging: Set once a sync hangs.
    """

    full: int | None = None
    broken_syncs: int = 0
    is_uncuttable: bool = False
    hanging_syncs: int = 0
    synced: list[int] = field(default_factory=list[int])
    broken_directories: int = 0
    listed: set[int] = field(default_factory=set[int])
    gate: threading.Event = field(default_factory=threading.Event)
    hanging: threading.Event = field(default_factory=threading.Event)
    _condemned: dict[int, int] = field(default_factory=dict[int, int])

    def disk(self) -> Disk:
        """As the log takes it."""
        return Disk(self.write, self.sync, self.cut, self.sync_directory)

    def write(self, fd: int, content: memoryview) -> int:
        """Write what fits."""
        if self.full is None:
            return os.write(fd, content)
        if self.full == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = os.write(fd, content[: self.full])
        self.full -= taken
        return taken

    def sync(self, fd: int) -> None:
        """Sync, or what else was asked for; never again what failed."""
        inode = os.fstat(fd).st_ino
        assert inode not in self._condemned, "a failed file is never synced again"
        if self.hanging_syncs:
            self.hanging_syncs -= 1
            self.hanging.set()
            self.gate.wait()
        if self.broken_syncs:
            self.broken_syncs -= 1
            # Kept open, so that its inode is given to no other file.
            self._condemned[inode] = os.dup(fd)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.synced.append(inode)
        os.fdatasync(fd)

    def cut(self, fd: int, size: int) -> None:
        """Shorten, if that is possible."""
        if self.is_uncuttable:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.ftruncate(fd, size)

    def sync_directory(self, path: Path) -> None:
        """Sync, and remember what was there."""
        if self.broken_directories:
            self.broken_directories -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self.listed |= {entry.stat().st_ino for entry in path.iterdir()}
        log_layout.sync_directory(path)
