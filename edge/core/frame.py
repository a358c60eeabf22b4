"""Records in, bytes of a segment file out; and back, whatever happened to those bytes.

Theory of operation
-------------------
A segment is one file: a header, then frames, one per record, nothing between them. Who writes a
frame knows its number; who reads one believes nothing but the checksum. :func:`scan` walks over
a window of the file and yields what it finds: a :class:`Frame` where one stands whole, else a
:class:`Gap` up to the next place where one could begin. So one damaged frame costs itself.

Design constraints
------------------
- *The unit of loss is one event.* Each frame carries its own length and checksum, and begins
  with a mark by which the next one is found again.
- *An event cannot forge a frame.* The mark holds the bytes FF and FE, which occur in no UTF-8
  text; keys and envelopes are UTF-8, so no sender can write a mark into one.
- *A frame is valid in its own run only.* Its checksum is seeded with the run's UUID, and its
  number is not below the segment's first: neither a stale block of a deleted file nor a
  frame of another run passes for one of ours.
- *One flipped bit in the header loses nothing.* It is written twice.
- *What lies behind the valid end does not exist.* A segment is ended by the header of the one
  that follows it (``predecessor``, ``predecessor_end``); bytes behind are remains of a failed
  or torn write.
- *Other versions are refused, not guessed.* The header's mark, version and checksum keep their
  places in every version.

Record
------
All numbers are little-endian. ``length`` counts the whole frame, mark included::

     0  4s   mark         FF 45 46 FE
     4  u32  checksum     CRC-32 of all that follows, seeded with CRC-32 of the run's 16 bytes
     8  u32  length       bytes, 96 .. FRAME_BYTES_MAX
    12  u64  edgeseq      from 1, +1 per record of the run
    20  i64  accepted_ms  unix ms
    28  i64  time_ms      the footprint, as in edge.core.record: unix ms,
    36  u64  id_key       then seven 64-bit numbers
    44  u64  digest
    52  u64  key
    60  u64  key2
    68  u64  digest2
    76  u64  session
    84  u64  seq
    92  u32  key_bytes
    96       the record's key (key_bytes), then its envelope's JSON up to the frame's end,
             without ``edgespool`` (in the header) and ``edgeseq`` (above)

Segment
-------
``<segment number:010d>.seg``; numbers rise and are never used twice. The header is these 64
bytes, twice; frames begin at 128. Beside a sealed segment lies ``<segment number:010d>.idx``,
its key index (:mod:`edge.core.key_index`)::

     0  8s   mark             FF "EDGESG" FE
     8  u16  version          1
    10  u16  flags            0
    12  u64  number           as in the file's name
    20  16s  run              edgespool, the UUID's bytes
    36  u64  seq_first        no frame in here has a smaller edgeseq
    44  u64  predecessor      number of the segment before, 0: none
    52  u64  predecessor_end  offset at which that one's valid bytes end
    60  u32  checksum         CRC-32 of the 60 bytes before

Source: CRC-32 as in zlib (ISO/IEC 8802-3, reflected 04C11DB7); design.md §5.
"""

from collections.abc import Iterator
from struct import Struct
from typing import Final
from uuid import UUID
from zlib import crc32

import msgspec

from edge.core.record import Footprint, Record

VERSION: Final = 1
MARK: Final = b"\xffEF\xfe"
FRAME_BYTES_MAX: Final = 256 << 10
"""An event is at most 32 KiB; re-encoded numbers may grow threefold; twice that, for later."""

_PREFIX: Final = Struct("<4sI")
_HEAD: Final = Struct("<IQqqQQQQQQQI")
FRAME_BYTES_MIN: Final = _PREFIX.size + _HEAD.size

ROW_WORDS: Final = (
    "accepted_ms", "time_ms", "id_key", "digest", "key", "key2", "digest2", "session", "seq",
)  # fmt: skip
"""The numbers of a frame from which its key index is made, 8 bytes each,"""

ROW: Final = slice(20, 92)
"""and where they stand in an encoded frame: together, so that a writer needs only this slice."""

_ROW: Final = Struct("<qqQQQQQQQ")

_SEGMENT_MARK: Final = b"\xffEDGESG\xfe"
_SEGMENT: Final = Struct("<8sHHQ16sQQQ")
_CHECKSUM: Final = Struct("<I")
_COPY_BYTES: Final = _SEGMENT.size + _CHECKSUM.size
HEADER_BYTES: Final = 2 * _COPY_BYTES


class UnknownVersion(Exception):  # noqa: N818  # a finding; the shell makes an error of it
    """A segment written by another version of this format.

    Attributes:
        version: What its header says.
    """

    def __init__(self, version: int) -> None:
        super().__init__(version)
        self.version = version


