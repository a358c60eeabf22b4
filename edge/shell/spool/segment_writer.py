"""The one file of a lane that is being written: numbered records in, synced frames out.

It owns the descriptor, the numbers, and when one segment follows another. A full segment's key
index is written after the commit that the next one began with is reported.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final
from uuid import UUID

from edge.core.frame import ROW, Header, encode, seed
from edge.core.record import Record
from edge.shell.spool import key_index
from edge.shell.spool.cursor import Position
from edge.shell.spool.fresh import Written
from edge.shell.spool.recovery import Recovered
from edge.shell.spool.segment import LaneFiles, Segment
from edge.shell.spool.shelf import Shelf

if TYPE_CHECKING:
    from edge.shell.spool.disk import Output

_ROW_BYTES: Final = ROW.stop - ROW.start


class SegmentWriter:
    """One lane's last segment. One thread.

    After any ``OSError`` only :meth:`abandon` and then :meth:`begin_run` may be called.

    Args:
        files: The lane's directory.
        shelf: Shown whatever is synced.
        found: What was there before.
        entropy: Gives random bytes, for the UUID of each run.
        bytes_max: Of a segment.
        age_ms_max: Of a segment's first record, before the next segment follows.
    """

    def __init__(
        self,
        files: LaneFiles,
        shelf: Shelf,
        found: Recovered,
        *,
        entropy: Callable[[int], bytes],
        bytes_max: int,
        age_ms_max: int,
    ) -> None:
        self._files: Final = files
        self._shelf: Final = shelf
        self._entropy: Final = entropy
        self._bytes_max: Final = bytes_max
        self._age_ms_max: Final = age_ms_max
        self._number_next = found.number_next
        self._segment = found.segments[-1] if found.segments else None
        self._output: Output | None = None
        self._edgespool = ""
        self._seed = 0
        self._seq_next = 1
        self._rows: bytearray | None = None
        """For the key index of the segment; ``None``: there is none of ours, or it is to go. A
        twelfth of the segment's bytes, for events of 1 KiB."""
        self._unindexed: tuple[Segment, bytearray] | None = None
        """The segment before, and its rows, until :meth:`index`, or the segment after this one."""

    @property
    def is_open(self) -> bool:
        """Whether there is a segment to write to."""
        return self._output is not None

    def begin_run(self) -> None:
        """Number records anew, in a new segment.

        Raises:
            OSError: There is no such segment; try again.
        """
        self._edgespool = str(UUID(bytes=self._entropy(16), version=4))
        self._seed = seed(self._edgespool)
        self._seq_next = 1
        self._begin_segment()

    def write(self, records: Sequence[Record], now_ms: int) -> None:
        """Return when all *records* are on stable storage, in order.

        Args:
            records: At least one.
            now_ms: Unix ms.

        Raises:
            OSError: None of them counts.
        """
        frames = [encode(r, n, self._seed) for n, r in enumerate(records, self._seq_next)]
        content = b"".join(frames)
        self.follow(now_ms, len(content))
        assert self._output is not None
        self._output.write(content)
        self._output.sync()
        assert self._segment is not None
        assert self._rows is not None
        # First: an index without a record that counts would have recall forget it.
        self._rows += b"".join([frame[ROW] for frame in frames])
        number, start = self._segment.number, self._segment.end
        written = Written(number, start, start + len(content), self._seq_next, records)
        self._seq_next += len(records)
        self._shelf.grow(
            len(content), len(records), records[0].accepted_ms, records[-1].accepted_ms
        )
        # Last: what can be read must be what the shelf counts, or it is counted for ever.
        self._shelf.fresh.add(written)

    def follow(self, now_ms: int, size_bytes: int = 0) -> None:
        """Begin the next segment if this one is old, or has no room for *size_bytes*.

        Raises:
            OSError: The next one is not there.
        """
        segment = self._segment
        assert segment is not None, "begin_run comes first"
        if segment.oldest_ms is None:
            return
        is_old = now_ms - segment.oldest_ms > self._age_ms_max
        if is_old or segment.end + size_bytes > self._bytes_max:
            self._begin_segment()

    def index(self) -> None:
        """Leave the key index of the segment before this one, if that is still to be done."""
        if self._unindexed is None:
            return
        segment, rows = self._unindexed
        self._unindexed = None
        key_index.write(self._files, segment, rows)
        # Its segment may have been removed before there was an index to remove with it.
        held = self._shelf.find(Position(segment.number))
        if held is None or held.header.number != segment.number:
            self._files.remove(segment.number)

    def abandon(self) -> None:
        """Close the descriptor; it is not synced, neither now nor ever again."""
        if self._output is not None:
            self._output.close()
            self._output = None
            self._shelf.seal()

    def leave(self) -> bool:
        """Close a segment of which nothing waits, so that its room can be given up.

        Returns:
            Whether it was closed.
        """
        is_idle = self.is_open and not self._shelf.holdings().bytes_waiting
        if is_idle and self._segment is not None and self._segment.size_bytes:
            self.abandon()
            self._rows = None  # an index would outlive what is about to go
            return True
        return False

    def _begin_segment(self) -> None:
        before = self._segment
        header = Header(
            number=self._number_next,
            edgespool=self._edgespool,
            seq_first=self._seq_next,
            predecessor=before.number if before else 0,
            predecessor_end=before.end if before else 0,
        )
        self._number_next += 1
        output = self._files.begin(header)
        self.abandon()
        self._output = output
        self._segment = Segment(header)
        self._shelf.add(self._segment)
        rows, self._rows = self._rows, bytearray()
        if before is not None and rows:
            del rows[before.records * _ROW_BYTES :]  # what was written, and then did not count
            self.index()
            self._unindexed = before, rows
