"""What kind of world a seed makes, and how its disk fails."""

import errno
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.config import SpoolSettings
from edge.shell.spool.segment import Bounds
from tests.sim.chance import Dice
from tests.sim.disk import Cut

HANG_S: Final = 6.0
"""Longer than ``sync_timeout_s``."""

SYNC_TIMEOUT_S: Final = 5

_CHANGING: Final = frozenset(
    {
        "write",
        "sync",
        "sync_directory",
        "rename",
        "create",
        "overwrite",
        "unlink",
        "resize",
        "make_directory",
        "write_unsynced",
    }
)
_LOCKED: Final = "headroom"
"""Calls about this file are made under a lock: nobody else goes on meanwhile."""

_YIELDING: Final = frozenset({"write", "sync", "sync_directory", "overwrite", "read"})
"""Calls that take long enough for others to do something."""


@dataclass(frozen=True, slots=True)
class Temper:
    """What kind of world it is.

    Attributes:
        cut: How often a death is arranged, per step.
        io_error: How often a call that changes the disk fails.
        unreadable: How often a read fails for want of a descriptor.
        hang: How often a sync takes longer than anybody waits.
        has_full_disk: Whether room runs out.
        has_damage: Whether bits of sealed segments flip, and pages of them are lost.
        has_outages: Whether the origin fails.
        poison: How many of the claims it will never take.
    """

    cut: float = 0.0
    io_error: float = 0.0
    unreadable: float = 0.0
    hang: float = 0.0
    has_full_disk: bool = False
    has_damage: bool = False
    has_outages: bool = False
    poison: float = 0.0


CALM: Final = Temper()


def draw_temper(dice: Dice) -> Temper:
    """Draw a kind of world: most have few troubles, so that each has room to work."""
    return Temper(
        cut=dice.choice((0.0, 0.01, 0.03, 0.06)),
        io_error=dice.choice((0.0, 0.0, 0.005, 0.03)),
        unreadable=dice.choice((0.0, 0.0, 0.02)),
        hang=dice.choice((0.0, 0.0, 0.01)),
        has_full_disk=dice.below(4) == 0,
        has_damage=dice.below(5) == 0,
        has_outages=dice.below(3) > 0,
        poison=dice.choice((0.0, 0.0, 0.05)),
    )


def draw_settings(dice: Dice, root: Path) -> SpoolSettings:
    """Draw bounds: wide, or so tight that all of them are met."""
    return SpoolSettings(
        path=str(root),
        bytes_max=dice.choice((1 << 20, 40_000)),
        lane_share_max=0.6,
        reserve_bytes=4000,
        retained_bytes_max=dice.choice((1 << 20, 5000)),
        dedupe_window_s=dice.choice((86_400, 86_400, 60)),
        dedupe_entries_max=dice.choice((400, 400, 12)),
        sessions_max=100,
        sync_timeout_s=SYNC_TIMEOUT_S,
    )


def draw_bounds(dice: Dice) -> Bounds:
    """Draw sizes: a handful of records to a segment, and to a commit."""
    return Bounds(
        segment_bytes_max=dice.choice((1600, 4000)),
        commit_bytes_max=1500,
        commit_records_max=4,
        fresh_bytes_max=dice.choice((0, 1500, 1 << 20)),
        headroom_bytes=2000,
    )


class Weather:
    """What the disk does at each call, as :attr:`SimDisk.before`.

    Args:
        dice: Decide.
        temper: How often.
        meanwhile: Called where a call takes long: others go on.
        hang: Called where it takes longer than anybody waits.

    Attributes:
        temper: May change.
        cut_in: After so many calls the process dies; ``None``: it does not.
        faults: How often a call was made to fail.
    """

    def __init__(
        self,
        dice: Dice,
        temper: Temper,
        meanwhile: Callable[[], None],
        hang: Callable[[], None],
    ) -> None:
        self.temper = temper
        self.cut_in: int | None = None
        self.faults = 0
        self._dice = dice
        self._meanwhile = meanwhile
        self._hang = hang

    def before(self, call: str, path: Path) -> OSError | None:
        """Let a call go on, fail, hang, or be the last."""
        if self.cut_in is not None:
            self.cut_in -= 1
            if self.cut_in < 0:
                self.cut_in = None
                raise Cut
        if call in _YIELDING and path.name != _LOCKED:
            self._meanwhile()
        temper = self.temper
        if call in _CHANGING:
            if call == "sync" and temper.hang and self._dice.random() < temper.hang:
                self._hang()
            if temper.io_error and self._dice.random() < temper.io_error:
                self.faults += 1
                return OSError(errno.EIO, "planned")
        elif temper.unreadable and self._dice.random() < temper.unreadable:
            self.faults += 1
            return OSError(errno.EMFILE, "planned")
        return None
