"""Reads the embedded log, from any process, beside its writer.

In go a topic and a position; out come records in the order of their partition. No lock is
taken and nothing is written. A record that its writer had to take back (a failed sync) may
have been yielded; what then stands in its place is yielded under the same offset. A topic that
was removed, and perhaps made anew, has no place any more for who stood further on in the old one:
that is told, for what comes there would be passed over in silence. Not so if it has grown past
that place by the next look: then it cannot be told from the old one, replaced by its writer.
"""

import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from origin_client import log_layout
from origin_client.log_layout import Line
from origin_client.origin import OriginError, OriginUnavailable, Record

CHUNK_BYTES: Final = 1 << 20  # per read and partition: a few hundred records, one allocation
POLL_S: Final = 0.05  # how late a follower may notice a record; a look costs 10 µs


class LogReader:
    """A log at a path, to be read.

    Args:
        root: The log's directory.

    Raises:
        OriginError: There is no log here, or not one that this version reads.
    """

    def __init__(self, root: Path) -> None:
        settings = log_layout.read_settings(root)
        if settings is None:
            raise OriginError(f"there is no log at {root}")
        self._root = root
        self._partitions = settings.partitions
        self._is_closed = threading.Event()

    def subscribe(
        self, topic: str, position: Mapping[int, int], *, follow: bool = False
    ) -> Iterator[Record]:
        """Yield what is there from *position* on; then return, or wait for more.

        Args:
            topic: One topic; an unknown one yields nothing.
            position: Next offset by partition; a partition not named starts at 0.
            follow: Wait for records to come; ends when the reader is closed.

        Raises:
            OriginError: *topic* is not a name a topic can have; or, while it is followed, it
                was removed or made anew, and ends before the offset to read next.
        """
        tails = [
            _Tail(log_layout.partition_path(self._root, topic, number), position.get(number, 0))
            for number in range(self._partitions)
        ]
        return self._records(topic, tails, follow=follow)

    def end(self, topic: str) -> dict[int, int]:
        """Return the offset behind the last readable line, by partition.

        A line that its writer has to take back after that may have been counted.

        Raises:
            OriginError: *topic* is not a name a topic can have.
            OriginUnavailable: The log cannot be read now, or the reader was closed.
        """
        if self._is_closed.is_set():
            raise OriginUnavailable("closed")
        directories = [
            log_layout.partition_path(self._root, topic, number)
            for number in range(self._partitions)
        ]
        try:
            return {number: _end(each) for number, each in enumerate(directories)}
        except OSError as error:
            raise OriginUnavailable(f"{topic}: {error}") from error

    def close(self) -> None:
        """End every subscription."""
        self._is_closed.set()

    def _records(self, topic: str, tails: list["_Tail"], *, follow: bool) -> Iterator[Record]:
        try:
            while not self._is_closed.is_set():
                is_dry = True
                for number, tail in enumerate(tails):
                    for line in tail.read():
                        is_dry = False
                        yield _record(topic, number, line)
                if is_dry and (not follow or self._is_closed.wait(POLL_S)):
                    return
        finally:
            for tail in tails:
                tail.close()


class _Tail:
    """A place in one partition.

    Args:
        directory: Of the partition; may come to exist later.
        floor: No record below this offset is wanted.
    """

    def __init__(self, directory: Path, floor: int) -> None:
        self._directory = directory
        self._floor = floor
        self._next = floor
        self._fd = -1
        self._bytes = 0

    def read(self) -> list[Line]:
        """Return the next lines, about a chunk of them; none when there are none yet.

        Raises:
            OriginError: The file read here is gone, and with it the offset to read next.
        """
        while True:
            # Listed before the file is read to its end: when a later file is in the list, the
            # writer had left this one, and its end is final.
            firsts = log_layout.first_offsets(self._directory)
            if self._fd < 0 and not self._open(firsts):
                return []
            end = next((first for first in firsts if first > self._first), None)
            chunk = self._chunk()
            if chunk:
                self._bytes += len(chunk)
                if lines := self._wanted(chunk, end):
                    return lines
            elif end is not None:
                self.close()
                self._next = max(self._floor, end)
            elif os.fstat(self._fd).st_nlink == 0:
                self.close()
                self._next = max(self._floor, self._first)
                self._check_place()
            else:
                return []

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _check_place(self) -> None:
        """See that the offset to read next is still to come.

        A writer that had to replace a file goes on where the one before it ends; a topic that
        is made anew begins at 0.

        Raises:
            OriginError: It is not.
        """
        end = _end(self._directory)
        if end < self._next:
            place = f"{self._directory.parent.name}/{self._directory.name}"
            raise OriginError(
                f"{place} was removed or made anew: it ends at {end}, and {self._next} was to come"
            )

    def _open(self, firsts: list[int]) -> bool:
        if not firsts:
            return False
        self._first = max((first for first in firsts if first <= self._next), default=firsts[0])
        try:
            self._fd = os.open(log_layout.file_path(self._directory, self._first), os.O_RDONLY)
        except FileNotFoundError:
            return False  # just replaced, or removed by hand: the next look tells
        self._bytes = 0
        return True

    def _chunk(self) -> bytes:
        """Return complete lines from here on; nothing when there is no complete one."""
        size = CHUNK_BYTES
        while True:
            chunk = os.pread(self._fd, size, self._bytes)
            end = chunk.rfind(b"\n") + 1
            if end > 0 or len(chunk) < size:
                return chunk[:end]
            size *= 2  # one line fills the chunk; lines are bounded by what publishers send

    def _wanted(self, chunk: bytes, end: int | None) -> list[Line]:
        """Return the lines of *chunk* from the next offset on and before *end*."""
        lines: list[Line] = []
        for text in chunk[:-1].split(b"\n"):
            line = log_layout.parse_line(text)
            if (
                line is not None
                and line.offset >= self._next
                and (end is None or line.offset < end)
            ):
                lines.append(line)
                self._next = line.offset + 1
        return lines


def _end(directory: Path) -> int:
    """Return the offset that comes next in a partition, which may not exist.

    Raises:
        OSError: The disk refused.
    """
    while firsts := log_layout.first_offsets(directory):
        try:
            fd = os.open(log_layout.file_path(directory, firsts[-1]), os.O_RDONLY)
        except FileNotFoundError:
            continue  # just replaced, or removed by hand: the next look tells
        try:
            return _end_of_file(fd, firsts[-1])
        finally:
            os.close(fd)
    return 0


def _end_of_file(fd: int, first: int) -> int:
    """Return the offset behind the last readable line, looking from the end.

    Read, not mapped: its writer may shorten it meanwhile, and a mapped page that is gone kills
    the process.
    """
    size, span = os.fstat(fd).st_size, CHUNK_BYTES
    while True:
        start = max(0, size - span)
        *lines, _ = os.pread(fd, span, start).split(b"\n")
        for text in reversed(lines):  # the first may be part of one, and is none then
            line = log_layout.parse_line(text)
            if line is not None:
                return line.offset + 1
        if start == 0:
            return first
        span *= 2


def _record(topic: str, partition: int, line: Line) -> Record:
    return Record(
        topic=topic,
        partition=partition,
        offset=line.offset,
        key=line.key,
        headers=line.headers,
        value=bytes(line.value),
    )
