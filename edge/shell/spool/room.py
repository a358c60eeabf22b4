"""Where room comes from when the disk, or the spool's share of it, is used up.

In this order: retained segments of the lanes whose memory is worth least, money last; then the
headroom, a file that only takes up space. New headers and cursors then find a place, so a full
disk stops neither forwarding nor deletion. The headroom is made again before events are taken.
"""

import contextlib
import threading
from pathlib import Path
from typing import Final, Protocol

from edge.core.lane import Lane
from edge.shell.spool.disk import Disk
from edge.shell.spool.segment import Bounds

_GIVING_ORDER: Final = (
    Lane.TELEMETRY, Lane.GAME, Lane.PLAYER, Lane.BONUS, Lane.BET, Lane.WALLET,
)  # fmt: skip
"""Whose retained records go first: a twice accepted bet costs more than a twice counted click."""


class Holder(Protocol):
    """A lane that can give up what it only retains."""

    @property
    def bytes_held(self) -> int:
        """Bytes of its records, waiting or retained."""
        ...

    def give_up_oldest(self) -> int:
        """Delete the oldest retained segment; returns its bytes, 0 when there is none."""
        ...


class Room:
    """The disk space of one process. Any thread.

    Args:
        disk: The file system.
        directory: ``<spool>/<worker>``.
        bytes_max: Of all records, waiting or retained.
        bounds: Sizes.

    Attributes:
        holders: The lanes, once they are there.
    """

    def __init__(self, disk: Disk, directory: Path, bytes_max: int, bounds: Bounds) -> None:
        self.holders: Final[dict[Lane, Holder]] = {}
        self._disk: Final = disk
        self._headroom: Final = directory / "headroom"
        self._has_headroom = False
        self._bytes_max: Final = bytes_max
        self._bounds: Final = bounds
        self._lock: Final = threading.Lock()

    def trim(self) -> None:
        """Delete retained segments as long as all lanes together hold too much."""
        while sum(holder.bytes_held for holder in self.holders.values()) > self._bytes_max:
            if not self._give_up_one():
                return

    def free(self) -> None:
        """Make room on a full disk for what must be written all the same."""
        freed = 0
        while freed < self._bounds.headroom_bytes and (size := self._give_up_one()):
            freed += size
        if not freed:
            self.give_headroom()

    def give_headroom(self) -> None:
        """Delete the headroom; where it is gone, or stays, there is nothing more to give."""
        with self._lock, contextlib.suppress(OSError):
            self._has_headroom = False
            self._disk.unlink(self._headroom)

    def restore(self) -> None:
        """Make the headroom, unless it is there.

        Room for one commit must be left beside it: else the lane would open for a single,
        failing commit, close, give up the headroom and so on, every second.

        Raises:
            OSError: There is no room yet.
        """
        with self._lock:
            if self._has_headroom:
                return
            size = self._bounds.headroom_bytes
            try:
                self._disk.resize(self._headroom, size + self._bounds.commit_bytes_max)
                self._disk.resize(self._headroom, size)
            except OSError:
                with contextlib.suppress(OSError):  # what was reserved so far
                    self._disk.unlink(self._headroom)
                raise
            self._has_headroom = True

    def _give_up_one(self) -> int:
        holders = (self.holders[lane] for lane in _GIVING_ORDER if lane in self.holders)
        sizes = (holder.give_up_oldest() for holder in holders)
        return next((size for size in sizes if size), 0)
