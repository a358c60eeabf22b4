"""Everything one lane has for itself, put together; and what it shares with the others."""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from edge.config import ConfigError, SpoolSettings
from edge.core.instant import NS_PER_MS, NS_PER_S
from edge.core.key_index import Page
from edge.core.lane import Lane
from edge.shell.clock import Clock
from edge.shell.meters import Histogram
from edge.shell.spool.budget import Budget
from edge.shell.spool.commit import Commit
from edge.shell.spool.cursor import Position, confirm, load, settle
from edge.shell.spool.disk import Disk, is_full, settle_directory
from edge.shell.spool.home import Home
from edge.shell.spool.intake import Intake, Loop
from edge.shell.spool.key_index import pages
from edge.shell.spool.lane_spool import LaneSpool
from edge.shell.spool.lane_writer import LaneWriter
from edge.shell.spool.recovery import Recovered, outline, recover
from edge.shell.spool.retention import Retention
from edge.shell.spool.room import Room
from edge.shell.spool.segment import Bounds, LaneFiles
from edge.shell.spool.segment_writer import SegmentWriter
from edge.shell.spool.shelf import Holdings, Shelf

log = logging.getLogger(__name__)

_AGE_PARTS: Final = 8
"""A segment is followed after an eighth of the dedupe window: so retention overshoots by no
more, and a quiet lane's records do not lie in an open segment for ever."""


@dataclass(frozen=True, slots=True)
class LaneStatistics:
    """One lane in figures.

    Attributes:
        holdings: What is on disk.
        room_bytes: How many more may wait, as far as the settings go.
        records_at_start: Waiting when the spool was opened.
        quarantined: Damaged frames that were passed since.
        failed_syncs: Commits and segments that could not be written or synced since.
        failed_cursors: Writes of the cursor that failed since; each is tried again.
        late_durable: Records whose waiters were told that it takes too long, durable later.
        torn_bytes: Of a write that a crash cut off; never accepted, dropped at the start.
        is_writable: False from the second failure in a row until the disk works again.
        complaint: What failed last; ``""`` when nothing has.
        sync_seconds: How long writing and syncing a commit takes.
    """

    holdings: Holdings
    room_bytes: int
    records_at_start: int
    quarantined: int
    failed_syncs: int
    failed_cursors: int
    late_durable: int
    torn_bytes: int
    is_writable: bool
    complaint: str
    sync_seconds: Histogram


@dataclass(frozen=True, slots=True)
class Hull:
    """What the lanes of one process share."""

    settings: SpoolSettings
    clock: Clock
    disk: Disk
    entropy: Callable[[int], bytes]
    bounds: Bounds
    budget: Budget
    room: Room


