"""What a forwarder stands between: a lane, an origin and dead letters that notice its mistakes.

The lane fails the test when its cursor passes a record that is neither at the origin nor
buried; the origin when it is used by two at once, for nothing, or out of order.
"""

import enum
import random
import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from edge.core.instant import NS_PER_MS
from edge.core.lane import Lane
from edge.shell.dead import DeadUnavailable, Letter, QuarantinedLetter, RefusedLetter
from edge.shell.deliver import BATCH_BYTES_MAX, BATCH_RECORDS_MAX
from edge.shell.forward import Forwarder, Timing
from edge.shell.spool.cursor import Position
from edge.shell.spool.lane_spool import Chunk, Quarantined, Stored
from origin_client.origin import OriginUnavailable, Outgoing, Refusal
from tests.fakes import NOW, FakeClock, later

LANE: Final = Lane.BET
EDGESPOOL: Final = "0198c0de-0000-7000-8000-00000000beef"
LONG_AGO_MS: Final = NOW.unix_ns // NS_PER_MS - 60_000
SEGMENT: Final = 1
START: Final = Position(SEGMENT, 0)


class Misuse(BaseException):
    """A forwarder did what it must not; ends its thread, which no ``except Exception`` stops."""


def demand(holds: bool, what: str) -> None:  # noqa: FBT001  # like assert
    """Fail the test unless *what* holds."""
    if not holds:
        raise Misuse(what)


class Numbered(msgspec.Struct, frozen=True):
    """What an origin that removes duplicates looks at."""

    edgeseq: str


def stored(edgeseq: int, key: str = "player-0001", *, accepted_ms: int = LONG_AGO_MS) -> Stored:
    """A record as the spool gives it."""
    value = b'{"edgespool":"%s","edgeseq":"%d","key":"%s"}' % (
        EDGESPOOL.encode(),
        edgeseq,
        key.encode(),
    )
    return Stored(EDGESPOOL, edgeseq, key.encode(), accepted_ms, value)


def damaged(place: int) -> Quarantined:
    """A frame that the spool cannot read, where it stands."""
    return Quarantined(SEGMENT, place, b"\x00\xff%d" % place, "checksum is wrong")


class Outcome(enum.Enum):
    """What becomes of one publish."""

    TAKEN = enum.auto()
    LOST = enum.auto()
    """Nothing was written, and nobody knows."""
    HALF = enum.auto()
    """The first half was written, and nobody knows."""
    UNTOLD = enum.auto()
    """All was written, and nobody knows."""


@dataclass
class RecordingOrigin:
    """Keeps what it is given, by a script; then takes everything.

    Attributes:
        script: What becomes of the next publishes.
        poison: Numbers it will never take.
        is_strict: A batch is written up to its first poison only; that and all behind it are
            refused, as a broker does that stops at the first failure.
        is_backwards: The last refusal is told first.
        batches: The numbers of every batch, as sent.
        log: Every record written, in that order, duplicates too.
        before_publish: Called first; may wait, or raise.
    """

    script: list[Outcome] = field(default_factory=list[Outcome])
    poison: frozenset[int] = frozenset()
    is_strict: bool = False
    is_backwards: bool = False
    batches: list[list[int]] = field(default_factory=list[list[int]])
    log: list[tuple[int, Outgoing]] = field(default_factory=list[tuple[int, Outgoing]])
    before_publish: Callable[[], None] = lambda: None
    closed: threading.Event = field(default_factory=threading.Event)
    _busy: threading.Lock = field(default_factory=threading.Lock)

    def publish(self, topic: str, records: Sequence[Outgoing]) -> list[Refusal]:
        """Write, refuse or fail, as told."""
        demand(self._busy.acquire(blocking=False), "one publish at a time")
        try:
            self.before_publish()
            if self.closed.is_set():
                raise OriginUnavailable("closed")
            return self._take(topic, records)
        finally:
            self._busy.release()

    def _take(self, topic: str, records: Sequence[Outgoing]) -> list[Refusal]:
        demand(topic == LANE.topic, "the lane's own topic")
        demand(0 < len(records) <= BATCH_RECORDS_MAX, "a batch within its bounds")
        size = sum(len(record.value) for record in records)
        demand(size <= BATCH_BYTES_MAX, "a batch within its bytes")
        numbers = [int(msgspec.json.decode(r.value, type=Numbered).edgeseq) for r in records]
        demand(numbers == sorted(set(numbers)), "a batch in order")
        self.batches.append(numbers)
        outcome = self.script.pop(0) if self.script else Outcome.TAKEN
        refused = [place for place, number in enumerate(numbers) if number in self.poison]
        if self.is_strict and refused:
            refused = list(range(refused[0], len(numbers)))
        written = {
            Outcome.LOST: 0,
            Outcome.HALF: len(numbers) // 2,
        }.get(outcome, len(numbers))
        self.log += [
            (numbers[place], records[place]) for place in range(written) if place not in refused
        ]
        if outcome is not Outcome.TAKEN:
            raise OriginUnavailable(outcome.name.lower())
        told = reversed(refused) if self.is_backwards else refused
        return [Refusal(place, f"poison among {len(numbers)}") for place in told]

    def health(self, topic: str | None = None) -> str | None:  # noqa: ARG002  # the protocol's
        """Never ill by itself."""
        return None

    def close(self) -> None:
        """Fail whatever comes."""
        self.closed.set()

    def numbers(self) -> list[int]:
        """Every number once, as first written; a duplicate must have the same bytes."""
        first: dict[int, Outgoing] = {}
        for number, record in self.log:
            assert first.setdefault(number, record) == record
        return list(first)

    def orders(self) -> dict[bytes, list[int]]:
        """By key: the numbers as first written."""
        orders: defaultdict[bytes, list[int]] = defaultdict(list)
        keys = dict(self.log)
        for number in self.numbers():
            orders[keys[number].key].append(number)
        return dict(orders)


