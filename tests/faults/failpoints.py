"""Named points of the gateway at which it can be made to kill itself, wired from outside.

In: production classes; out: the same classes, whose methods pass named points. The object that
runs in production has no call for them: :mod:`tests.faults.launcher` wraps the methods of those
classes before it lets ``edge`` run, in a process of its own.

A point lies before, in the midst of, or behind one call. "In the midst" of a write means that
half of its bytes were written, and that is where the process ends.
"""

import enum
import functools
import itertools
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeAlias

from edge.core.frame import Header
from edge.shell.dead import DEAD_DIRECTORY, TALLY_FILE, DeadLetters
from edge.shell.forward import Forwarder
from edge.shell.spool.claim import Lock
from edge.shell.spool.commit import Commit
from edge.shell.spool.cursor import CursorFile
from edge.shell.spool.disk import OsDisk, OsOutput, Output
from edge.shell.spool.process import LOCK_NAME, Spool
from edge.shell.spool.segment import INDEX_SUFFIX, LaneFiles
from origin_client.http import HttpOrigin
from origin_client.kafka import KafkaOrigin
from origin_client.log import LogOrigin

# Methods of any signature; what a wrapper is put around is checked where it is called.
Method: TypeAlias = Callable[..., Any]


class Point(enum.Enum):
    """Where the gateway can be killed; the value is its name on the command line.

    Written in the order in which a life passes them.
    """

    START_LOCKED = "start-locked"
    COPY_HALF = "copy-half"
    COPY_WRITTEN = "copy-written"
    COPY_RENAMED = "copy-renamed"
    COPY_NAMED = "copy-named"
    START_RECOVERED = "start-recovered"
    HEADROOM_BEFORE = "headroom-before"
    HEADROOM_MADE = "headroom-made"
    SEGMENT_HALF = "segment-half"
    SEGMENT_WRITTEN = "segment-written"
    SEGMENT_RENAMED = "segment-renamed"
    SEGMENT_NAMED = "segment-named"
    COMMIT_BEFORE = "commit-before"
    COMMIT_HALF = "commit-half"
    COMMIT_SYNCED = "commit-synced"
    COMMIT_REPORTED = "commit-reported"
    INDEX_HALF = "index-half"
    INDEX_WRITTEN = "index-written"
    INDEX_RENAMED = "index-renamed"
    PUBLISH_BEFORE = "publish-before"
    PUBLISH_DONE = "publish-done"
    LETTERS_HALF = "letters-half"
    LETTERS_WRITTEN = "letters-written"
    LETTERS_RENAMED = "letters-renamed"
    LETTERS_BURIED = "letters-buried"
    CURSOR_BEFORE = "cursor-before"
    CURSOR_HALF = "cursor-half"
    CURSOR_WRITTEN = "cursor-written"
    CURSOR_STORED = "cursor-stored"
    UNLINK_BEFORE = "unlink-before"
    UNLINK_DONE = "unlink-done"
    DRAIN_BEGUN = "drain-begun"
    DRAIN_FLUSHED = "drain-flushed"
    DRAIN_CLOSED = "drain-closed"


ON_THE_WAY_OUT: Final = frozenset({Point.DRAIN_BEGUN, Point.DRAIN_FLUSHED, Point.DRAIN_CLOSED})
"""Passed only after SIGTERM."""


class Trap:
    """Ends the process when one point is passed for the n-th time; any thread.

    Args:
        point: Which.
        passes: From 1.
    """

    def __init__(self, point: Point, passes: int) -> None:
        self._point: Final = point
        self._left: Final = itertools.count(passes - 1, -1)

    def is_sprung(self, point: Point) -> bool:
        """Count a pass; whether this is the one."""
        return point is self._point and next(self._left) == 0

    def at(self, point: Point) -> None:
        """Pass *point*, or end here."""
        if self.is_sprung(point):
            end()


def end() -> None:
    """Kill the process; nothing of it runs behind this line."""
    os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def around(owner: type, name: str, wrapper: Method) -> None:
    """Put *wrapper* around a method; it is called with the method and its arguments."""
    method: Method = getattr(owner, name)

    @functools.wraps(method)
    def wrapped(*args: Any, **named: Any) -> Any:  # any method
        return wrapper(method, *args, **named)

    setattr(owner, name, wrapped)


