"""A writer of one partition, while it has its turn: records in, synced lines out.

It owns the partition's open file, and the offset that comes next.

Theory of operation
-------------------
``write`` appends; ``sync`` makes it count; ``retract`` takes back what was not synced. Offsets
move on only in ``sync``, so they have no gaps. After a failure the descriptor is closed and
never synced again: the kernel reports a lost page once, and the next sync of it would succeed
over a hole. The next write begins a new file, whose name tells where the old one ends, even
if cutting it failed too. Another process may have gone on in the old one meanwhile: then the
new file begins behind that.

A removed file takes writes and syncs as before, and keeps nothing. So a sync counts only if the
file's name still leads to it (one stat, 2 µs beside the sync's 250). If not, the file is left
as it is, for whoever moved it, and the next write looks at the directory as a new writer would,
with one difference: offsets never go back, since readers have passed them.
"""

import errno
import mmap
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from origin_client import log_layout
from origin_client.log_layout import HEADERS, Line
from origin_client.origin import Outgoing

_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Disk:
    """The calls that decide over what is durable.

    Attributes:
        write: Appends to a descriptor; returns how many bytes it took.
        sync: Makes a file's content and length durable.
        cut: Shortens a file.
        sync_directory: Makes the names in a directory durable.
    """

    write: Callable[[int, memoryview], int] = os.write
    sync: Callable[[int], None] = os.fdatasync
    cut: Callable[[int, int], None] = os.ftruncate
    sync_directory: Callable[[Path], None] = log_layout.sync_directory


class Partition:
    """Appends to one partition; used by one thread at a time.

    Args:
        directory: Of the partition, below its topic's, both made if absent; below the log's.
        file_bytes_max: A file that has reached this is followed by a new one.
        disk: The disk.

    Raises:
        OSError: The disk refused.
    """

    def __init__(self, directory: Path, *, file_bytes_max: int, disk: Disk) -> None:
        self._directory = directory
        self._file_bytes_max = file_bytes_max
        self._disk = disk
        self._place: tuple[int, int] | None = None  # the directory, once it was looked at
        self._path = directory  # the open file's, as the next two
        self._file: tuple[int, int] | None = None
        self._fd = -1
        self._failed: tuple[int, int] | None = None  # the file that was left last
        self._is_listed = True  # whether the open file's name is durable
        self._bytes_written = 0
        self._bytes_synced = 0
        self._offset_written = 0
        self._offset_synced = 0
        self._arrive()

    def write(self, records: Sequence[Outgoing]) -> None:
        """Append *records*, one-line JSON objects under UTF-8 keys; not yet durable.

        Raises:
            OSError: The disk refused; :meth:`retract` is next.
        """
        if self._fd < 0 and not self._is_in_place():
            self._arrive()
        if self._fd < 0:
            self._begin_file()
        lines = [
            Line(offset, record.key.decode(), HEADERS, msgspec.Raw(record.value))
            for offset, record in enumerate(records, self._offset_written)
        ]
        rest = memoryview(_ENCODER.encode_lines(lines))
        while rest:
            taken = self._disk.write(self._fd, rest)
            self._bytes_written += taken
            rest = rest[taken:]
        self._offset_written += len(lines)

    def sync(self) -> None:
        """Return when all that was written is durable.

        Raises:
            OSError: The disk refused; :meth:`retract` is next.
        """
        self._disk.sync(self._fd)
        if not self._is_listed:
            self._disk.sync_directory(self._directory)
            self._is_listed = True
        if identity(self._path) != self._file:
            raise FileNotFoundError(
                errno.ENOENT, "removed or moved while open", str(self._path)
            )
        self._bytes_synced = self._bytes_written
        self._offset_synced = self._offset_written
        if self._bytes_synced >= self._file_bytes_max:
            self.close()

    def retract(self) -> None:
        """Take back what was written and not synced, and leave its file for good."""
        if self._bytes_written == self._bytes_synced:
            return
        try:
            if identity(self._path) != self._file:
                self._place = None
            else:
                self._disk.cut(self._fd, self._bytes_synced)
        except OSError:
            pass  # the next file's name says the same, and outlives a power loss too
        finally:
            self._failed = self._file
            self.close()

    def leave(self) -> None:
        """Close the file; the next write looks anew at what others made of the directory."""
        self.close()
        self._place = None

    def close(self) -> None:
        """Close the file; the next write begins a new one."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self._bytes_written = self._bytes_synced
        self._offset_written = self._offset_synced

    def _arrive(self) -> None:
        """Make the directory if absent, and go on behind what it holds and what it held."""
        floor = self._offset_synced
        # The log's own directory is not made here: without its settings it would be no log.
        for each in (self._directory.parent, self._directory):
            each.mkdir(exist_ok=True)
        for each in (self._directory, self._directory.parent, self._directory.parent.parent):
            self._disk.sync_directory(each)
        place = identity(self._directory)
        self._resume()
        if self._offset_synced < floor:
            self._offset_synced = floor
            self.close()
        self._place = place

    def _is_in_place(self) -> bool:
        return self._place is not None and self._place == identity(self._directory)

    def _resume(self) -> None:
        """Go on where the last writer stopped, behind its last readable line.

        In its file, or in the next one if a sync of ours has failed there.
        """
        firsts = log_layout.first_offsets(self._directory)
        if not firsts:
            return
        path = log_layout.file_path(self._directory, firsts[-1])
        fd = os.open(path, os.O_RDWR | os.O_APPEND)
        try:
            end, offset = _end_of_lines(fd, firsts[-1])
            if identity(fd) == self._failed:
                self._offset_written = self._offset_synced = offset
                os.close(fd)
                return
            self._disk.cut(fd, end)
            self._disk.sync(fd)  # what a killed writer wrote and did not sync counts from now
        except BaseException:
            os.close(fd)
            raise
        self._fd, self._path, self._file = fd, path, identity(fd)
        self._bytes_written = self._bytes_synced = end
        self._offset_written = self._offset_synced = offset
        if end >= self._file_bytes_max:
            self.close()

    def _begin_file(self) -> None:
        path = log_layout.file_path(self._directory, self._offset_synced)
        # One of this name holds no synced record: offsets would have moved past it. A reader
        # that has it open sees that it lost its name.
        path.unlink(missing_ok=True)
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o640)
        self._path, self._file = path, identity(self._fd)
        self._is_listed = False
        self._bytes_written = self._bytes_synced = 0


def identity(file: Path | int) -> tuple[int, int] | None:
    """Tell a name's or a descriptor's file from every other; ``None`` if there is none.

    The device's and the inode's number; a file that is held open keeps them to itself.

    Raises:
        OSError: The disk refused.
    """
    try:
        status = file.stat() if isinstance(file, Path) else os.fstat(file)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino


def _end_of_lines(fd: int, first: int) -> tuple[int, int]:
    """Return where the last readable line ends, and the offset behind it.

    A line that is unreadable in front of a readable one stays: cutting there would lose
    records that were durable. It shows as a gap in the offsets.
    """
    if os.fstat(fd).st_size == 0:
        return 0, first
    with mmap.mmap(fd, 0, access=mmap.ACCESS_READ) as content:
        end = content.rfind(b"\n") + 1
        while end > 0:
            start = content.rfind(b"\n", 0, end - 1) + 1
            line = log_layout.parse_line(content[start:end])
            if line is not None:
                return end, line.offset + 1
            end = start
    return 0, first