@dataclass
class MemoryDeadLetters:
    """Keeps letters; fails as often as told first."""

    failures: int = 0
    letters: list[Letter] = field(default_factory=list[Letter])

    def bury(self, letters: Sequence[Letter]) -> None:
        """Keep them, all or none."""
        demand(bool(letters), "a burial of something")
        if self.failures:
            self.failures -= 1
            raise DeadUnavailable("no room")
        self.letters += letters

    def numbers(self) -> list[int]:
        """The numbers of the refused records."""
        refused = [letter for letter in self.letters if isinstance(letter, RefusedLetter)]
        return [int(msgspec.json.decode(each.value, type=Numbered).edgeseq) for each in refused]

    def places(self) -> list[int]:
        """Where the quarantined frames stood."""
        letters = self.letters
        return [each.offset for each in letters if isinstance(each, QuarantinedLetter)]


@dataclass
class MemoryLane:
    """Frames in a list; a position's offset is an index into it.

    Attributes:
        frames: What was accepted.
        origin: Where its records must be before the cursor passes them,
        dead_letters: or here.
        frames_max: Of one chunk.
        faults: Raised by the next reads; ``None``: that read finds nothing.
        cursor: What was acknowledged.
        on_nothing: Called when a wait is about to find nothing.
        passed: Set once the cursor has moved.
        directory: Where it would lie.
    """

    frames: list[Stored | Quarantined]
    origin: RecordingOrigin
    dead_letters: MemoryDeadLetters
    frames_max: int = BATCH_RECORDS_MAX
    faults: list[Exception | None] = field(default_factory=list[Exception | None])
    cursor: Position = START
    on_nothing: Callable[[], None] = lambda: None
    passed: threading.Event = field(default_factory=threading.Event)
    directory: Path = Path("spool/0") / LANE

    def wait(self, at: Position, timeout_s: float) -> bool:
        """Look; wait a little when there is nothing and the caller would."""
        if at.offset >= len(self.frames) and timeout_s > 0:
            threading.Event().wait(0.001)
        is_readable = at.offset < len(self.frames)
        if not is_readable:
            self.on_nothing()
        return is_readable

    def read(self, at: Position, *, bytes_max: int, records_max: int) -> Chunk:
        """Give what is there."""
        demand(bytes_max == BATCH_BYTES_MAX, "a read within its bytes")
        if self.faults:
            if fault := self.faults.pop(0):
                raise fault
            return Chunk([], at)
        end = at.offset + min(records_max, self.frames_max)
        frames = self.frames[at.offset : end]
        return Chunk(frames, Position(SEGMENT, at.offset + len(frames)))

    def acknowledge(self, after: Position) -> None:
        """Move the cursor, if nothing is lost by that."""
        demand(after > self.cursor, "a cursor that goes on")
        safe = {number for number, _ in self.origin.log} | set(self.dead_letters.numbers())
        for place in range(self.cursor.offset, after.offset):
            frame = self.frames[place]
            if isinstance(frame, Stored):
                demand(frame.edgeseq in safe, "a cursor behind what is delivered or dead")
            else:
                demand(place in self.dead_letters.places(), "a cursor behind what is buried")
        self.cursor = after
        self.passed.set()


@dataclass
class World:
    """One lane with its forwarder, and time that passes when it waits.

    Attributes:
        pauses_s: Every wait, s.
        on_pause: Called at each wait.
        rest_s: What :class:`edge.shell.pace.Pace` would say.
    """

    frames: list[Stored | Quarantined]
    origin: RecordingOrigin = field(default_factory=RecordingOrigin)
    dead_letters: MemoryDeadLetters = field(default_factory=MemoryDeadLetters)
    clock: FakeClock = field(default_factory=FakeClock)
    pauses_s: list[float] = field(default_factory=list[float])
    on_pause: Callable[[], None] = lambda: None
    rest_s: Callable[[int], float] = lambda _: 0.0
    seed: int = 0
    record_bytes_max: int = 1_000_000

    def __post_init__(self) -> None:
        self.lane = MemoryLane(self.frames, self.origin, self.dead_letters)
        self.forwarder = self.new_forwarder()

    def new_forwarder(self) -> Forwarder:
        """A forwarder that knows nothing yet, as after a restart."""
        return Forwarder(
            LANE,
            self.lane,
            self.origin,
            self.dead_letters,
            Timing(
                self.clock,
                random.Random(self.seed),  # noqa: S311  # a seed replays
                self._pause,
                lambda records: self.rest_s(records),  # noqa: PLW0108  # it may be set later
            ),
            record_bytes_max=self.record_bytes_max,
        )

    def forward(self) -> None:
        """Start, forward all there is, stop."""
        self.forwarder.start()
        self.stop(10)

    def stop(self, drain_s: float) -> None:
        """Drain for up to *drain_s*, then abandon what is left."""
        self.forwarder.begin_drain()
        if not self.forwarder.join(later(drain_s, than=self.clock.now()).steady_ns):
            self.forwarder.abandon()
            assert self.forwarder.join(later(10, than=self.clock.now()).steady_ns)

    def _pause(self, _: threading.Event, seconds: float) -> None:
        self.pauses_s.append(seconds)
        self.clock.advance(seconds)
        self.on_pause()