class _Wiring:
    """All points of one process.

    Args:
        trap: What they lead to.
    """

    def __init__(self, trap: Trap) -> None:
        self._trap = trap
        self._purposes: dict[int, str] = {}
        self._begun = threading.local()  # a temporary name does not tell what it is for

    def wire(self) -> None:
        """Put every point in place."""
        around(LaneFiles, "begin", self._begin)
        around(OsDisk, "create", self._create)
        around(OsOutput, "write", self._write)
        around(OsDisk, "rename", self._rename)
        around(OsDisk, "overwrite", self._overwrite)
        around(OsDisk, "write_unsynced", self._write_unsynced)
        around(OsDisk, "unlink", self._unlink)
        around(OsDisk, "resize", self._resize)
        around(Lock, "__init__", self._lock)
        self._behind(CursorFile, "store", Point.CURSOR_STORED)
        self._behind(Spool, "start", Point.START_RECOVERED)
        self._behind(Commit, "settle", Point.COMMIT_REPORTED)
        self._behind(DeadLetters, "bury", Point.LETTERS_BURIED)
        self._behind(Forwarder, "begin_drain", Point.DRAIN_BEGUN)
        self._behind(Spool, "flush", Point.DRAIN_FLUSHED)
        self._behind(Spool, "close", Point.DRAIN_CLOSED)
        for origin in (LogOrigin, KafkaOrigin, HttpOrigin):
            around(origin, "publish", self._publish)

    def _behind(self, owner: type, name: str, point: Point) -> None:
        """Have *point* passed behind a method that did not fail."""

        def wrapper(method: Method, *args: Any, **named: Any) -> Any:  # any method
            result = method(*args, **named)
            self._trap.at(point)
            return result

        around(owner, name, wrapper)

    def _begin(
        self, begin: Method, files: LaneFiles, header: Header, content: bytes = b""
    ) -> Output:
        purpose = self._begun.purpose = "copy" if content else "segment"
        try:
            output: Output = begin(files, header, content)
        finally:
            self._begun.purpose = ""
        self._trap.at(Point(f"{purpose}-named"))
        self._purposes[self._begun.made] = "commit"  # *output* may be wrapped around it
        return output

    def _create(self, create: Method, disk: OsDisk, path: Path) -> Output:
        output: Output = create(disk, path)
        self._begun.made = id(output)
        self._purposes[id(output)] = self._purpose(path)
        return output

    def _write(self, write: Method, output: OsOutput, content: bytes) -> None:
        purpose = self._purposes.get(id(output), "")
        if not purpose:
            write(output, content)
            return
        if purpose == "commit":
            self._trap.at(Point.COMMIT_BEFORE)
        if self._trap.is_sprung(Point(f"{purpose}-half")):
            write(output, content[: len(content) // 2])
            end()
        write(output, content)
        self._trap.at(
            Point.COMMIT_SYNCED if purpose == "commit" else Point(f"{purpose}-written")
        )

    def _rename(self, rename: Method, disk: OsDisk, source: Path, target: Path) -> None:
        rename(disk, source, target)
        purpose = "index" if target.suffix == INDEX_SUFFIX else self._purpose(target)
        if purpose:
            self._trap.at(Point(f"{purpose}-renamed"))

    def _overwrite(
        self, overwrite: Method, disk: OsDisk, path: Path, offset: int, content: bytes
    ) -> None:
        if path.name != "cursor":
            overwrite(disk, path, offset, content)
            return
        self._trap.at(Point.CURSOR_BEFORE)
        if self._trap.is_sprung(Point.CURSOR_HALF):
            overwrite(disk, path, offset, content[: len(content) // 2])
            end()
        overwrite(disk, path, offset, content)
        self._trap.at(Point.CURSOR_WRITTEN)

    def _write_unsynced(
        self, write_unsynced: Method, disk: OsDisk, path: Path, content: bytes
    ) -> None:
        if self._trap.is_sprung(Point.INDEX_HALF):
            write_unsynced(disk, path, content[: len(content) // 2])
            end()
        write_unsynced(disk, path, content)
        self._trap.at(Point.INDEX_WRITTEN)

    def _unlink(self, unlink: Method, disk: OsDisk, path: Path) -> None:
        is_segment = path.suffix == ".seg"
        if is_segment:
            self._trap.at(Point.UNLINK_BEFORE)
        unlink(disk, path)
        if is_segment:
            self._trap.at(Point.UNLINK_DONE)

    def _resize(self, resize: Method, disk: OsDisk, path: Path, size: int) -> None:
        is_headroom = path.name == "headroom"
        if is_headroom:
            self._trap.at(Point.HEADROOM_BEFORE)
        resize(disk, path, size)
        if is_headroom:
            self._trap.at(Point.HEADROOM_MADE)

    def _lock(self, take: Method, lock: Lock, path: Path, wait_s: float) -> None:
        take(lock, path, wait_s)
        if path.name == LOCK_NAME and path.parent.name != DEAD_DIRECTORY:
            self._trap.at(Point.START_LOCKED)

    def _publish(self, publish: Method, *args: Any) -> Any:  # as Origin.publish
        self._trap.at(Point.PUBLISH_BEFORE)
        refusals = publish(*args)
        self._trap.at(Point.PUBLISH_DONE)
        return refusals

    def _purpose(self, path: Path) -> str:
        if path.parent.name == DEAD_DIRECTORY and path.name != TALLY_FILE:
            return "letters"
        found: str = getattr(self._begun, "purpose", "")
        return found


def wire(trap: Trap) -> None:
    """Put every named point of this process in place."""
    _Wiring(trap).wire()
