"""The files of one lane: segments by number, read and begun and removed.

What memory knows of a segment is a :class:`Segment`; the bytes are :mod:`edge.core.frame`'s.
"""

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.core.frame import (
    FRAME_BYTES_MAX,
    HEADER_BYTES,
    Frame,
    Gap,
    Header,
    decode_header,
    encode_header,
    scan,
)
from edge.core.key_index import Heading
from edge.shell.spool.disk import Disk, Output, is_lost, publish

SEGMENT_SUFFIX: Final = ".seg"
INDEX_SUFFIX: Final = ".idx"
_NAME: Final = re.compile(r"(\d{10})\.seg")
_PAGE_BYTES: Final = 4096
"""The unit in which a disk loses what it held; also the page cache's."""

_SCAN_BYTES: Final = 1 << 20
"""Read at once when a whole segment is walked: large enough that calls cost nothing."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of everything on disk; the defaults are for production.

    Attributes:
        segment_bytes_max: A segment is followed by the next before it would grow beyond. 8 MiB
            is 3 % of a lane's retention, one recovery copy, and 1,280 files of a full spool
            of 10 GiB. A commit must fit.
        commit_bytes_max: Of one group commit; then the lane is full until its sync returns.
            4 MiB is what a slow disk (40 MB/s) writes in 100 ms; times two (one filling, one
            being written) times six lanes is all the memory that can wait.
        commit_records_max: As above: 4 MiB of the smallest records would be twice as many.
        fresh_bytes_max: Of each lane, kept in memory for its forwarder: twice what comes in
            while a batch is forwarded, at 20 MB/s and 100 ms. Python takes twice as much.
        headroom_bytes: Set aside on disk, given up when it is full: one recovery copy (8 MiB),
            and a block for each header and cursor that the outage may need.
    """

    segment_bytes_max: int = 8 << 20
    commit_bytes_max: int = 4 << 20
    commit_records_max: int = 8192
    fresh_bytes_max: int = 4 << 20
    headroom_bytes: int = 16 << 20


@dataclass(slots=True)
class Segment:
    """One segment, as far as it is on stable storage.

    Attributes:
        header: As it was written.
        end: Offset behind its last synced frame, or where its successor says that it ends.
        records: Frames, whole or damaged.
        oldest_ms: ``accepted_ms`` of its first whole frame, unix ms; ``None`` without one.
        newest_ms: Of its last one.
        heading: What its key index said at the start; ``None`` if there was none.
    """

    header: Header
    end: int = HEADER_BYTES
    records: int = 0
    oldest_ms: int | None = None
    newest_ms: int | None = None
    heading: Heading | None = None

    @property
    def number(self) -> int:
        """Its number in the lane, from 1."""
        return self.header.number

    @property
    def size_bytes(self) -> int:
        """Bytes of its frames."""
        return self.end - HEADER_BYTES

    def grow(self, size_bytes: int, records: int, oldest_ms: int, newest_ms: int) -> None:
        """Take note of frames that follow its end."""
        self.end += size_bytes
        self.records += records
        self.newest_ms = newest_ms
        if self.oldest_ms is None:
            self.oldest_ms = oldest_ms


class LaneFiles:
    """One lane's directory.

    Attributes:
        directory: ``<spool>/<worker>/<lane>``.
        unreadable: Pages that the disk has lost.
    """

    def __init__(self, disk: Disk, directory: Path) -> None:
        self.disk: Final = disk
        self.directory: Final = directory
        self.unreadable = 0

    def sizes(self) -> dict[int, int]:
        """Tell the size of each segment file by number, rising.

        Raises:
            OSError: The directory cannot be read.
        """
        named = self.disk.files(self.directory).items()
        found = ((_NAME.fullmatch(name), size) for name, size in named)
        return dict(sorted((int(match[1]), size) for match, size in found if match))

    def begin(self, header: Header, content: bytes = b"") -> Output:
        """Put the next segment in place, durably, and leave it open.

        Raises:
            OSError: It is not there for sure, and must never be used.
        """
        path = self._path(header.number)
        try:
            return publish(self.disk, path, encode_header(header) + content)
        except OSError:
            with contextlib.suppress(OSError):  # an empty segment without use is harmless
                self.disk.unlink(path)
            raise

    def header(self, number: int) -> Header:
        """Read a segment's header; a lost one, or another file's, makes its frames invalid.

        Raises:
            OSError: It cannot be read now.
            UnknownVersion: Another version of the gateway wrote it.
        """
        found = decode_header(self.read(number, 0, HEADER_BYTES))
        if found is None or found.number != number:
            return Header(number=number, edgespool="")
        return found

    def read(self, number: int, offset: int, size: int) -> bytes:
        """Read exactly *size* bytes; what the disk has lost comes as zeros.

        So a bad sector, a short or a missing file costs the frames in it and no other. Any
        other failure is the process's or the mount's, and passes: it costs none.

        Raises:
            OSError: They cannot be read now.
        """
        path = self._path(number)
        try:
            content = self.disk.read(path, offset, size)
        except OSError as error:
            if isinstance(error, FileNotFoundError):
                self.disk.files(self.directory)  # raises if all of it is out of reach
            content = b"".join(self._pages(path, offset, size))
        return content.ljust(size, b"\0")

    def scan(self, header: Header, start: int, end: int) -> Iterator[tuple[int, Frame | Gap]]:
        """Walk over a segment from frame to frame; yields offsets and what stands there.

        Raises:
            OSError: It cannot be read now.
        """
        at = start
        while at < end:
            size = min(end - at, _SCAN_BYTES)
            window = self.read(header.number, at, size)
            for found in scan(window, header, is_end=at + size == end):
                yield at, found
                at += found.length

    def remove(self, number: int) -> None:
        """Delete a segment with its key index; if that fails the next start will.

        Nothing follows from it at once: what it held is acknowledged.
        """
        for path in (self._path(number), index_path(self.directory, number)):
            with contextlib.suppress(OSError):
                self.disk.unlink(path)

    def cut(self, number: int, end: int) -> None:
        """Give back the room of what its successor has declared void."""
        with contextlib.suppress(OSError):  # the successor's header already says so
            self.disk.resize(self._path(number), end)

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:010d}{SEGMENT_SUFFIX}"

    def _pages(self, path: Path, offset: int, size: int) -> Iterator[bytes]:
        end = offset + size
        while offset < end:
            piece = min(_PAGE_BYTES - offset % _PAGE_BYTES, end - offset)
            try:
                page = self.disk.read(path, offset, piece)
            except OSError as error:
                if not is_lost(error):
                    raise
                page = b""
                self.unreadable += 1
            yield page.ljust(piece, b"\0")
            offset += piece


def index_path(directory: Path, number: int) -> Path:
    """Name the key index of a segment of this lane."""
    return directory / f"{number:010d}{INDEX_SUFFIX}"


assert _SCAN_BYTES >= FRAME_BYTES_MAX, "else a scan might not advance"
