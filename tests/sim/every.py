"""Short traces, completely: each order of a few steps, a death at each call, all that it leaves.

Theory of operation
-------------------
One lane. A trace is a word over three letters: a client sends something new, the writer writes
what was sent (and the loop turns), the forwarder does a round; only words in which each letter
has something to do. In each trace the process dies at one call of the disk, or at none: killed,
or with the power; before that one call may fail. Then every state that the disk may be in is
tried, each to the end: started again on it, everything mended and drained, all rules checked.
What is tried is a tree of choices, walked by :class:`tests.sim.chance.Every`.
"""

import errno
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.config import SpoolSettings
from edge.core.lane import Lane
from edge.shell.spool.segment import Bounds
from tests.sim.bugs import Bugs
from tests.sim.chance import Dice, Every
from tests.sim.disk import Cut, SimDisk
from tests.sim.weather import CALM
from tests.sim.world import Tell, World

LANE: Final = Lane.WALLET
_ERRORS: Final = frozenset({"write", "sync", "sync_directory", "rename", "create", "overwrite"})
"""Calls that may fail: what they leave is a choice, too."""

_SETTINGS: Final = SpoolSettings(bytes_max=1 << 20, reserve_bytes=0, dedupe_entries_max=100)
_BOUNDS: Final = Bounds(
    segment_bytes_max=1000,
    commit_bytes_max=4000,
    commit_records_max=8,
    fresh_bytes_max=0,
    headroom_bytes=0,
)
"""One or two records to a segment, so that short traces fill some."""

_PAGE_BYTES: Final = 512
"""A disk's sector. A record has two or three, and a commit a few: each in three ways, and so many
sizes."""


@dataclass
class Tree:
    """All ways of all traces of a length.

    Attributes:
        length: Steps of a trace.
        errors: Calls that fail on each way, at most.
        ways: How many were tried so far.
        deaths: In how many of them a process died.
        trace: The last of them, in words.
    """

    length: int
    errors: int = 0
    ways: int = 0
    deaths: int = 0
    trace: list[str] = field(default_factory=list[str])

    def walk(self, root: Path, bugs: Bugs) -> None:
        """Try them all; on a stage, on a loop.

        Raises:
            Violation: A rule was broken, on the last way.
        """
        every = Every()
        for _ in every.ways():
            self.ways += 1
            self.trace.clear()
            _Story(every, self.errors, root, bugs, self.trace.append).play(self)


class _Story:
    """One way."""

    def __init__(self, every: Every, errors: int, root: Path, bugs: Bugs, tell: Tell) -> None:
        self._every = every
        self._errors = errors
        self._is_mortal = False
        self._letters = "s"
        self._world = World(
            Dice(0),
            root,
            bugs=bugs,
            lanes=(LANE,),
            temper=CALM,
            settings=_SETTINGS,
            bounds=_BOUNDS,
            tell=tell,
            disk=SimDisk(every, _PAGE_BYTES),
        )
        self._world.is_lively = False
        self._world.disk.before = self._before

    def play(self, tree: Tree) -> None:
        """Take the steps, die or not, and look what has arrived."""
        self._is_mortal = True
        try:
            for _ in range(tree.length):
                self._step(self._letters[self._every.below(len(self._letters))])
        except Cut:
            tree.deaths += 1
            self._world.die(has_power=not self._every.below(2))
        self._is_mortal = False
        self._world.finish()

    def _step(self, letter: str) -> None:
        """Take a step; learn which may be next."""
        world = self._world
        match letter:
            case "s":
                world.send(world.clients.new(LANE, world.clock.now()))
                self._letters = "".join(sorted({*self._letters, "w"}))
            case "w":
                world.write(LANE)
                world.turn()
                self._letters = "fs"
            case _:
                world.forward(LANE)
                self._letters = self._letters.replace("f", "")

    def _before(self, call: str, path: Path) -> OSError | None:
        del path
        if not self._is_mortal:
            return None
        fate = self._every.below(3 if self._errors and call in _ERRORS else 2)
        if fate == 1:
            self._is_mortal = False
            raise Cut
        if fate:
            self._errors -= 1
            self._world.weather.faults += 1
            return OSError(errno.EIO, "planned")
        return None
