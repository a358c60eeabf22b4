"""One lane's spool as its forwarder sees it: synced frames out, progress in.

Theory of operation
-------------------
The forwarder asks for what follows a position, brings it to the origin, and acknowledges the
position behind it. Only then does the durable cursor move, and only behind the durable cursor
is anything deleted (:mod:`edge.shell.spool.retention`). A cursor that cannot be written now is
written later: that costs repetition after a crash, never a record.

What is damaged or lost comes as :class:`Quarantined`, in its place among its neighbours. What
only cannot be read now (no descriptor, no permission) is an ``OSError``, and waits.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from edge.core.frame import FRAME_BYTES_MAX, MARK, Frame, scan
from edge.core.lane import Lane
from edge.core.record import Record
from edge.shell.spool.budget import Budget
from edge.shell.spool.cursor import CursorFile, Position
from edge.shell.spool.disk import is_full
from edge.shell.spool.fresh import Written
from edge.shell.spool.retention import Retention
from edge.shell.spool.room import Room
from edge.shell.spool.segment import LaneFiles
from edge.shell.spool.shelf import Holdings, Shelf, Stretch
from origin_client.envelope import number
from origin_client.give_way import give_way

log = logging.getLogger(__name__)


class Stored(msgspec.Struct, frozen=True, gc=False):
    """One accepted event on its way to the origin.

    Attributes:
        edgespool: UUID text of the run it is numbered in.
        edgeseq: Its number, from 1.
        key: The origin's record key.
        accepted_ms: The edge's wall clock at acceptance, unix ms.
        value: The whole envelope, JSON.
    """

    edgespool: str
    edgeseq: int
    key: bytes
    accepted_ms: int
    value: bytes


class Quarantined(msgspec.Struct, frozen=True, gc=False):
    """Bytes of the spool that are no valid frame any more.

    Attributes:
        segment: Number of the segment.
        offset: Where they begin.
        raw: As they were read; zeros where the disk gave nothing.
        reason: What is wrong with them; for operators.
        frames: How many they were: 0 for what is left of those before.
    """

    segment: int
    offset: int
    raw: bytes
    reason: str
    frames: int = 1


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive frames of one lane.

    Attributes:
        frames: In the order of acceptance; empty only when nothing was readable.
        after: Where the next one begins.
    """

    frames: list[Stored | Quarantined]
    after: Position


