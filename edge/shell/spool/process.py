"""The spool of one process: every lane, put together, under one lock."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from edge.config import ConfigError, SpoolSettings
from edge.core.frame import UnknownVersion
from edge.core.key_index import Page
from edge.core.lane import Lane
from edge.core.record import Record
from edge.shell.clock import Clock, SystemClock
from edge.shell.spool.budget import Budget
from edge.shell.spool.bulkhead import Bulkhead, Hull, LaneStatistics
from edge.shell.spool.claim import (
    Identity,
    Lock,
    SpoolLocked,
    identify,
    unknown_format,
    volatile,
)
from edge.shell.spool.commit import Commit
from edge.shell.spool.disk import Disk, OsDisk, settle_directory
from edge.shell.spool.intake import Loop
from edge.shell.spool.lane_spool import LaneSpool
from edge.shell.spool.room import Room
from edge.shell.spool.segment import Bounds

log = logging.getLogger(__name__)

LOCK_NAME: Final = "lock"
_WORKER: Final = "0"
_SETTING: Final = "spool.path"
_BOUNDS: Final = Bounds()


def worker_directory(settings: SpoolSettings) -> Path:
    """Tell which directory the process takes: all it writes of the spool is in there."""
    return Path(settings.path).absolute() / _WORKER


class Spool:
    """All lanes of one process.

    Attributes:
        secret: 32 random bytes stored with the spool, for keyed hashes.
        has_forgotten: There are records whose hashes were made with a secret that is lost.
        budget: The bytes that wait.
        room: On the disk.
    """

    def __init__(
        self,
        locks: Sequence[Lock],
        identity: Identity,
        hull: Hull,
        lanes: dict[Lane, Bulkhead],
    ) -> None:
        self.secret: Final = identity.secret
        self.has_forgotten: Final = identity.is_new and any(
            bulkhead.reader.oldest_ms() is not None for bulkhead in lanes.values()
        )
        self._locks: Final = locks
        self._lanes: Final = lanes
        self._intakes: Final = {lane: bulkhead.intake for lane, bulkhead in lanes.items()}
        self.budget: Final = hull.budget
        self.room: Final = hull.room
        self._stop_timeout_s: Final = hull.settings.sync_timeout_s

    @classmethod
    def open(
        cls,
        settings: SpoolSettings,
        *,
        clock: Clock | None = None,
        disk: Disk | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
        bounds: Bounds = _BOUNDS,
    ) -> "Spool":
        """Take the directory, recover every lane, begin a new run in each. Blocking.

        Raises:
            ConfigError: The directory cannot be written, has another format, or lies on a
                file system that keeps no promise. Nothing was overwritten.
            SpoolLocked: Another process still has it after ``lock_wait_s``.
        """
        directory = worker_directory(settings)
        root = directory.parent
        disk = disk or OsDisk()
        locks: list[Lock] = []
        try:
            _ground(disk, directory, is_volatile_allowed=settings.allow_volatile)
            locks.append(Lock(directory / LOCK_NAME, settings.lock_wait_s))
            locks.append(Lock(directory, settings.lock_wait_s))
            identity = identify(disk, directory / "id", entropy)
            budget, room = Budget(settings), Room(disk, directory, settings.bytes_max, bounds)
            hull = Hull(settings, clock or SystemClock(), disk, entropy, bounds, budget, room)
            lanes = _lanes(directory, hull)
        except (OSError, UnknownVersion, ConfigError, SpoolLocked) as error:
            _release(locks)
            if isinstance(error, ConfigError | SpoolLocked):
                raise
            if isinstance(error, UnknownVersion):
                raise ConfigError(_SETTING, unknown_format(root, error.version)) from error
            raise ConfigError(_SETTING, f"{root} is not writable: {error}") from error
        return cls(locks, identity, hull, lanes)

    def pages(self, lane: Lane) -> Iterator[Page]:
        """Read what recall needs of what was found on disk, oldest first.

        Before :meth:`start` only. Nothing, if it ``has_forgotten``: no
        event would ever be found by those hashes.

        Raises:
            ConfigError: Some of it cannot be read now.
        """
        if self.has_forgotten:
            return
        try:
            yield from self._lanes[lane].pages()
        except OSError as error:
            raise ConfigError(_SETTING, f"cannot be read: {error}") from error

    def start(self, loop: Loop, on_settled: Callable[[Commit, bool], None]) -> None:
        """Start the writers; from now on records can be appended.

        Args:
            loop: The running loop.
            on_settled: Called there with each commit and whether it held: in their order
                within a lane, and before any of its waiters wakes.
        """
        for bulkhead in self._lanes.values():
            bulkhead.start(loop, on_settled)

    def append(self, lane: Lane, record: Record) -> Commit:
        """Add a record to the lane's next commit; no I/O. Loop thread.

        Raises:
            Reject: LANE_FULL, LANE_FAILED.
        """
        return self._intakes[lane].append(record)

    def lane(self, lane: Lane) -> LaneSpool:
        """Give the lane's forwarder its side."""
        return self._lanes[lane].reader

    def statistics(self) -> dict[Lane, LaneStatistics]:
        """Tell every figure, by lane. Loop thread; no I/O."""
        return {lane: bulkhead.statistics() for lane, bulkhead in self._lanes.items()}

    def flush(self) -> bool:
        """Wait until all that was appended is reported; false after a sync timeout.

        Not on the loop.
        """
        deadline_s = time.monotonic() + self._stop_timeout_s
        waits = (i.flush(max(0, deadline_s - time.monotonic())) for i in self._intakes.values())
        return all(waits)

    def close(self) -> None:
        """Sync what is pending, stop the writers, release the lock. Not on the loop.

        The loop must still run: what is pending is settled there. A sync that hangs is left
        to the end of the process, and so is the lock.
        """
        for intake in self._intakes.values():
            intake.close()
        deadline_s = time.monotonic() + self._stop_timeout_s
        stopped = [
            bulkhead.stop(max(0, deadline_s - time.monotonic()))
            for bulkhead in self._lanes.values()
        ]
        if all(stopped):
            _release(self._locks)


def _release(locks: Sequence[Lock]) -> None:
    for lock in locks:
        lock.release()


def _ground(disk: Disk, directory: Path, *, is_volatile_allowed: bool) -> None:
    """Make the directory that is going to be locked, on a disk that keeps what it promises."""
    root = directory.parent
    settle_directory(disk, root)
    kind = volatile(root)
    if kind and not is_volatile_allowed:
        complaint = (
            f"{root} is on {kind}, which keeps no promise; allow_volatile = true if meant"
        )
        raise ConfigError(_SETTING, complaint)
    if kind:
        log.warning("the spool may lose accepted events", extra={"file_system": kind})
    settle_directory(disk, directory)


def _lanes(directory: Path, hull: Hull) -> dict[Lane, Bulkhead]:
    lanes = {lane: Bulkhead(lane, directory / lane.value, hull) for lane in Lane}
    for bulkhead in lanes.values():
        bulkhead.writer.begin()
        if not bulkhead.writer.is_writable:
            complaint = f"{directory} is not writable: {bulkhead.writer.complaint}"
            raise ConfigError(_SETTING, complaint)
    return lanes
