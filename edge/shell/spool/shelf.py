"""The segments of one lane in memory: what is waiting for the origin, what is only retained.

Written by the lane's writer (new segments, growth) and its forwarder (progress), read by
anybody; every method may be called from any thread, none does I/O.
"""

import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.core.frame import HEADER_BYTES, Header
from edge.shell.spool.cursor import Position
from edge.shell.spool.fresh import Fresh
from edge.shell.spool.segment import Segment


@dataclass(frozen=True, slots=True)
class Stretch:
    """Synced bytes of one segment that wait to be read.

    Attributes:
        header: Of the segment.
        start: Where they begin.
        end: Offset behind them.
        records: Frames before that offset, whole or damaged.
    """

    header: Header
    start: Position
    end: int
    records: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a lane holds on disk, in figures.

    Attributes:
        records_waiting: Synced, not acknowledged.
        bytes_waiting: Of their frames.
        bytes_retained: Acknowledged, kept for recall.
        oldest_waiting_ms: ``accepted_ms`` of the oldest waiting record, unix ms, or of one
            acknowledged just before; ``None`` when none waits.
        oldest_ms: The same of the oldest record on disk.
    """

    records_waiting: int
    bytes_waiting: int
    bytes_retained: int
    oldest_waiting_ms: int | None
    oldest_ms: int | None


class Shelf:
    """One lane's segments, oldest first; the last is the one being written, unless it is sealed.

    Args:
        segments: As recovery found them; rising numbers.
        cursor: Everything before it is acknowledged, durably.
        oldest_waiting_ms: ``accepted_ms`` of the first record behind the cursor.
        fresh_bytes_max: Of what is kept for the forwarder.

    Attributes:
        fresh: What was synced last.
        newest_found_ms: The newest ``accepted_ms`` that recovery found, unix ms; ``None``
            without a record.
        bytes_held: Of all records, waiting or retained. A plain number, for it is read in every
            lane after every commit: 0.6 µs for six lanes, instead of 13 by :meth:`holdings`.
        forgotten_ms: As :meth:`LaneSpool.forgotten_ms` tells it.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        cursor: Position,
        oldest_waiting_ms: int | None,
        fresh_bytes_max: int = 0,
    ) -> None:
        self.fresh = Fresh(fresh_bytes_max)
        self._segments = list(segments)
        self._cursor = cursor
        self._acknowledged = cursor
        self._changed: Final = threading.Condition()
        self._is_closed = False
        self._is_sealed = True
        self.bytes_held = sum(segment.size_bytes for segment in segments)
        dated = [(s.oldest_ms, s.newest_ms) for s in segments if s.newest_ms is not None]
        self.newest_found_ms: Final = max((newest for _, newest in dated), default=None)
        is_first_gone = bool(segments) and segments[0].number > 1
        self.forgotten_ms = dated[0][0] if is_first_gone and dated else None
        end = Position(segments[-1].number, segments[-1].end) if segments else cursor
        self._bytes_waiting, self._records_waiting = self._between(cursor, end)
        self._oldest_waiting_ms = oldest_waiting_ms

    @property
    def cursor(self) -> Position:
        """Everything before it is acknowledged, durably."""
        return self._cursor

    def add(self, segment: Segment) -> None:
        """Begin to write another segment; the one before stays as it is."""
        with self._changed:
            self._segments.append(segment)
            self._is_sealed = False

    def seal(self) -> None:
        """Take note that nobody writes to the last segment any more."""
        with self._changed:
            self._is_sealed = True

    def grow(self, size_bytes: int, records: int, oldest_ms: int, newest_ms: int) -> None:
        """Show readers what was synced behind the last segment's end."""
        with self._changed:
            self._segments[-1].grow(size_bytes, records, oldest_ms, newest_ms)
            self.bytes_held += size_bytes
            self._bytes_waiting += size_bytes
            if self._records_waiting == 0:
                self._oldest_waiting_ms = oldest_ms
            self._records_waiting += records
            self._changed.notify_all()

    def find(self, at: Position, timeout_s: float = 0) -> Stretch | None:
        """Find what follows *at*, waiting for it; ``None`` when nothing came, or closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._is_closed or self._after(at), timeout_s)
            return self._after(at)

    def acknowledge(self, to: Position, next_ms: int | None) -> None:
        """Count what comes before *to* as waiting no more; the cursor may follow later.

        Args:
            to: Not before where this, or the cursor, stood last.
            next_ms: ``accepted_ms`` up to which everything is acknowledged.
        """
        with self._changed:
            size_bytes, records = self._between(self._acknowledged, to)
            self._acknowledged = to
            self._bytes_waiting -= size_bytes
            self._records_waiting -= records
            self._oldest_waiting_ms = next_ms if self._records_waiting else None

    def advance(self, to: Position) -> int:
        """Move the cursor, which is durable there; returns the bytes it passed.

        Args:
            to: Acknowledged, and not before the cursor.
        """
        with self._changed:
            passed, _ = self._between(self._cursor, to)
            self._cursor = to
            return passed

    def discard(self, *, before_ms: int, above_bytes: int) -> Segment | None:
        """Take the oldest segment off the shelf, if nobody needs it.

        It is sealed and wholly acknowledged, and either all its records are older than
        *before_ms*, or more than *above_bytes* are retained.
        """
        with self._changed:
            being_written = 0 if self._is_sealed else 1
            if len(self._segments) <= being_written:
                return None
            oldest = self._segments[0]
            if Position(oldest.number, oldest.end) > self._cursor:
                return None
            is_young = oldest.newest_ms is not None and oldest.newest_ms >= before_ms
            if is_young and self.bytes_held - self._bytes_waiting <= above_bytes:
                return None
            del self._segments[0]
            self.bytes_held -= oldest.size_bytes
            if oldest.newest_ms is not None:
                self.forgotten_ms = max(oldest.newest_ms, self.forgotten_ms or 0)
            return oldest

    def holdings(self) -> Holdings:
        """Tell all figures of one moment."""
        with self._changed:
            dated = (s.oldest_ms for s in self._segments if s.oldest_ms is not None)
            return Holdings(
                records_waiting=self._records_waiting,
                bytes_waiting=self._bytes_waiting,
                bytes_retained=self.bytes_held - self._bytes_waiting,
                oldest_waiting_ms=self._oldest_waiting_ms,
                oldest_ms=next(dated, None),
            )

    def close(self) -> None:
        """Wake who waits; what is on disk can still be read."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def _after(self, at: Position) -> Stretch | None:
        first = bisect_left(self._segments, at.segment, key=_number)
        for segment in self._segments[first:]:
            start = at if segment.number == at.segment else Position(segment.number)
            if start.offset < segment.end:
                return Stretch(segment.header, start, segment.end, segment.records)
        return None

    def _between(self, start: Position, end: Position) -> tuple[int, int]:
        """Count the bytes and records from *start* to *end*."""
        size_bytes, records = 0, 0
        first = bisect_left(self._segments, start.segment, key=_number)
        for segment in self._segments[first:]:
            if segment.number > end.segment:
                break
            for sign, at in ((1, end), (-1, start)):
                before_bytes, before_records = _before(segment, at)
                size_bytes += sign * before_bytes
                records += sign * before_records
        return size_bytes, records


def _before(segment: Segment, at: Position) -> tuple[int, int]:
    """Count the bytes and records of *segment* in front of *at*.

    Whoever has passed its end has passed all of it, and nobody more than that: where frames
    are damaged, and neither index nor neighbours left, it is not known how many there were.
    """
    if at.segment < segment.number:
        return 0, 0
    if at.segment > segment.number or at.offset >= segment.end:
        return segment.size_bytes, segment.records
    return at.offset - HEADER_BYTES, min(at.records, segment.records)


def _number(segment: Segment) -> int:
    return segment.number
