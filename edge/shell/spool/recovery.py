"""What a lane's directory holds after a crash; and its last segment made trustworthy.

Theory of operation
-------------------
Every segment but the last was synced before the next one was begun, and the next one's header
says how far; there is nothing to repair, and what does not verify is quarantined when it is
read. The last segment is different: after a kill, or a failed sync, the page cache may show
bytes that the disk does not hold. So whatever stands in it behind the cursor, as far as the
last whole frame, is copied into a new segment (same run, same numbers), whose header ends the
old one before the tail; when that is synced, the tail is as durable as if it had just been
accepted. What follows the last whole frame was never accepted: it is the torn end of a write.
(A crash may also keep a later frame of such a write and tear an earlier one. Nobody can tell
that from damage, so it goes into quarantine, though nothing accepted was hit.)

Segments are removed oldest first. If one could not be, while its successor could, nobody tells
any more where it ends. It was acknowledged, so it counts as empty: an aborted event in it must
not be remembered, or whoever sends that again would be told "duplicate".

A crash in the midst of this leaves either the old state or the new one.
"""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

from edge.core.frame import HEADER_BYTES, Frame, Header
from edge.shell.spool.cursor import Position, load, store
from edge.shell.spool.key_index import settle, told_end
from edge.shell.spool.segment import INDEX_SUFFIX, SEGMENT_SUFFIX, LaneFiles, Segment


@dataclass(frozen=True, slots=True)
class Outline:
    """A lane's directory, not yet believed.

    Attributes:
        headers: Of its segments, oldest first.
        sizes: Of their files.
        ends: Where each one's bytes end: as its successor says, else with the file.
        found: The cursor as it was read; ``None`` when it is missing or damaged.
        cursor: Where forwarding goes on.
    """

    headers: list[Header]
    sizes: dict[int, int]
    ends: dict[int, int]
    found: Position | None
    cursor: Position


@dataclass(frozen=True, slots=True)
class Recovered:
    """A lane's directory, made trustworthy.

    Attributes:
        segments: Oldest first, all sealed.
        cursor: Where forwarding goes on.
        oldest_waiting_ms: ``accepted_ms`` of the first whole record there, unix ms.
        number_next: For the next segment; higher than any there has been.
        torn_bytes: Found behind the last whole frame of the last segment, and dropped.
        missing: As :func:`missing` tells it.
    """

    segments: list[Segment]
    cursor: Position
    oldest_waiting_ms: int | None
    number_next: int
    torn_bytes: int
    missing: Mapping[int, int]


def outline(files: LaneFiles) -> Outline:
    """Look at a lane's files; changes nothing.

    Raises:
        OSError: The directory, or a file in it, cannot be read now.
        UnknownVersion: Another version of the gateway wrote some of it.
    """
    found = load(files)
    sizes = files.sizes()
    headers = [files.header(number) for number in sizes]
    told = {header.predecessor: header.predecessor_end for header in headers}
    ends = sizes | told
    cursor = _resolve(found, sizes)
    for before, header in pairwise(headers):
        if before.number in told:
            continue
        # Who was to tell is lost, or gone; what it had declared void must not come back.
        end = told_end(files, before)
        if end > sizes[before.number]:
            is_remainder = header.edgespool and before.number < cursor.segment
            end = HEADER_BYTES if is_remainder else sizes[before.number]
        ends[before.number] = end
    return Outline(headers, sizes, ends, found, cursor)


def missing(files: LaneFiles, seen: Outline) -> dict[int, int]:
    """Tell which segments are not there though the origin has not acknowledged all of them.

    Only a successor tells of one: of several in a row the last is named, and the newest never.

    Returns:
        Where each one ended, by its number.

    Raises:
        OSError: The cursor cannot be read now.
        UnknownVersion: Another version of the gateway wrote it.
    """
    gone = {
        header.predecessor: header.predecessor_end
        for header in seen.headers
        if header.predecessor not in seen.sizes and header.predecessor_end > HEADER_BYTES
    }
    # As it is by now: a running owner may have deleted one since.
    cursor = (load(files) or seen.cursor) if gone else seen.cursor
    waited = max(cursor, seen.cursor)
    return {number: end for number, end in gone.items() if Position(number, end) > waited}