class Bulkhead:
    """One lane: its files, its reader, its writer and the writer's thread.

    Args:
        lane: Which.
        directory: ``<spool>/<worker>/<lane>``.
        hull: What it shares.

    Raises:
        ConfigError: The disk is so full that what is on it cannot be made trustworthy.
        OSError: The directory cannot be read or written.
        UnknownVersion: Another version of the gateway wrote some of it.

    Attributes:
        shelf: What is on disk.
        reader: The forwarder's side.
        intake: The loop's side.
        writer: The thread's.
    """

    def __init__(self, lane: Lane, directory: Path, hull: Hull) -> None:
        settings = hull.settings
        self._budget: Final = hull.budget
        settle_directory(hull.disk, directory)
        self._files: Final = LaneFiles(Home(hull.disk, directory), directory)
        self._entries_max: Final = settings.dedupe_entries_max
        cursor = load(self._files)
        _keep(hull.room, partial(confirm, self._files))  # before anything is deleted behind it
        self._found: Final = _recover(self._files, hull.room)
        _keep(hull.room, partial(settle, self._files, self._found.cursor))
        _tell(lane, self._found, cursor)
        self.shelf: Final = Shelf(
            self._found.segments,
            self._found.cursor,
            self._found.oldest_waiting_ms,
            hull.bounds.fresh_bytes_max,
        )
        waiting = self.shelf.holdings()
        self._records_at_start: Final = waiting.records_waiting
        hull.budget.found(lane, waiting.bytes_waiting)
        retention = Retention(self._files, self.shelf, settings, hull.clock)
        hull.room.holders[lane] = retention
        self.reader: Final = LaneSpool(
            self._files,
            self.shelf,
            lane=lane,
            retention=retention,
            budget=hull.budget,
            room=hull.room,
        )
        self.intake: Final = Intake(
            lane, hull.budget, hull.bounds, sync_timeout_s=settings.sync_timeout_s
        )
        hull.room.doors.append(self.intake)
        segments = SegmentWriter(
            self._files,
            self.shelf,
            self._found,
            entropy=hull.entropy,
            bytes_max=hull.bounds.segment_bytes_max,
            age_ms_max=settings.dedupe_window_s * (NS_PER_S // NS_PER_MS) // _AGE_PARTS,
        )
        self.writer: Final = LaneWriter(segments, self.intake, hull.room, hull.clock)
        self._thread: Final = threading.Thread(
            target=self.writer.run, name=f"spool-{lane.value}", daemon=True
        )

    def pages(self) -> Iterator[Page]:
        """Read what recall needs of what was found on disk, oldest first."""
        return pages(self._files, self._found.segments, self._entries_max)

    def start(self, loop: Loop, on_settled: Callable[[Commit, bool], None]) -> None:
        """Start the writer's thread."""
        self.intake.start(loop, on_settled)
        self._thread.start()

    def stop(self, timeout_s: float) -> bool:
        """Wait for the writer's end; false when it hangs."""
        self.shelf.close()
        if self._thread.ident is None:
            self.writer.run()
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def statistics(self) -> LaneStatistics:
        """Tell every figure. Loop thread; no I/O."""
        return LaneStatistics(
            holdings=self.shelf.holdings(),
            room_bytes=self._budget.room_bytes(self.intake.lane),
            records_at_start=self._records_at_start,
            quarantined=self.reader.quarantined,
            failed_syncs=self.writer.failures,
            failed_cursors=self.reader.failed_cursors,
            late_durable=self.intake.late_durable,
            torn_bytes=self._found.torn_bytes,
            is_writable=self.writer.is_writable,
            complaint=self.writer.complaint,
            sync_seconds=self.intake.sync_seconds,
        )


def _recover(files: LaneFiles, room: Room) -> Recovered:
    """Recover a lane; on a full disk headroom and retained segments make it possible."""
    for make_room in (room.give_headroom, room.free, partial(_retire, files), None):
        try:
            return recover(files)
        except OSError as error:
            if not is_full(error):
                raise
        if make_room is not None:
            make_room()
    complaint = f"{files.directory} needs room for a copy of its last segment: the disk is full"
    raise ConfigError("spool.path", complaint)


def _keep(room: Room, write: Callable[[], None]) -> None:
    """Write a cursor; without room the first acknowledgement that finds some does."""
    try:
        write()
    except OSError as error:
        if not is_full(error):
            raise
        room.give_headroom()
        with contextlib.suppress(OSError):
            write()


def _retire(files: LaneFiles) -> None:
    """Delete the segments that are wholly acknowledged, durably; recall forgets them."""
    seen = outline(files)
    if seen.found == seen.cursor:
        for header in seen.headers[:-1]:
            if Position(header.number, seen.ends[header.number]) <= seen.cursor:
                files.remove(header.number)


def _tell(lane: Lane, found: Recovered, cursor: Position | None) -> None:
    """Leave a trace of what the start had to get over."""
    if found.torn_bytes:
        said = {"lane": lane, "bytes": found.torn_bytes}
        log.warning("torn end of the last segment dropped", extra=said)
    if found.segments and not found.segments[-1].header.edgespool:
        last = found.segments[-1]
        said = {"lane": lane, "segment": last.number, "bytes": last.size_bytes}
        log.warning("last segment has no readable header", extra=said)
    for number, end in found.missing.items():
        said = {"lane": lane, "segment": number, "bytes": end}
        log.error("a segment that waited is missing: its events are lost", extra=said)
    if found.segments and cursor is None:
        said = {"lane": lane, "segment": found.cursor.segment}
        log.warning("cursor missing or damaged: everything goes again", extra=said)
    elif cursor is not None and cursor != found.cursor:
        said = {"lane": lane, "segment": cursor.segment}
        log.warning("cursor ahead of the segments: everything goes again", extra=said)
