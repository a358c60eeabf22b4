"""The keys of one sealed segment without its events: rows in, bytes of an index out; and back.

Theory of operation
-------------------
A start must know every id, key and session number that is on disk, and needs none of the
events. So a segment that is full leaves them beside itself, column by column: what recall takes
over lies there as a block, some 50 bytes where the event has a thousand.

Design constraints
------------------
- *It may be missing, torn, or left from another life.* It is written without a sync, after its
  segment. It counts only if its checksums hold and it names the segment's number, run (unless
  its header is lost) and valid end; then it was made from synced frames, or from a scan. Else
  the segment is scanned.
- *It decides about no event.* Nothing is forwarded because of it, or held back. Frames that were
  damaged after it was written stay known to recall, as they should: they were accepted.
- *What a start does not need it does not read.* Session numbers come first: of the oldest
  segments, whose keys no table would keep, nothing else is read.
- *A column of zeros takes no room.* Most events have no second business key, facts no number.

Record
------
``<segment number:010d>.idx``. All numbers are in the byte order of the machine; another
machine's, as any unknown version, counts as missing::

     0  8s   mark       FF "EDGEIX" FE
     8  u16  version    1
    10  u16  columns    bit n: column n is there, else it is all zeros
    12  u64  number     of the segment,
    20  16s  run        and its edgespool, the UUID's bytes
    36  u64  end        offset behind its last synced frame
    44  u64  records    frames, whole or damaged
    52  u64  rows       whole frames: values in each column
    60  u64  entries    ids and keys: values in columns 3, 5 and 6 that are not 0
    68  u64  oldest_ms  accepted_ms of its first whole frame, 0 without one
    76  u64  newest_ms  of its last one
    84  u32  checksum   CRC-32 of columns 0 and 1
    88  u32  checksum   of the others
    92  u32  checksum   of the 92 bytes before
    96       the columns, rows x u64 each, named as in a frame: 0 session, 1 seq, 2 accepted_ms,
             3 id_key, 4 digest, 5 key, 6 key2, 7 digest2

Source: CRC-32 as in zlib (ISO/IEC 8802-3, reflected 04C11DB7); design.md §5 rule 5.
"""

import sys
from array import array
from itertools import compress
from struct import Struct
from typing import Final, TypeAlias
from uuid import UUID
from zlib import crc32

import msgspec

from edge.core.frame import ROW_WORDS, Header

Column: TypeAlias = "array[int]"
"""Of u64; empty if all would be zeros."""

_WORD_BYTES: Final = 8
_ROW_BYTES: Final = len(ROW_WORDS) * _WORD_BYTES
_MARK: Final = b"\xffEDGEIX\xfe"
_VERSION: Final = 1
_HEADING: Final = Struct("=8sHHQ16sQQQQQQII")
_CHECKSUM: Final = Struct("=I")
HEADING_BYTES: Final = _HEADING.size + _CHECKSUM.size

_COLUMNS: Final = (
    "session", "seq", "accepted_ms", "id_key", "digest", "key", "key2", "digest2",
)  # fmt: skip
_PLACES: Final = tuple(ROW_WORDS.index(name) for name in _COLUMNS)
_SESSION_COLUMNS: Final = 2
_ACCEPTED_MS: Final = 2
_PAIRS: Final = ((3, 4), (5, 4), (6, 7))
"""Columns of the names a record has, in recall's order, and of the digest under each."""


class Heading(msgspec.Struct, frozen=True, gc=False):
    """What an index says of its segment.

    Attributes:
        columns: Bit n: column n is there.
        checksums: Of the session columns, and of the others.
        number: The segment's.
        edgespool: UUID text of its run.
        end: Offset at which its valid bytes ended when this was written.
        records: Frames, whole or damaged.
        rows: Whole ones.
        entries: Their ids and business keys: what they take in a recall table.
        oldest_ms: ``accepted_ms`` of the first whole frame, unix ms, 0 without one.
        newest_ms: Of the last one.
    """

    columns: int
    checksums: tuple[int, int]
    number: int
    edgespool: str
    end: int
    records: int
    rows: int
    entries: int
    oldest_ms: int
    newest_ms: int

    def is_of(self, header: Header, end: int) -> bool:
        """Whether it was written for the segment that ends at *end*.

        A header that is lost tells no run; then this is all that is known of its frames.
        """
        is_of_run = self.edgespool == header.edgespool or not header.edgespool
        return is_of_run and (self.number, self.end) == (header.number, end)

    def size(self, *, with_keys: bool) -> int:
        """Tell how many bytes behind the heading :func:`decode` wants."""
        wanted = (1 << (len(_COLUMNS) if with_keys else _SESSION_COLUMNS)) - 1
        return (self.columns & wanted).bit_count() * self.rows * _WORD_BYTES


class Entries(msgspec.Struct, frozen=True, gc=False):
    """Ids and business keys as a recall table takes them, oldest first; equally many of each.

    Attributes:
        keys: None is 0.
        digests: What a second copy must equal.
        accepted_ms: Unix ms; never runs backwards.
    """

    keys: Column
    digests: Column
    accepted_ms: Column