class LaneSpool:
    """The reading side of one lane. One thread: the lane's forwarder.

    Attributes:
        lane: Which.
        directory: ``<spool>/<worker>/<lane>``.
        failed_cursors: Writes of the cursor that failed; each is tried again.
        quarantined: Damaged frames that were passed: each lies in the dead letters.
    """

    def __init__(
        self,
        files: LaneFiles,
        shelf: Shelf,
        *,
        lane: Lane,
        retention: Retention,
        budget: Budget,
        room: Room,
    ) -> None:
        self.lane: Final = lane
        self.directory: Final = files.directory
        self.failed_cursors = 0
        self.quarantined = 0
        self._files: Final = files
        self._cursor_file: Final = CursorFile(files)
        self._shelf: Final = shelf
        self._retention: Final = retention
        self._budget: Final = budget
        self._room: Final = room
        self._acknowledged = shelf.cursor
        self._gaps: list[tuple[Position, int]] = []
        """Where damage was read that is not passed, and its frames."""
        self._read_ms: int | None = None

    @property
    def cursor(self) -> Position:
        """Where to go on: the origin has acknowledged everything before. Any thread."""
        return self._acknowledged

    def read(self, at: Position, *, bytes_max: int, records_max: int) -> Chunk:
        """Read frames that follow *at*, all of one segment, without waiting.

        Args:
            at: ``cursor``, or where an earlier chunk ended.
            bytes_max: Of the spool read at once; one frame comes even if it is larger.
            records_max: Of the chunk, at least 1.

        Raises:
            OSError: They cannot be read now; ask again.
        """
        stretch = self._shelf.find(at)
        if stretch is None:
            return Chunk([], at)
        fresh = self._shelf.fresh.find(stretch.start, bytes_max)
        if fresh:
            return self._read_fresh(fresh, stretch, bytes_max, records_max)
        return self._read_disk(stretch, bytes_max, records_max)

    def wait(self, at: Position, timeout_s: float) -> bool:
        """Wait until something is readable at *at*; false when nothing came, or closed.

        Idle time is also when an overdue cursor is written, and old segments are deleted.
        """
        if self._acknowledged != self._shelf.cursor:
            self._persist()
        self._retention.expire()
        return self._shelf.find(at, timeout_s) is not None

    def acknowledge(self, after: Position) -> None:
        """Let the origin's receipt count: move the cursor durably, then delete what may go.

        Never raises: a cursor that cannot be written keeps its records on disk, and the room
        they take, and is written with the next acknowledgement or wait. They wait no more: who
        looks on at a disk that turned read-only sees when all is at the origin.

        Args:
            after: Everything before it is acknowledged, or in the dead letters.
        """
        self._shelf.acknowledge(after, self._read_ms)
        self.quarantined += sum(frames for gap, frames in self._gaps if gap < after)
        self._gaps = [gap for gap in self._gaps if gap[0] >= after]
        self._acknowledged = after
        self._persist()
        self._retention.expire()

    def oldest_ms(self) -> int | None:
        """Tell ``accepted_ms`` of the oldest record on disk, waiting or not. Any thread."""
        return self.holdings().oldest_ms

    def newest_ms(self) -> int | None:
        """Tell the newest ``accepted_ms`` found on disk at the start. Any thread."""
        return self._shelf.newest_found_ms

    def forgotten_ms(self) -> int | None:
        """Tell up to which ``accepted_ms`` records may have been deleted. Any thread.

        The newest that this process has deleted. Before the first: the oldest found on disk,
        if an earlier process deleted the lane's first segment; ``None`` if none is known.
        """
        return self._shelf.forgotten_ms

    def holdings(self) -> Holdings:
        """Tell what the lane holds. Any thread."""
        return self._shelf.holdings()

    def _read_fresh(
        self, fresh: Sequence[Written], stretch: Stretch, bytes_max: int, records_max: int
    ) -> Chunk:
        """Take from memory what the disk would give."""
        start, edgespool = stretch.start, stretch.header.edgespool
        frames: list[Stored | Quarantined] = []
        end = start.offset
        for written in fresh:
            part = written.part(
                start.offset,
                start.offset + bytes_max,
                records_least=0 if frames else 1,
                records_max=records_max - len(frames),
            )
            numbers = enumerate(part.records, part.seq_first)
            frames += [_number(record, edgespool, edgeseq) for edgeseq, record in numbers]
            if part.records:
                self._read_ms = part.records[-1].accepted_ms
            end = part.end
            if end < written.end:
                break
        return Chunk(frames, Position(start.segment, end, start.records + len(frames)))

    def _read_disk(self, stretch: Stretch, bytes_max: int, records_max: int) -> Chunk:
        """Read and verify.

        Raises:
            OSError: It cannot be read now.
        """
        start, header = stretch.start, stretch.header
        read_bytes = min(max(bytes_max, FRAME_BYTES_MAX), stretch.end - start.offset)
        window = self._files.read(start.segment, start.offset, read_bytes)
        self._gaps = [gap for gap in self._gaps if gap[0] < start]
        frames: list[Stored | Quarantined] = []
        torn: list[Quarantined] = []
        at, records = 0, start.records
        is_end = start.offset + read_bytes == stretch.end
        for found in scan(window, header, is_end=is_end):
            past = at + found.length
            if at and (len(frames) + len(torn) >= records_max or past > bytes_max):
                break
            give_way(len(frames))
            if isinstance(found, Frame):
                before = found.edgeseq - header.seq_first
                if torn:
                    frames += self._quarantine(torn, before - records)
                    torn = []
                records = before + 1
                self._read_ms = found.record.accepted_ms
                frames.append(_number(found.record, header.edgespool, found.edgeseq))
            else:
                raw = window[at:past]
                offset = start.offset + at
                torn.append(Quarantined(start.segment, offset, raw, _complaint(raw)))
            at = past
        end = start.offset + at
        if torn:
            before = self._count_before_whole(stretch, end)
            frames += self._quarantine(torn, before - records)
            records = max(before, records)
        return Chunk(frames, Position(start.segment, end, records))

    def _count_before_whole(self, stretch: Stretch, offset: int) -> int:
        """Count the segment's frames before the first whole one from *offset* on.

        Raises:
            OSError: It cannot be read now.
        """
        for _, found in self._files.scan(stretch.header, offset, stretch.end):
            if isinstance(found, Frame):
                return found.edgeseq - stretch.header.seq_first
        return stretch.records

    def _quarantine(self, torn: Sequence[Quarantined], count: int) -> list[Quarantined]:
        """Say that so many frames lay in these pieces: one in each, and the rest in the last."""
        counts = [int(place < count) for place in range(len(torn))]
        counts[-1] += max(0, count - len(torn))
        self._gaps += [
            (Position(piece.segment, piece.offset), frames)
            for piece, frames in zip(torn, counts, strict=True)
        ]
        return [
            msgspec.structs.replace(piece, frames=frames)
            for piece, frames in zip(torn, counts, strict=True)
        ]

    def _persist(self) -> None:
        after = self._acknowledged
        try:
            self._cursor_file.store(after)
        except OSError as error:
            self.failed_cursors += 1
            log.warning("cursor not written", extra={"lane": self.lane, "cause": str(error)})
            if is_full(error):
                self._room.free()
            return
        self._budget.give_back(self.lane, self._shelf.advance(after))


def _number(record: Record, edgespool: str, edgeseq: int) -> Stored:
    value = number(record.envelope, edgespool, edgeseq)
    return Stored(edgespool, edgeseq, record.key, record.accepted_ms, value)


def _complaint(raw: bytes) -> str:
    """Say what an operator should suspect."""
    if raw.startswith(MARK):
        return "checksum, length or number is wrong"
    return "no frame begins here" if any(raw) else "unreadable, or never written"
