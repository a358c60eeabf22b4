"""One life of a process: the parts that run in production, wired as they are, without threads.

What a thread would do is a method here, and one call of it is a step. :mod:`edge.app` and
:mod:`edge.shell.spool.process` wire all six lanes, locks and sockets; two or three lanes, opened
in the same order, are enough to disturb each other.
"""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.config import SpoolSettings
from edge.core.admit import House, admit_events
from edge.core.authenticate import Gate, IssuerKeys, TokenCache
from edge.core.footprint import Footprints
from edge.core.lane import Lane
from edge.core.limit import ClockRules, Quotas
from edge.core.recall import Recall
from edge.core.record import Record
from edge.core.seal import Sealer
from edge.core.shed import Shedder
from edge.core.verdict import Verdict
from edge.shell.dead import DEAD_DIRECTORY, DeadLetters, Letter
from edge.shell.forward import Forwarder, Timing
from edge.shell.spool.budget import Budget
from edge.shell.spool.bulkhead import Bulkhead, Hull
from edge.shell.spool.claim import identify
from edge.shell.spool.commit import Commit
from edge.shell.spool.cursor import Position
from edge.shell.spool.disk import settle_directory
from edge.shell.spool.lane_spool import Chunk, LaneSpool, Stored
from edge.shell.spool.room import Room
from edge.shell.spool.segment import Bounds
from tests.sim.claims import Claim
from tests.sim.clock import SimClock, SimLoop
from tests.sim.disk import SimDisk
from tests.sim.ledger import RECORD_BYTES_MAX, Ledger
from tests.sim.origin import SimOrigin

_ANY: Final = 1 << 30
_YEAR_S: Final = 365 * 86_400


class _NoKeys:
    """Nobody is let in by a token here: claims come with their principal."""

    def keys_of(self, issuer: str) -> IssuerKeys | None:  # noqa: ARG002  # the protocol's
        """None."""
        return None


class _Ease:
    """No lane here may be shed."""

    is_high: bool = False


_GATE: Final = Gate(audiences={}, keys=_NoKeys(), cache=TokenCache(), lifetime_max_s=1)


@dataclass(frozen=True)
class Surroundings:
    """What outlives a process.

    Attributes:
        root: The spool's directory; real, for its locks.
        settings: Of the spool.
        bounds: Sizes.
        lanes: Which there are.
        disk: Simulated.
        clock: Simulated.
        dice: Give entropy, and the breaker's jitter.
        ledger: Judges.
        origin: Simulated.
        pause: Called instead of waiting, with seconds.
    """

    root: Path
    settings: SpoolSettings
    bounds: Bounds
    lanes: Sequence[Lane]
    disk: SimDisk
    clock: SimClock
    dice: random.Random
    ledger: Ledger
    origin: SimOrigin
    pause: Callable[[float], None]


class Source:
    """A lane's spool for its forwarder: never waits, and watches what the cursor passes."""

    def __init__(self, reader: LaneSpool, ledger: Ledger) -> None:
        self._reader = reader
        self._ledger = ledger
        self._chunks: list[Chunk] = []

    @property
    def directory(self) -> Path:
        """Where it lies."""
        return self._reader.directory

    @property
    def cursor(self) -> Position:
        """As the spool says."""
        return self._reader.cursor

    def wait(self, at: Position, timeout_s: float) -> bool:  # noqa: ARG002  # the protocol's
        """Look."""
        return self._reader.wait(at, 0)

    def read(self, at: Position, *, bytes_max: int, records_max: int) -> Chunk:
        """Read, and remember what."""
        chunk = self._reader.read(at, bytes_max=bytes_max, records_max=records_max)
        self._chunks.append(chunk)
        return chunk

    def acknowledge(self, after: Position) -> None:
        """Check what is passed, then pass it."""
        chunk = next(each for each in reversed(self._chunks) if each.after == after)
        self._ledger.passed(self._reader.lane, chunk.frames)
        self._chunks.clear()
        self._reader.acknowledge(after)


class Letters:
    """A lane's dead letters, watched."""

    def __init__(self, home: DeadLetters, lane: Lane, ledger: Ledger) -> None:
        self._home = home
        self._lane = lane
        self._ledger = ledger

    def bury(self, letters: Sequence[Letter]) -> None:
        """Bury, then check.

        Raises:
            DeadUnavailable: As the home.
        """
        self._home.bury(letters)
        self._ledger.buried(self._lane, letters)


