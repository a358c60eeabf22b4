"""The key indexes of one lane on disk: written when a segment is full, read at the next start.

Nothing here is needed: an index that cannot be written, or read, or believed, costs a scan.
"""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from itertools import chain

from edge.core.frame import HEADER_BYTES, Frame, Header, row_of
from edge.core.key_index import (
    HEADING_BYTES,
    Heading,
    Page,
    decode,
    decode_heading,
    encode,
    page_of,
)
from edge.core.recall_table import surplus
from edge.shell.spool.cursor import Position
from edge.shell.spool.disk import is_lost
from edge.shell.spool.segment import LaneFiles, Segment, index_path


def survey(files: LaneFiles, header: Header, end: int) -> Segment:
    """Count what stands in a segment up to its valid end; changes nothing.

    Raises:
        OSError: It cannot be read now.
    """
    if end == HEADER_BYTES:
        return Segment(header)
    heading = read_heading(files, header, end)
    return scanned(files, header, end)[0] if heading is None else _segment(header, heading)


def settle(
    files: LaneFiles, header: Header, end: int, cursor: Position, records: int | None
) -> Segment:
    """Survey a sealed segment; if that needed a scan, it is the last that does.

    Args:
        files: The lane's directory.
        header: Of the segment.
        end: Where it ends.
        cursor: It counts the frames before it.
        records: Frames before the end, if anybody else knows.

    Raises:
        OSError: It cannot be read now.
    """
    if end == HEADER_BYTES:
        return Segment(header)
    heading = read_heading(files, header, end)
    if heading is not None:
        return _segment(header, heading)
    segment, rows = scanned(files, header, end, cursor)
    if records is not None:
        segment.records = records
    write(files, segment, rows)
    return segment


def write(files: LaneFiles, segment: Segment, rows: bytes | bytearray) -> None:
    """Leave a segment's index beside it, unsynced; on a disk that is full or broken none.

    It gets its name when it is whole: who reads a spool in use finds all of it, or nothing.

    Args:
        files: The lane's directory.
        segment: Sealed.
        rows: Of its whole frames.
    """
    if not segment.header.edgespool:
        return
    path = index_path(files.directory, segment.number)
    temporary = path.with_suffix(".tmp")
    content = encode(segment.header, segment.end, segment.records, rows)
    try:
        files.disk.write_unsynced(temporary, content)
        files.disk.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):  # the next start removes it
            files.disk.unlink(temporary)


def read_heading(files: LaneFiles, header: Header, end: int) -> Heading | None:
    """Read what a segment's index says of it; ``None`` if there is none to be believed."""
    heading = decode_heading(_read(files, header.number, 0, HEADING_BYTES))
    return heading if heading is not None and heading.is_of(header, end) else None


def told_end(files: LaneFiles, header: Header) -> int:
    """Tell where a segment's valid bytes end by its index; without one, nowhere."""
    heading = decode_heading(_read(files, header.number, 0, HEADING_BYTES))
    if heading is None or not heading.is_of(header, heading.end):
        return sys.maxsize
    return heading.end


def pages(files: LaneFiles, segments: Sequence[Segment], entries_max: int) -> Iterator[Page]:
    """Read what recall needs of every record on disk, oldest first.

    Args:
        files: The lane's directory.
        segments: As recovery found them.
        entries_max: What the lane's table holds: keys that it would drop again are not read.

    Raises:
        OSError: Some of it cannot be read now.
    """
    filled = [segment for segment in segments if segment.records]
    headings = [
        segment.heading or read_heading(files, segment.header, segment.end)
        for segment in filled
    ]
    dropped = surplus(sum(heading.entries for heading in headings if heading), entries_max)
    with_keys = False
    for segment, heading in zip(filled, headings, strict=True):
        dropped -= heading.entries if heading else 0
        with_keys = with_keys or heading is None or dropped < 0
        yield _page(files, segment, heading, with_keys=with_keys)


def scanned(
    files: LaneFiles, header: Header, end: int, cursor: Position | None = None
) -> tuple[Segment, bytes]:
    """Read all of a segment: what is in it, and the rows of its whole frames.

    How many frames are damaged the next whole one tells by its number, or the cursor. At the
    end nobody does, and as many are counted as begin like one.

    Raises:
        OSError: It cannot be read now.
    """
    segment = Segment(header)
    rows: list[bytes] = []
    known = Position(header.number)
    if cursor and cursor.segment == header.number and cursor.offset <= end:
        known = cursor
    before = files.scan(header, HEADER_BYTES, known.offset)
    for offset, found in chain(before, files.scan(header, known.offset, end)):
        if offset == known.offset:
            segment.records = known.records
        if isinstance(found, Frame):
            accepted_ms = found.record.accepted_ms
            records = found.edgeseq - header.seq_first + 1 - segment.records
            segment.grow(found.length, records, accepted_ms, accepted_ms)
            rows.append(row_of(found.record.footprint, accepted_ms))
        else:
            segment.end += found.length
            segment.records += 1
    return segment, b"".join(rows)


def doubt(files: LaneFiles, header: Header, end: int, rows: Sequence[bytes] | None) -> str:
    """Say what is wrong with a segment's index, if it has one; no event is lost by it.

    Args:
        files: The lane's directory.
        header: Of a sealed segment.
        end: Where that ends.
        rows: Of all its frames; ``None`` if some are damaged: the index may know more.

    Raises:
        OSError: It cannot be read now.
    """
    if end == HEADER_BYTES:  # nobody reads one; a recovery that moved the tail has left it
        return ""
    content = _read(files, header.number, 0, end)  # of each frame it holds less than the frame
    if not content:
        return ""
    heading = decode_heading(content)
    if heading is None or decode(heading, content[HEADING_BYTES:], with_keys=True) is None:
        return "key index damaged: harmless, a start scans the segment instead"
    if not heading.is_of(header, end):
        return "key index of another segment: harmless, a start scans this one instead"
    if rows is not None and content != encode(header, end, len(rows), b"".join(rows)):
        return "key index does not agree with the segment: delete it, and a start scans that"
    return ""


def _page(
    files: LaneFiles, segment: Segment, heading: Heading | None, *, with_keys: bool
) -> Page:
    if heading is not None:
        size = heading.size(with_keys=with_keys)
        content = _read(files, segment.number, HEADING_BYTES, size)
        page = decode(heading, content, with_keys=with_keys)
        if page is not None:
            return page
    _, rows = scanned(files, segment.header, segment.end)
    write(files, segment, rows)
    return page_of(rows, with_keys=with_keys)


def _segment(header: Header, heading: Heading) -> Segment:
    segment = Segment(header, heading.end, heading.records, heading=heading)
    if heading.rows:
        segment.oldest_ms, segment.newest_ms = heading.oldest_ms, heading.newest_ms
    return segment


def _read(files: LaneFiles, number: int, offset: int, size: int) -> bytes:
    """Read a part of an index; what is lost comes as nothing.

    Raises:
        OSError: It cannot be read now.
    """
    try:
        return files.disk.read(index_path(files.directory, number), offset, size)
    except OSError as error:
        if not is_lost(error):
            raise
        return b""
