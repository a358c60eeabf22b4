"""One lane on a fake disk, driven step by step without threads; shared by the spool's tests."""

import contextlib
import itertools
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from edge.config import SpoolSettings
from edge.core.key_index import Page
from edge.core.lane import Lane
from edge.core.record import Footprint, Record
from edge.shell.spool.budget import Budget
from edge.shell.spool.bulkhead import Bulkhead, Hull
from edge.shell.spool.commit import Commit
from edge.shell.spool.cursor import Position
from edge.shell.spool.disk import Disk
from edge.shell.spool.fresh import Fresh
from edge.shell.spool.lane_spool import LaneSpool, Quarantined, Stored
from edge.shell.spool.room import Room
from edge.shell.spool.segment import Bounds
from tests.fakes import NOW, FakeClock
from tests.fakes_disk import FakeDisk

ROOT = Path("/spool/0")
LANE = Lane.BET
NOW_MS = NOW.unix_ns // 1_000_000
SMALL = Bounds(
    segment_bytes_max=1200,
    commit_bytes_max=900,
    commit_records_max=6,
    fresh_bytes_max=0,
    headroom_bytes=3000,
)
"""About eight records to a segment, and all are read from the disk."""


def record(index: int, *, accepted_ms: int = NOW_MS, padding: int = 0) -> Record:
    """Make the *index*-th event; its envelope tells which it is, in a size that does not."""
    return Record(
        key=b"player-%d" % (index % 3),
        accepted_ms=accepted_ms,
        footprint=Footprint(time_ms=index, id_key=index + 1, digest=index + 2),
        envelope=b'{"index":%d,"padding":"%s"}'
        % (index, b"x" * (padding + 5 - len(str(index)))),
    )


def indexes(pages: Iterable[Page]) -> list[int]:
    """Tell which of them recall learns of."""
    return [key - 1 for page in pages if page.entries for key in page.entries.keys]


_COUNTER = itertools.count(1)


def counted(size: int) -> bytes:
    """Entropy that counts up, so that no two runs share a UUID."""
    return next(_COUNTER).to_bytes(size, "big")


@dataclass
class FakeLoop:
    """An event loop whose time is moved by hand; what is called soon is called at once."""

    now_s: float = 0.0
    timers: list[tuple[float, Callable[[], object]]] = field(
        default_factory=list[tuple[float, Callable[[], object]]]
    )

    def time(self) -> float:
        """Its own clock."""
        return self.now_s

    def call_at(self, when: float, callback: Callable[[], object], /) -> object:
        """Remember for :meth:`pass_time`."""
        self.timers.append((when, callback))
        return None

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> object:
        """At once."""
        return callback()

    def pass_time(self, seconds: float) -> None:
        """Move on, calling what is due."""
        self.now_s += seconds
        due = [timer for timer in self.timers if timer[0] <= self.now_s]
        self.timers = [timer for timer in self.timers if timer[0] > self.now_s]
        for _, callback in due:
            callback()


class OneLane:
    """One lane's life: opened, used, killed, opened again on the same disk."""

    def __init__(
        self,
        disk: Disk | None = None,
        *,
        directory: Path = ROOT,
        settings: SpoolSettings | None = None,
        bounds: Bounds = SMALL,
        clock: FakeClock | None = None,
        entropy: Callable[[int], bytes] = counted,
    ) -> None:
        self.disk = disk or FakeDisk()
        self.clock = clock or FakeClock()
        self.loop = FakeLoop()
        self.settled: list[tuple[Commit, bool]] = []
        settings = settings or SpoolSettings(bytes_max=1 << 20, reserve_bytes=0)
        self.room = Room(self.disk, directory, settings.bytes_max, bounds)
        hull = Hull(
            settings, self.clock, self.disk, entropy, bounds, Budget(settings), self.room
        )
        self.bulkhead = Bulkhead(LANE, directory / LANE.value, hull)
        self.bulkhead.writer.begin()
        self.bulkhead.intake.start(
            self.loop, lambda commit, held: self.settled.append((commit, held))
        )

    @property
    def reader(self) -> LaneSpool:
        """The forwarder's side."""
        return self.bulkhead.reader

    def append(self, *indexes: int, padding: int = 0) -> Commit:
        """Append events; they fill one commit."""
        now_ms = self.clock.now().unix_ns // 1_000_000
        commits = [
            self.bulkhead.intake.append(record(index, accepted_ms=now_ms, padding=padding))
            for index in indexes
        ]
        return commits[-1]

    def commit(self, *indexes: int, padding: int = 0) -> bool:
        """Append events and let the writer take a step; whether they held."""
        self.append(*indexes, padding=padding)
        self.bulkhead.writer.step()
        return self.settled[-1][1]

    def close(self) -> None:
        """Leave without a trace of having left."""
        self.bulkhead.intake.close()
        self.bulkhead.stop(0)

    def read(
        self, start: Position | None = None
    ) -> tuple[list[Stored | Quarantined], Position]:
        """Everything from *start*, or the cursor, to the end, and where that is."""
        at = start or self.reader.cursor
        frames: list[Stored | Quarantined] = []
        while True:
            chunk = self.reader.read(at, bytes_max=600, records_max=3)
            if not chunk.frames:
                return frames, at
            frames += chunk.frames
            at = chunk.after

    @contextlib.contextmanager
    def without_memory(self) -> Generator[None]:
        """Have everything read from the disk meanwhile."""
        shelf = self.bulkhead.shelf
        fresh, shelf.fresh = shelf.fresh, Fresh(0)
        yield
        shelf.fresh = fresh