class Gateway:
    """One process.

    Raises:
        OSError: The disk does not let it start.
        ConfigError: As above.

    Attributes:
        loop: Its event loop.
        lanes: Its bulkheads.
        forwarders: Likewise.
        budget: Bytes that wait.
        room: Disk space.
    """

    def __init__(self, around: Surroundings) -> None:
        disk, clock = around.disk, around.clock
        self.loop = SimLoop(clock)
        self._clock = clock
        settle_directory(disk, around.root)
        identity = identify(disk, around.root / "id", around.dice.randbytes)
        self.budget = Budget(around.settings)
        self.room = Room(disk, around.root, around.settings.bytes_max, around.bounds)
        hull = Hull(
            around.settings,
            clock,
            disk,
            around.dice.randbytes,
            around.bounds,
            self.budget,
            self.room,
        )
        self.lanes = {
            lane: Bulkhead(lane, around.root / lane.value, hull) for lane in around.lanes
        }
        for lane in self.lanes.values():
            lane.writer.begin()
        self._recall = self._remember(around.settings)
        self._house = House(
            gate=_GATE,
            quotas=Quotas([]),
            clock_rules=ClockRules(
                intent_max_age_s=_YEAR_S, observation_max_age_s=_YEAR_S, future_max_s=_YEAR_S
            ),
            recall=self._recall,
            footprints=Footprints(identity.secret),
            shedder=Shedder(_Ease()),
            sealer=Sealer("node", "region", self._newest_ms()),
            spool=self,
        )
        self._ledger = around.ledger
        self.forwarders = {lane: self._forwarder(lane, around) for lane in self.lanes}
        for lane in self.lanes.values():
            lane.intake.start(self.loop, self._settle)

    def append(self, lane: Lane, record: Record) -> Commit:
        """Take a record, as the whole spool does.

        Raises:
            Reject: LANE_FULL, LANE_FAILED.
        """
        return self.lanes[lane].intake.append(record)

    def admit(self, claim: Claim) -> Verdict:
        """Let one event walk through the house."""
        (verdict,) = admit_events(
            [claim.event], claim.principal, self._house, self._clock.now()
        )
        return verdict

    def waiting(self, lane: Lane) -> set[bytes]:
        """Read the envelopes behind the cursor, as the forwarder will.

        Raises:
            OSError: Not now.
        """
        reader = self.lanes[lane].reader
        at, found = reader.cursor, set[bytes]()
        while (chunk := reader.read(at, bytes_max=_ANY, records_max=_ANY)).frames:
            stored = (frame for frame in chunk.frames if isinstance(frame, Stored))
            # Without the number, which the spool put in front.
            found |= {b"{" + frame.value.split(b",", 2)[2] for frame in stored}
            at = chunk.after
        return found

    def _remember(self, settings: SpoolSettings) -> Recall:
        recall = Recall(
            dedupe_window_s=settings.dedupe_window_s,
            dedupe_entries_max=settings.dedupe_entries_max,
            sessions_max=settings.sessions_max,
        )
        for lane, bulkhead in self.lanes.items():
            for page in bulkhead.pages():
                recall.rebuild(lane, page)
        return recall

    def _newest_ms(self) -> dict[Lane, int]:
        newest = {lane: each.reader.newest_ms() for lane, each in self.lanes.items()}
        return {lane: found for lane, found in newest.items() if found is not None}

    def _forwarder(self, lane: Lane, around: Surroundings) -> Forwarder:
        reader = self.lanes[lane].reader
        home = DeadLetters(
            around.disk,
            reader.directory / DEAD_DIRECTORY,
            bytes_max=around.settings.dead_bytes_max,
        )

        def pause(_: threading.Event, seconds: float) -> None:
            around.pause(seconds)

        return Forwarder(
            lane,
            Source(reader, around.ledger),
            around.origin,
            Letters(home, lane, around.ledger),
            Timing(around.clock, around.dice, pause),
            record_bytes_max=RECORD_BYTES_MAX,
        )

    def _settle(self, commit: Commit, held: bool) -> None:  # noqa: FBT001  # the spool's callback
        is_late = commit.outcome is not None
        self._ledger.committed(commit, is_held=held, is_late=is_late)
        self._recall.settle(commit, held=held)
