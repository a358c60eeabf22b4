"""How far the origin has acknowledged one lane: a position in, a small durable file out.

Design constraints
------------------
What makes room on a full disk is deletion, and deletion waits for the cursor: so writing it
must need no byte and no inode. The file is made at the start, temporary name and all; from
then on its two slots are overwritten in turn, each a page of its own. A write that is cut off
costs the slot before last, and the last one still stands. Only a slot that cannot be written
has the file made anew.

Record
------
``<lane>/cursor``, 4136 bytes: a slot at 0, zeros, a slot at 4096. The valid slot with the later
generation counts; a file that ends after its first slot is one of an earlier gateway. A slot is
40 bytes, little-endian::

     0  8s   mark        FF "EDGECU" FE
     8  u16  version     1
    10  u16  generation  one more than the other slot's, modulo 2^16
    12  u64  segment     the record to forward next stands in it,
    20  u64  offset      here, or at the next segment's beginning if it ends here
    28  u64  records     frames of that segment before the offset
    36  u32  checksum    CRC-32 of the 36 bytes before
"""

from dataclasses import dataclass, field
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from edge.core.frame import HEADER_BYTES, UnknownVersion
from edge.shell.spool.disk import is_full, is_lost, publish
from edge.shell.spool.segment import LaneFiles

_MARK: Final = b"\xffEDGECU\xfe"
_VERSION: Final = 1
_CURSOR: Final = Struct("<8sHHQQQ")
_CHECKSUM: Final = Struct("<I")
_SLOT_BYTES: Final = _CURSOR.size + _CHECKSUM.size
_SLOTS: Final = (0, 4096)
"""Offsets. A page apart: no disk in use tears, or loses, two of them by one write."""

_FILE_BYTES: Final = _SLOTS[-1] + _SLOT_BYTES
_GENERATIONS: Final = 1 << 16
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


class CursorFile:
    """The cursor's file, for whoever stores many: it is read once.

    A slot whose writing failed is never relied on, though it looks whole in the page cache: the
    file is made anew, again and again until that works.

    Args:
        files: The lane's directory; nobody else writes its cursor.
    """

    def __init__(self, files: LaneFiles) -> None:
        self._files: Final = files
        self._path: Final = files.directory / _NAME
        self._held: _Slot | None = None
        self._is_doubtful = False

    def store(self, at: Position) -> None:
        """Return when *at* is what the next start finds.

        Raises:
            OSError: The next start may find this one or the one before.
        """
        if self._held is None:
            content = _content(self._files)
            self._held, self._is_doubtful = _newest(content), len(content) != _FILE_BYTES
        held = self._held
        generation = 0 if held is None else (held.generation + 1) % _GENERATIONS
        if held is not None and not self._is_doubtful:
            offset = next(slot for slot in _SLOTS if slot != held.offset)
            if self._overwrite(offset, _encode(at, generation)):
                self._held = _Slot(offset, generation, at)
                return
        self._is_doubtful = True
        content = _encode(at, generation).ljust(_FILE_BYTES, b"\0")
        publish(self._files.disk, self._path, content).close()
        self._held, self._is_doubtful = _Slot(_SLOTS[0], generation, at), False

    def _overwrite(self, offset: int, slot: bytes) -> bool:
        """Write one slot; false when only a new file may help."""
        try:
            self._files.disk.overwrite(self._path, offset, slot)
        except OSError as error:
            if is_full(error):  # it copies on write; a new file would need even more room
                raise
            return False
        return True


def store(files: LaneFiles, at: Position) -> None:
    """Store one cursor, as :meth:`CursorFile.store`.

    Raises:
        OSError: The next start may find this one or the one before.
    """
    CursorFile(files).store(at)


def settle(files: LaneFiles, at: Position) -> None:
    """Make the file as it must be before the disk is full, unless it is.

    Args:
        files: The lane's directory.
        at: What :func:`load` gave, or what is to be the first cursor.

    Raises:
        OSError: It could not be made.
    """
    content = _content(files)
    if _newest(content) is None or len(content) != _FILE_BYTES:
        store(files, at)


def confirm(files: LaneFiles) -> None:
    """Return when the disk holds the cursor that :func:`load` gives, if it gives one.

    After a kill the page cache may show a slot whose writing had failed. It is written once
    more in its own place: if that is cut off, the slot before it still stands.

    Raises:
        OSError: The next start may find this one or the one before.
        UnknownVersion: Another version of the gateway wrote it.
    """
    content = _content(files)
    newest = _newest(content)
    if newest is None:
        return
    slot = content[newest.offset : newest.offset + _SLOT_BYTES]
    try:
        files.disk.overwrite(files.directory / _NAME, newest.offset, slot)
    except OSError as error:
        if is_full(error):
            raise
        whole = slot.ljust(_FILE_BYTES, b"\0")
        publish(files.disk, files.directory / _NAME, whole).close()


def load(files: LaneFiles) -> Position | None:
    """Read the cursor; ``None`` when it is missing or damaged.

    Raises:
        OSError: It cannot be read now.
        UnknownVersion: Another version of the gateway wrote it.
    """
    found = _newest(_content(files))
    return None if found is None else found.position


class _Slot(NamedTuple):
    """One valid slot."""

    offset: int
    generation: int
    position: Position


def _content(files: LaneFiles) -> bytes:
    try:
        return files.disk.read(files.directory / _NAME, 0, _FILE_BYTES)
    except OSError as error:
        if not is_lost(error):
            raise
        return b""


def _newest(content: bytes) -> _Slot | None:
    found = [slot for at in _SLOTS if (slot := _decode(content, at)) is not None]
    if len(found) > 1 and (found[1].generation - found[0].generation) % _GENERATIONS == 1:
        return found[1]
    return found[0] if found else None


def _encode(at: Position, generation: int) -> bytes:
    numbers = (generation, at.segment, at.offset, at.records)
    body = _CURSOR.pack(_MARK, _VERSION, *numbers)
    return body + _CHECKSUM.pack(crc32(body))


def _decode(content: bytes, at: int) -> _Slot | None:
    body, checksum = content[at : at + _CURSOR.size], content[at + _CURSOR.size :]
    if checksum[: _CHECKSUM.size] != _CHECKSUM.pack(crc32(body)):
        return None
    mark, version, generation, segment, offset, records = _CURSOR.unpack(body)
    if mark != _MARK:
        return None
    if version != _VERSION:
        raise UnknownVersion(version)
    return _Slot(at, generation, Position(segment, offset, records))
