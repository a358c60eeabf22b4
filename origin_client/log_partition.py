"""The one writer of one partition: records in, synced lines out.

It owns the partition's open file, and the offset that comes next.

Theory of operation
-------------------
``write`` appends; ``sync`` makes it count; ``retract`` takes back what was not synced. Offsets
move on only in ``sync``, so they have no gaps. After a failure the descriptor is closed and
never synced again: the kernel reports a lost page once, and the next sync of it would succeed
over a hole. The next write begins a new file, whose name tells where the old one ends, even
if cutting it failed too.
"""

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
        directory: Of the partition, below its topic's, below the log's; made if absent.
        file_bytes_max: A file that has reached this is followed by a new one.
        disk: The disk.

    Raises:
        OSError: The disk refused.
    """

    def __init__(self, directory: Path, *, file_bytes_max: int, disk: Disk) -> None:
        self._directory = directory
        self._file_bytes_max = file_bytes_max
        self._disk = disk
        self._fd = -1
        self._is_listed = True  # whether the open file's name is durable
        self._bytes_written = 0
        self._bytes_synced = 0
        self._offset_written = 0
        self._offset_synced = 0
        directory.mkdir(parents=True, exist_ok=True)
        for parent in (directory, directory.parent, directory.parent.parent):
            disk.sync_directory(parent)
        self._resume()

    def write(self, records: Sequence[Outgoing]) -> None:
        """Append *records*, one-line JSON objects under UTF-8 keys; not yet durable.

        Raises:
            OSError: The disk refused; :meth:`retract` is next.
        """
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
        self._bytes_synced = self._bytes_written
        self._offset_synced = self._offset_written
        if self._bytes_synced >= self._file_bytes_max:
            self.close()

    def retract(self) -> None:
        """Take back what was written and not synced, and leave its file for good."""
        if self._bytes_written == self._bytes_synced:
            return
        try:
            self._disk.cut(self._fd, self._bytes_synced)
        except OSError:
            pass  # the next file's name says the same, and outlives a power loss too
        finally:
            self.close()

    def close(self) -> None:
        """Close the file; the next write begins a new one."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self._offset_written = self._offset_synced

    def _resume(self) -> None:
        """Go on where the last writer stopped, behind its last readable line."""
        firsts = log_layout.first_offsets(self._directory)
        if not firsts:
            return
        self._offset_written = self._offset_synced = firsts[-1]
        fd = os.open(log_layout.file_path(self._directory, firsts[-1]), os.O_RDWR | os.O_APPEND)
        try:
            end, offset = _end_of_lines(fd, firsts[-1])
            self._disk.cut(fd, end)
            self._disk.sync(fd)  # what a killed writer wrote and did not sync counts from now
        except BaseException:
            os.close(fd)
            raise
        self._fd = fd
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
        self._is_listed = False
        self._bytes_written = self._bytes_synced = 0


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
