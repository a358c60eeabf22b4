"""Where room comes from when the disk, or the spool's share of it, is used up.

A disk is full for all lanes: as soon as one of them meets it, every lane is shut, so that none
fills up with events what is freed, and all are opened together when there is room for the
headroom and a commit. Until then retained segments go, those of the lanes whose memory is worth
least first, money last. Forwarding goes on, because a cursor overwrites itself.

The headroom is a file that only takes up space. It goes when a start must copy a tail, or a
file system cannot overwrite without room; events never get it.
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


class Door(Protocol):
    """Where a lane takes events."""

    def shut(self, *, is_shut: bool) -> None:
        """Turn events away as for a full disk from now on, or no longer for that reason."""
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
        doors: Of the lanes, likewise.
        is_full: The disk was found full, and there has been no room since.
    """

    def __init__(self, disk: Disk, directory: Path, bytes_max: int, bounds: Bounds) -> None:
        self.holders: Final[dict[Lane, Holder]] = {}
        self.doors: Final[list[Door]] = []
        self.is_full = False
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

    def shut(self) -> int:
        """Turn events away from every lane, then give up retained segments for new ones.

        Returns:
            Bytes freed.
        """
        with self._lock:
            self._shut(is_shut=True)
        freed = 0
        while freed < self._bounds.headroom_bytes and (size := self._give_up_one()):
            freed += size
        return freed

    def free(self) -> None:
        """Make room on a full disk for what must be written all the same."""
        if not self.shut():
            self.give_headroom()

    def give_headroom(self) -> None:
        """Delete the headroom; where it is gone, or stays, there is nothing more to give."""
        with self._lock, contextlib.suppress(OSError):
            self._has_headroom = False
            self._disk.unlink(self._headroom)

    def restore(self) -> None:
        """Make the headroom, unless it is there, and open the lanes.

        Room for one commit must be left beside it: else the lanes would open for a single,
        failing commit, every second.

        Raises:
            OSError: There is no room yet.
        """
        with self._lock:
            if self._has_headroom and not self.is_full:
                return
            size = self._bounds.headroom_bytes
            found = self._disk.files(self._headroom.parent).get(self._headroom.name, 0)
            try:
                self._disk.resize(self._headroom, size + self._bounds.commit_bytes_max)
                self._disk.resize(self._headroom, size)
            except OSError:
                with contextlib.suppress(OSError):  # what was reserved so far
                    if found < size:
                        self._disk.unlink(self._headroom)
                    else:
                        self._disk.resize(self._headroom, size)
                raise
            self._has_headroom = True
            self._shut(is_shut=False)

    def _shut(self, *, is_shut: bool) -> None:
        self.is_full = is_shut
        for door in self.doors:
            door.shut(is_shut=is_shut)

    def _give_up_one(self) -> int:
        holders = (self.holders[lane] for lane in _GIVING_ORDER if lane in self.holders)
        sizes = (holder.give_up_oldest() for holder in holders)
        return next((size for size in sizes if size), 0)
