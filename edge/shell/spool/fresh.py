"""What a lane synced last, still in memory: a forwarder that keeps up need not read the disk.

A forwarder is rarely far behind the writer: handing the records over costs it 0.3 µs each,
finding them again in the file 2.4. Only what its own sync has made durable comes in here, so
memory and file hold the same; what does not fit is found in the file.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge.core.frame import size
from edge.core.record import Record
from edge.shell.spool.cursor import Position


@dataclass(frozen=True, slots=True)
class Written:
    """The records of one commit, as they lie in a segment.

    Attributes:
        segment: Its number.
        start: Offset of the first frame.
        end: Offset behind the last one.
        seq_first: ``edgeseq`` of the first.
        records: At least one.
    """

    segment: int
    start: int
    end: int
    seq_first: int
    records: Sequence[Record]

    def part(
        self, start: int, end_max: int, *, records_least: int, records_max: int
    ) -> "Written":
        """Return the records from *start* on that end by *end_max*, no more than *records_max*.

        Args:
            start: Offset at which one of them, or of an earlier commit, begins.
            end_max: Offset.
            records_least: So many come in any case, 0 or 1.
            records_max: At least 1.
        """
        if self.start >= start and self.end <= end_max and len(self.records) <= records_max:
            return self
        at, edgeseq = self.start, self.seq_first
        taken: list[Record] = []
        for record in self.records:
            past = at + size(record)
            if at < start:
                edgeseq += 1
            elif len(taken) >= records_least and (len(taken) == records_max or past > end_max):
                break
            else:
                taken.append(record)
            at = past
        return Written(self.segment, max(self.start, start), at, edgeseq, taken)


class Fresh:
    """The newest commits of one lane, without a gap, oldest first. Any thread.

    Args:
        bytes_max: Of their frames. Full: the oldest go, and are read from the disk.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max: Final = bytes_max
        self._lock: Final = threading.Lock()
        self._commits: Final[deque[Written]] = deque()
        self._bytes = 0

    def add(self, written: Written) -> None:
        """Keep the commit that was synced just now."""
        with self._lock:
            self._commits.append(written)
            self._bytes += written.end - written.start
            while self._bytes > self._bytes_max:
                self._drop()

    def find(self, at: Position, bytes_max: int) -> list[Written]:
        """Return consecutive commits of one segment, *at* in the first, or none.

        What lies before *at* is dropped: a forwarder never goes back.

        Args:
            at: Where a frame begins.
            bytes_max: More than these, behind *at*, are not wanted.
        """
        found: list[Written] = []
        with self._lock:
            while self._commits and _ends_by(self._commits[0], at):
                self._drop()
            for written in self._commits:
                is_wanted = written.start - at.offset < bytes_max or not found
                if written.segment != at.segment or not is_wanted:
                    break
                found.append(written)
        return found if found and found[0].start <= at.offset else []

    def _drop(self) -> None:
        oldest = self._commits.popleft()
        self._bytes -= oldest.end - oldest.start


def _ends_by(written: Written, at: Position) -> bool:
    return (written.segment, written.end) <= (at.segment, at.offset)