def recover(files: LaneFiles) -> Recovered:
    """Survey one lane and make all that will be forwarded or recalled durable.

    Raises:
        OSError: Something cannot be read or written now; nothing is lost, try again.
        UnknownVersion: Another version of the gateway wrote some of it.
    """
    _sweep(files)
    seen = outline(files)
    lost = missing(files, seen)
    headers, ends, cursor = seen.headers, seen.ends, seen.cursor
    numbers = [header.number for header in headers]
    number_next = max([*numbers, seen.found.segment if seen.found else 0]) + 1
    if seen.found is not None and seen.found != cursor:
        store(files, cursor)
    torn_bytes = 0
    if headers and headers[-1].edgespool:
        last = headers[-1]
        start = cursor.offset if cursor.segment == last.number else HEADER_BYTES
        passed = cursor.records if cursor.segment == last.number else 0
        tail = _tail(files, last, Position(last.number, start, passed), ends[last.number])
        torn_bytes = max(0, ends[last.number] - start - len(tail.content))
        if tail.content:
            copy = Header(number_next, last.edgespool, tail.seq_first, last.number, start)
            files.begin(copy, tail.content).close()
            headers.append(copy)
            ends[copy.number] = HEADER_BYTES + len(tail.content)
            number_next += 1
        if tail.is_whole:
            files.cut(last.number, start)
        ends[last.number] = start
    segments = [
        settle(files, header, ends[header.number], cursor, _told_records(header, following))
        for header, following in zip_longest(headers, headers[1:])
    ]
    oldest_ms = _first_ms(files, segments, cursor)
    return Recovered(segments, cursor, oldest_ms, number_next, torn_bytes, lost)


def _sweep(files: LaneFiles) -> None:
    """Remove what was never given its name, and indexes whose segment is gone."""
    names = files.disk.files(files.directory)
    for name in names:
        is_index = name.endswith(INDEX_SUFFIX)
        is_alone = is_index and name.replace(INDEX_SUFFIX, SEGMENT_SUFFIX) not in names
        if is_alone or name.endswith(".tmp"):
            with contextlib.suppress(OSError):  # in nobody's way
                files.disk.unlink(files.directory / name)


def _told_records(header: Header, following: Header | None) -> int | None:
    """Tell how many frames a segment has by the number that its successor begins with."""
    if following is None or following.predecessor != header.number:
        return None
    is_same_run = header.edgespool and following.edgespool == header.edgespool
    return following.seq_first - header.seq_first if is_same_run else None


def _resolve(found: Position | None, sizes: Mapping[int, int]) -> Position:
    """Decide where forwarding goes on; in doubt, everything goes again."""
    if found is not None:
        is_passed = found.segment not in sizes and found.segment < max(sizes, default=1 << 64)
        if is_passed or found.offset <= sizes.get(found.segment, -1):
            return found
    return Position(min(sizes, default=1))


@dataclass(frozen=True, slots=True)
class _Tail:
    """What is worth keeping of the last segment; all that was read, if some was unreadable."""

    content: bytes
    seq_first: int
    is_whole: bool


def _tail(files: LaneFiles, last: Header, start: Position, size: int) -> _Tail:
    """Read from *start* to the end of the last whole frame.

    Where the disk gives nothing there may be accepted events: then everything is kept, and
    what is unreadable comes into quarantine instead of passing for a torn write.
    """
    unreadable = files.unreadable
    seq_first, end = last.seq_first + start.records, start.offset
    # Looked through before it is read at once: damage can make a file of any size, full of zeros.
    for offset, found in files.scan(last, start.offset, size):
        if isinstance(found, Frame):
            seq_first = min(seq_first, found.edgeseq)  # were it larger, the frame would be void
            end = offset + found.length
    if files.unreadable != unreadable:
        end = size
    content = files.read(last.number, start.offset, end - start.offset)
    return _Tail(content, seq_first, files.unreadable == unreadable)


def _first_ms(files: LaneFiles, segments: Sequence[Segment], cursor: Position) -> int | None:
    """Tell when the first whole record behind the cursor was accepted."""
    for segment in segments:
        if segment.number == cursor.segment and cursor.offset > HEADER_BYTES:
            for _, found in files.scan(segment.header, cursor.offset, segment.end):
                if isinstance(found, Frame):
                    return found.record.accepted_ms
        elif segment.number >= cursor.segment and segment.oldest_ms is not None:
            return segment.oldest_ms
    return None
