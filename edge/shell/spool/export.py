"""Every record of a spool as JSON lines, and every place where one may be missing.

For people who move records by other means than a gateway: ``edge spool export``. Reads only,
takes no lock. Unlike ``cat``, which shows what can be read, it accounts for the whole spool as
it was when it began: a place that holds no record, and did not come to be forwarded and deleted
meanwhile, is told.

Record
------
A line is a line of the embedded log (:mod:`origin_client.log_layout`) with what a topic does
not know of itself instead of the offset:
``{"topic","key","headers","value","lane","edgespool","edgeseq","accepted_ms","is_forwarded"}``.
"""

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from edge.config import ConfigError
from edge.core.frame import HEADER_BYTES, Frame, Header, UnknownVersion
from edge.core.lane import Lane
from edge.shell.spool.claim import unknown_format
from edge.shell.spool.cursor import Position, load
from edge.shell.spool.disk import OsDisk
from edge.shell.spool.inspect import lane_directories
from edge.shell.spool.recovery import Outline, missing, outline
from edge.shell.spool.segment import LaneFiles
from origin_client.envelope import number
from origin_client.log_layout import HEADERS

_ENCODER: Final = msgspec.json.Encoder()


class ExportedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One line.

    Attributes:
        topic: Where it belongs.
        key: The record key there.
        headers: As the forwarder sends them.
        value: The whole envelope.
        lane: Which lane.
        edgespool: UUID of the run; with ``edgeseq`` the deduplication key.
        edgeseq: From 1.
        accepted_ms: Unix ms.
        is_forwarded: The origin had acknowledged it when the export began.
    """

    topic: str
    key: str
    headers: dict[str, str]
    value: msgspec.Raw
    lane: Lane
    edgespool: str
    edgeseq: int
    accepted_ms: int
    is_forwarded: bool


def export(
    root: Path, complain: Callable[[str], None], *, with_retained: bool
) -> Iterator[bytes]:
    """Yield the lines of every lane, oldest record first within a lane.

    Args:
        root: ``spool.path``.
        complain: Told of each place where a record may be missing.
        with_retained: Also what the origin has acknowledged, as far as it is still kept.

    Raises:
        ConfigError: There is no spool, or another version of the gateway wrote it.
        OSError: A directory, or a file in it, cannot be read now.
    """
    for lane, directory in lane_directories(root):
        try:
            yield from _Export(lane, LaneFiles(OsDisk(), directory), complain).lines(
                with_retained=with_retained
            )
        except UnknownVersion as error:
            complaint = unknown_format(directory, error.version)
            raise ConfigError("spool.path", complaint) from error


class _Export:
    """One lane."""

    def __init__(self, lane: Lane, files: LaneFiles, complain: Callable[[str], None]) -> None:
        self._lane = lane
        self._files = files
        self._complain = complain
        self._seen: Outline = outline(files)

    def lines(self, *, with_retained: bool) -> Iterator[bytes]:
        """Yield the lane's lines."""
        seen = self._seen
        for segment, end in missing(self._files, seen).items():
            self._complain(
                f"{self._lane.value}: segment {segment}, {end} bytes: it is missing (waiting)"
            )
        for header in seen.headers:
            if not header.edgespool and seen.ends[header.number] <= HEADER_BYTES:
                self._miss(Position(header.number), 0, is_forwarded=False)
            for offset, found in self._files.scan(
                header, HEADER_BYTES, seen.ends[header.number]
            ):
                at = Position(header.number, offset)
                is_forwarded = at < seen.cursor
                if is_forwarded and not with_retained:
                    continue
                if isinstance(found, Frame):
                    yield self._line(header, found, is_forwarded=is_forwarded)
                elif not self._is_torn_end(header, offset + found.length):
                    self._miss(at, found.length, is_forwarded=is_forwarded)

    def _line(self, header: Header, frame: Frame, *, is_forwarded: bool) -> bytes:
        record = frame.record
        line = ExportedRecord(
            topic=self._lane.topic,
            key=record.key.decode(errors="replace"),
            headers=HEADERS,
            value=msgspec.Raw(number(record.envelope, header.edgespool, frame.edgeseq)),
            lane=self._lane,
            edgespool=header.edgespool,
            edgeseq=frame.edgeseq,
            accepted_ms=record.accepted_ms,
            is_forwarded=is_forwarded,
        )
        return _ENCODER.encode(line) + b"\n"

    def _is_torn_end(self, header: Header, end: int) -> bool:
        """Whether it is the end of a write under way, or cut off: never accepted."""
        is_last = header is self._seen.headers[-1]
        return is_last and end == self._seen.ends[header.number]

    def _miss(self, at: Position, length: int, *, is_forwarded: bool) -> None:
        """Complain, unless the owner has forwarded, or deleted, what stood there."""
        is_gone = at.segment not in self._files.sizes()
        cursor = load(self._files)
        if is_gone and cursor is not None and at < cursor:
            return
        what = "forwarded before" if is_forwarded else "waiting"
        self._complain(
            f"{self._lane.value}: segment {at.segment}, {length} bytes from {at.offset}: "
            f"no readable record ({what})"
        )


@contextlib.contextmanager
def durable_file(path: Path) -> Generator[BinaryIO]:
    """Open a file that is at *path*, whole and on stable storage, once the block has ended.

    Nobody else may read it, as nobody may read a spool. After an exception nothing is there,
    or what was there before. A device or a pipe is written to as it is, and a link followed:
    a file in its place would be one nobody reads.

    Raises:
        OSError: It cannot be written.
    """
    if path.exists() and not path.is_file():
        device = path.open("wb")
        try:
            yield device
            device.flush()
        finally:
            with contextlib.suppress(OSError):  # what it still holds was refused already
                device.close()
        return
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
        OsDisk().rename(temporary, path)
        OsDisk().sync_directory(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