class Page(msgspec.Struct, frozen=True, gc=False):
    """What recall takes over of one segment's records.

    Attributes:
        count: How many entries they have.
        newest_ms: ``accepted_ms`` of the last one, unix ms.
        entries: ``None``: so many follow that no table keeps any of these.
        sessions: By record; 0 for events without a number.
        seqs: Likewise.
    """

    count: int
    newest_ms: int
    entries: Entries | None
    sessions: Column
    seqs: Column


def encode(header: Header, end: int, records: int, rows: bytes | bytearray) -> bytes:
    """Write an index.

    Args:
        header: Of the segment.
        end: Offset behind its last synced frame.
        records: Frames before it, whole or damaged.
        rows: The row (:data:`edge.core.frame.ROW`) of each whole one.
    """
    columns, count = _columns(rows), len(rows) // _ROW_BYTES
    accepted_ms = columns[_ACCEPTED_MS]
    blocks = [column.tobytes() for column in columns]
    heading = _HEADING.pack(
        _MARK,
        _VERSION,
        sum(1 << index for index, column in enumerate(columns) if column),
        header.number,
        UUID(header.edgespool).bytes,
        end,
        records,
        count,
        _count(count, columns),
        accepted_ms[0] if accepted_ms else 0,
        accepted_ms[-1] if accepted_ms else 0,
        _crc32_of(blocks[:_SESSION_COLUMNS]),
        _crc32_of(blocks[_SESSION_COLUMNS:]),
    )
    return b"".join((heading, _CHECKSUM.pack(crc32(heading)), *blocks))


def page_of(rows: bytes | bytearray, *, with_keys: bool = True) -> Page:
    """Give what an index made of these rows would; it is not written first."""
    columns, rows_count = _columns(rows), len(rows) // _ROW_BYTES
    newest_ms = columns[_ACCEPTED_MS][-1] if columns[_ACCEPTED_MS] else 0
    count = _count(rows_count, columns)
    entries = _entries(rows_count, count, columns) if with_keys else None
    return Page(count, newest_ms, entries, *columns[:_SESSION_COLUMNS])


def decode_heading(start: bytes) -> Heading | None:
    """Read the beginning of an index.

    Args:
        start: The first ``HEADING_BYTES`` of the file, or fewer.

    Returns:
        ``None`` if it is damaged, or of another version.
    """
    body = start[: _HEADING.size]
    if start[_HEADING.size : HEADING_BYTES] != _CHECKSUM.pack(crc32(body)):
        return None
    mark, version, columns, number, run, *rest = _HEADING.unpack(body)
    if (mark, version) != (_MARK, _VERSION):
        return None
    *figures, sessions, others = rest
    return Heading(columns, (sessions, others), number, str(UUID(bytes=run)), *figures)


def decode(heading: Heading, content: bytes, *, with_keys: bool) -> Page | None:
    """Read the columns of an index.

    Args:
        heading: What it begins with.
        content: As many bytes behind it as its ``size`` tells, or fewer.
        with_keys: Whether a table may keep some of the keys.

    Returns:
        ``None`` if they are damaged.
    """
    split = heading.size(with_keys=False)
    parts = (content[:split], content[split:]) if with_keys else (content,)
    if tuple(map(crc32, parts)) != heading.checksums[: len(parts)]:
        return None
    columns: list[Column] = []
    at, size = 0, heading.rows * _WORD_BYTES
    for index in range(len(_COLUMNS)):
        is_there = heading.columns >> index & 1
        columns.append(array("Q", content[at : at + size] if is_there else b""))
        at += size * is_there
    entries = _entries(heading.rows, heading.entries, columns) if with_keys else None
    return Page(heading.entries, heading.newest_ms, entries, *columns[:_SESSION_COLUMNS])


def _entries(rows: int, count: int, columns: list[Column]) -> Entries:
    """Put each record's id and keys in a row, as they would have been remembered."""
    named = [(key, digest) for key, digest in _PAIRS if columns[key]]
    total, width = rows * len(named), len(named)
    keys, digests, accepted_ms = (array("Q", bytes(total * _WORD_BYTES)) for _ in range(3))
    for place, (key, digest) in enumerate(named):
        for column, values in (
            (keys, columns[key]),
            (digests, columns[digest]),
            (accepted_ms, columns[_ACCEPTED_MS]),
        ):
            if values:
                column[place::width] = values
    if count == total:
        return Entries(keys, digests, accepted_ms)
    return Entries(
        array("Q", filter(None, keys)),
        array("Q", compress(digests, keys)),
        array("Q", compress(accepted_ms, keys)),
    )


def _count(rows: int, columns: list[Column]) -> int:
    """Count entries; no record is without an id."""
    return rows + sum(len(columns[key]) - columns[key].count(0) for key, _ in _PAIRS[1:])


def _crc32_of(blocks: list[bytes]) -> int:
    checksum = 0
    for block in blocks:
        checksum = crc32(block, checksum)
    return checksum


def _columns(rows: bytes | bytearray) -> list[Column]:
    """Cut rows into columns; what is all zeros comes empty."""
    words = array("Q")
    words.frombytes(rows)
    if sys.byteorder == "big":  # pragma: no cover  # frames are little-endian; no such machine
        words.byteswap()
    columns = [words[place :: len(ROW_WORDS)] for place in _PLACES]
    zeros = array("Q", bytes(len(columns[0]) * _WORD_BYTES))
    return [array("Q") if column == zeros else column for column in columns]