class Header(msgspec.Struct, frozen=True, gc=False):
    """The beginning of a segment.

    Attributes:
        number: The segment's own number, from 1.
        edgespool: UUID text of the run its records are numbered in; ``""`` when the header
            could not be read (then no frame in it is valid).
        seq_first: No record in it has a smaller number.
        predecessor: The segment before, 0 for none.
        predecessor_end: Offset at which that one's valid bytes end.
    """

    number: int
    edgespool: str
    seq_first: int = 1
    predecessor: int = 0
    predecessor_end: int = 0


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One whole record, as it lies in a segment.

    Attributes:
        length: Bytes of the frame.
        edgeseq: Its number in the run.
        record: What was appended.
    """

    length: int
    edgeseq: int
    record: Record


class Gap(msgspec.Struct, frozen=True, gc=False):
    """Bytes that are no frame, up to the next place where one may begin.

    Attributes:
        length: Bytes, at least 1.
    """

    length: int


def encode_header(header: Header) -> bytes:
    """Write the beginning of a segment, ``HEADER_BYTES`` long."""
    copy = _SEGMENT.pack(
        _SEGMENT_MARK,
        VERSION,
        0,
        header.number,
        UUID(header.edgespool).bytes,
        header.seq_first,
        header.predecessor,
        header.predecessor_end,
    )
    return (copy + _CHECKSUM.pack(crc32(copy))) * 2


def decode_header(start: bytes) -> Header | None:
    """Read the beginning of a segment from either of its two copies.

    Args:
        start: The first ``HEADER_BYTES`` of the file, or fewer.

    Returns:
        ``None`` when neither copy is whole.

    Raises:
        UnknownVersion: A whole copy says that another version wrote it.
    """
    for at in (0, _COPY_BYTES):
        copy = start[at : at + _SEGMENT.size]
        if start[at + _SEGMENT.size : at + _COPY_BYTES] != _CHECKSUM.pack(crc32(copy)):
            continue
        mark, version, _, number, run, seq_first, before, before_end = _SEGMENT.unpack(copy)
        if mark != _SEGMENT_MARK:
            continue
        if version != VERSION:
            raise UnknownVersion(version)
        return Header(number, str(UUID(bytes=run)), seq_first, before, before_end)
    return None


def seed(edgespool: str) -> int:
    """Tell what the checksums of one run start from."""
    return crc32(UUID(edgespool).bytes) if edgespool else 0


def size(record: Record) -> int:
    """Tell how many bytes the record's frame takes."""
    return FRAME_BYTES_MIN + len(record.key) + len(record.envelope)


def encode(record: Record, edgeseq: int, run_seed: int) -> bytes:
    """Write one frame.

    Args:
        record: At most ``FRAME_BYTES_MAX`` by :func:`size`.
        edgeseq: Its number in the run, from 1.
        run_seed: :func:`seed` of the run.
    """
    mark = record.footprint
    body = (
        _HEAD.pack(
            FRAME_BYTES_MIN + len(record.key) + len(record.envelope),
            edgeseq,
            record.accepted_ms,
            mark.time_ms,
            mark.id_key,
            mark.digest,
            mark.key,
            mark.key2,
            mark.digest2,
            mark.session,
            mark.seq,
            len(record.key),
        )
        + record.key
        + record.envelope
    )
    return _PREFIX.pack(MARK, crc32(body, run_seed)) + body


def row_of(footprint: Footprint, accepted_ms: int) -> bytes:
    """Give the :data:`ROW` of a record's frame."""
    return _ROW.pack(
        accepted_ms,
        footprint.time_ms,
        footprint.id_key,
        footprint.digest,
        footprint.key,
        footprint.key2,
        footprint.digest2,
        footprint.session,
        footprint.seq,
    )


def scan(window: bytes, header: Header, *, is_end: bool) -> Iterator[Frame | Gap]:
    """Walk over consecutive bytes of one segment, the first of which begins a frame.

    The lengths of what it yields add up to where the next window begins. From a window of at
    least ``FRAME_BYTES_MAX`` something always comes, so a reader always advances.

    Args:
        window: Bytes of the segment.
        header: Of that segment.
        is_end: Nothing valid follows the window. Otherwise a frame that the window may have
            cut is left to the next one.
    """
    run_seed = seed(header.edgespool)
    view = memoryview(window)
    at = 0
    while at < len(window):
        frame = _frame(window, view, at, run_seed)
        if frame is not None and frame.edgeseq >= header.seq_first:
            yield frame
            at += frame.length
            continue
        if not is_end and len(window) - at < FRAME_BYTES_MAX:
            return
        gap = _gap(window, at, is_end=is_end)
        yield Gap(gap)
        at += gap


def _frame(window: bytes, view: memoryview, at: int, run_seed: int) -> Frame | None:
    """Read the frame that begins at *at*, if a whole one does; *view* is of the window."""
    if len(window) - at < FRAME_BYTES_MIN:
        return None
    mark, checksum = _PREFIX.unpack_from(window, at)
    start = at + _PREFIX.size
    length, edgeseq, accepted_ms, *footprint, key_bytes = _HEAD.unpack_from(window, start)
    end = at + length
    key_end = at + FRAME_BYTES_MIN + key_bytes
    if mark != MARK or not key_end <= end <= len(window) or length > FRAME_BYTES_MAX:
        return None
    if crc32(view[start:end], run_seed) != checksum:
        return None
    record = Record(
        key=window[at + FRAME_BYTES_MIN : key_end],
        accepted_ms=accepted_ms,
        footprint=Footprint(*footprint),
        envelope=window[key_end:end],
    )
    return Frame(length, edgeseq, record)


def _gap(window: bytes, at: int, *, is_end: bool) -> int:
    """Count the bytes up to the next mark, or as far as none can begin."""
    found = window.find(MARK, at + 1)
    if found < 0:
        found = len(window) if is_end else len(window) - len(MARK) + 1
    return found - at
