"""How far the origin has acknowledged one lane: a position in, a small durable file out.

Record
------
``<lane>/cursor``, 40 bytes, little-endian, replaced whole (temporary name, sync, rename, sync
of the directory)::

     0  8s   mark      FF "EDGECU" FE
     8  u16  version   1
    10  u16  0
    12  u64  segment   the record to forward next stands in it,
    20  u64  offset    here, or at the next segment's beginning if it ends here
    28  u64  records   frames of that segment before the offset
    36  u32  checksum  CRC-32 of the 36 bytes before
"""

from dataclasses import dataclass, field
from struct import Struct
from typing import Final
from zlib import crc32

from edge.core.frame import HEADER_BYTES, UnknownVersion
from edge.shell.spool.disk import publish
from edge.shell.spool.segment import LaneFiles

_MARK: Final = b"\xffEDGECU\xfe"
_VERSION: Final = 1
_CURSOR: Final = Struct("<8sHHQQQ")
_CHECKSUM: Final = Struct("<I")
_NAME: Final = "cursor"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place between two records of a lane.

    Attributes:
        segment: Number of the segment.
        offset: Bytes from the segment's beginning.
        records: Frames of the segment before it; for the figures, not for its order.
    """

    segment: int
    offset: int = HEADER_BYTES
    records: int = field(default=0, compare=False)


def store(files: LaneFiles, at: Position) -> None:
    """Return when *at* is what the next start finds.

    Raises:
        OSError: The next start may find this one or the one before.
    """
    body = _CURSOR.pack(_MARK, _VERSION, 0, at.segment, at.offset, at.records)
    publish(files.disk, files.directory / _NAME, body + _CHECKSUM.pack(crc32(body))).close()


def load(files: LaneFiles) -> Position | None:
    """Read the cursor; ``None`` when it is missing or damaged.

    Raises:
        UnknownVersion: Another version of the gateway wrote it.
    """
    try:
        found = files.disk.read(files.directory / _NAME, 0, _CURSOR.size + _CHECKSUM.size)
    except OSError:
        return None
    body = found[: _CURSOR.size]
    if found[_CURSOR.size :] != _CHECKSUM.pack(crc32(body)):
        return None
    mark, version, _, segment, offset, records = _CURSOR.unpack(body)
    if mark != _MARK:
        return None
    if version != _VERSION:
        raise UnknownVersion(version)
    return Position(segment, offset, records)
