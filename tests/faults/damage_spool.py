"""A sound spool to be damaged, and what a start makes of it, damaged or not.

Written by the real spool, with real threads, on a real file system, then kept in memory as the
bytes of its files: so a case costs as much as the files that it lays out. What happens to those
bytes is done by hand; nothing here asks what a disk keeps of what was not synced, so a file
system in memory will do, and is ten times as fast.
"""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from typing_extensions import override

from edge.config import SpoolSettings
from edge.core.frame import HEADER_BYTES, Frame
from edge.core.lane import Lane
from edge.shell.dead import DeadLetters, QuarantinedLetter, refused
from edge.shell.forward import Forwarder, Timing
from edge.shell.spool.cursor import Position
from edge.shell.spool.disk import OsDisk, Output
from edge.shell.spool.lane_spool import LaneSpool
from edge.shell.spool.process import Spool, worker_directory
from edge.shell.spool.recovery import outline
from edge.shell.spool.segment import Bounds, LaneFiles
from origin_client.envelope import number
from origin_client.origin import Origin, Outgoing, Refusal
from tests.fakes import FakeClock
from tests.fakes_spool import FakeLoop, indexes, record

LANE: Final = Lane.BET
CURSOR: Final = "bet/cursor"
IDENTITY: Final = "id"
COMMIT_RECORDS: Final = 3
"""Of a commit, so that commits, too, end within segments."""

ABORTED: Final = 1_000_000
"""Number of the first record whose sync fails: it must never be seen again."""

_DEAD_BYTES_MAX: Final = 1 << 20
_DRAIN_NS: Final = 30 * 10**9
"""For what takes a millisecond."""

_NOT_DAMAGED: Final = frozenset({"lock", "headroom"})


def bounds(segment_bytes_max: int) -> Bounds:
    """Make everything small, and have everything read from the disk."""
    return Bounds(
        segment_bytes_max=segment_bytes_max,
        commit_bytes_max=16 << 10,
        commit_records_max=64,
        fresh_bytes_max=0,
        headroom_bytes=4 << 10,
    )


def settings(root: Path) -> SpoolSettings:
    """Allow a file system in memory."""
    return SpoolSettings(path=str(root), allow_volatile=True)


@dataclass(frozen=True, slots=True)
class Shape:
    """How a spool is written.

    Attributes:
        segments: How many there are.
        stumbles_at: So many records later a sync fails; the next segment begins there.
        segment_bytes_max: Of each.
        last_bytes: Of the last, at most.
        padding_max: Of an envelope, bytes.
        acknowledged: So many records, in several steps.
        seed: Of the envelopes' sizes.
    """

    segments: int
    stumbles_at: int
    segment_bytes_max: int
    last_bytes: int
    padding_max: int
    acknowledged: int
    seed: int


@dataclass(frozen=True, slots=True)
class Placed:
    """One accepted record, and where its frame lies."""

    segment: int
    start: int
    end: int
    index: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Sound:
    """A spool before the damage.

    Attributes:
        shape: How it was written.
        files: Their bytes by name, from the worker's directory on.
        frames: In the order of acceptance.
        cursor: Where forwarding goes on.
    """

    shape: Shape
    files: dict[str, bytes]
    frames: list[Placed]
    cursor: Position

    @property
    def last(self) -> int:
        """Number of the last segment."""
        return self.frames[-1].segment

    @property
    def waiting(self) -> list[Placed]:
        """What the origin has not acknowledged."""
        here = self.cursor
        return [f for f in self.frames if Position(f.segment, f.start) >= here]


def segment_name(segment: int) -> str:
    """Name a segment's file, from the worker's directory on."""
    return f"{LANE.value}/{segment:010d}.seg"


class _Stumbling(OsDisk):
    """A disk whose syncs fail for as long as it is told so."""

    is_broken = False

    @override
    def create(self, path: Path) -> Output:
        """Begin a file anew."""
        return _StumblingOutput(self, super().create(path))


class _StumblingOutput(Output):
    """A file of a :class:`_Stumbling` disk."""

    def __init__(self, disk: _Stumbling, output: Output) -> None:
        self._disk = disk
        self._output = output

    @override
    def write(self, content: bytes) -> None:
        """Write."""
        self._output.write(content)

    @override
    def sync(self) -> None:
        """Sync, or fail once."""
        if self._disk.is_broken:
            self._disk.is_broken = False
            raise OSError("planned")
        self._output.sync()

    @override
    def close(self) -> None:
        """Close."""
        self._output.close()


def write(root: Path, shape: Shape) -> Sound:
    """Write a spool below *root*, and take it to memory."""
    disk, rng = _Stumbling(), random.Random(shape.seed)  # noqa: S311  # replayable, no secret
    spool = Spool.open(
        settings(root),
        clock=FakeClock(),
        disk=disk,
        entropy=random.Random(shape.seed + 1).randbytes,  # noqa: S311  # another thread's dice
        bounds=bounds(shape.segment_bytes_max),
    )
    spool.start(FakeLoop(), lambda _commit, _held: None)
    lane = worker_directory(settings(root)) / LANE.value
    index, has_stumbled = 0, False
    while True:
        sizes = LaneFiles(disk, lane).sizes()
        if index >= shape.stumbles_at and not has_stumbled:
            _stumble(spool, disk)
            has_stumbled = True
            while LaneFiles(disk, lane).sizes().keys() == sizes.keys():
                time.sleep(0.001)  # the next segment is begun after the failure is told
            continue
        paddings = [rng.randrange(shape.padding_max) for _ in range(COMMIT_RECORDS)]
        if len(sizes) >= shape.segments:
            room = shape.last_bytes - max(sizes.items())[1]
            if sum(paddings) + COMMIT_RECORDS * 150 > room:
                break
        _append(spool, range(index, index + COMMIT_RECORDS), paddings)
        index += COMMIT_RECORDS
    _acknowledge(spool.lane(LANE), shape.acknowledged)
    _bury(lane / "dead")
    spool.close()
    return _taken(root, shape)


def _append(spool: Spool, indexes: range, paddings: list[int]) -> None:
    for index, padding in zip(indexes, paddings, strict=True):
        spool.append(LANE, record(index, padding=padding))
    assert spool.flush()


def _stumble(spool: Spool, disk: _Stumbling) -> None:
    """Have one commit fail after its write: its bytes stay behind the segment's valid end."""
    disk.is_broken = True
    _append(spool, range(ABORTED, ABORTED + 2), [40, 80])
    assert not disk.is_broken


def _acknowledge(reader: LaneSpool, records: int) -> None:
    """Acknowledge in several steps, so that both slots of the cursor are in use."""
    while records:
        chunk = reader.read(
            reader.cursor, bytes_max=1 << 20, records_max=records - records // 2
        )
        assert chunk.frames, "so many were not written"
        reader.acknowledge(chunk.after)
        records -= len(chunk.frames)


def _bury(directory: Path) -> None:
    """Have two letters of an earlier time lie there."""
    values = (number(record(n).envelope, "earlier", n) for n in (1, 2))
    letters = [refused(Outgoing(b"player-1", value), "planned", dead_ms=1) for value in values]
    DeadLetters(OsDisk(), directory, bytes_max=_DEAD_BYTES_MAX).bury(letters)


def _taken(root: Path, shape: Shape) -> Sound:
    worker = worker_directory(settings(root))
    files = LaneFiles(OsDisk(), worker / LANE.value)
    seen = outline(files)
    frames: list[Placed] = []
    for header in seen.headers:
        for start, found in files.scan(header, HEADER_BYTES, seen.ends[header.number]):
            assert isinstance(found, Frame)
            value = number(found.record.envelope, header.edgespool, found.edgeseq)
            end, index = start + found.length, found.record.footprint.time_ms
            frames.append(Placed(header.number, start, end, index, value))
    paths = [p for p in (*worker.glob(f"{LANE.value}/**/*"), worker / IDENTITY) if p.is_file()]
    kept = {p.relative_to(worker).as_posix(): p.read_bytes() for p in paths}
    kept = {name: kept[name] for name in sorted(kept) if Path(name).name not in _NOT_DAMAGED}
    assert [frame.index for frame in frames] == list(range(len(frames)))
    return Sound(shape, kept, frames, seen.cursor)


class Collector(Origin):
    """An origin that takes everything."""

    def __init__(self) -> None:
        self.values: list[bytes] = []

    @override
    def publish(self, topic: str, records: Sequence[Outgoing]) -> list[Refusal]:
        """Keep it."""
        self.values += [outgoing.value for outgoing in records]
        return []

    @override
    def health(self, topic: str | None = None) -> str | None:
        """Always well."""
        return None

    @override
    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True, slots=True)
class Came:
    """What a start, and a forwarder after it, made of a spool.

    Attributes:
        delivered: Envelopes, in their order.
        letters: Those of quarantined frames.
        quarantined: Frames, as it was counted.
        torn_bytes: Likewise.
        left: Records that wait still.
        known: Numbers of the records that recall was told of.
        dead: The files of the dead letters, afterwards.
    """

    delivered: list[bytes]
    letters: list[QuarantinedLetter]
    quarantined: int
    torn_bytes: int
    left: int
    known: set[int]
    dead: dict[str, bytes]


def start(root: Path, segment_bytes_max: int) -> Came:
    """Start on a spool, forward all that waits, and tell recall what there was."""
    clock, origin = FakeClock(), Collector()
    spool = Spool.open(settings(root), clock=clock, bounds=bounds(segment_bytes_max))
    reader = spool.lane(LANE)
    known = set(indexes(spool.pages(LANE)))
    directory = reader.directory / "dead"
    forwarder = Forwarder(
        LANE,
        reader,
        origin,
        DeadLetters(OsDisk(), directory, bytes_max=_DEAD_BYTES_MAX),
        Timing(clock, random.Random(0)),  # noqa: S311  # no origin fails here: no dice are cast
    )
    forwarder.begin_drain()
    forwarder.start()
    assert forwarder.join(clock.now().steady_ns + _DRAIN_NS), "forwarding does not end"
    figures = spool.statistics()[LANE]
    spool.close()
    dead = read_dead(directory)
    return Came(
        origin.values,
        quarantined_letters(dead),
        figures.quarantined,
        figures.torn_bytes,
        figures.holdings.records_waiting,
        known,
        dead,
    )


def read_dead(directory: Path) -> dict[str, bytes]:
    """Read the files of a lane's dead letters, oldest first."""
    return {path.name: path.read_bytes() for path in sorted(directory.glob("*.jsonl"))}


def quarantined_letters(dead: Mapping[str, bytes]) -> list[QuarantinedLetter]:
    """Read what was quarantined; damaged letters of an earlier time are passed over."""
    lines = [line for content in dead.values() for line in content.split(b"\n")]
    return [
        msgspec.json.decode(line, type=QuarantinedLetter)
        for line in lines
        if line.startswith(b'{"dead_ms":') and b'"segment":' in line
    ]


def lay(root: Path, files: Mapping[str, bytes]) -> None:
    """Put a spool's files in place below *root*, which does not exist."""
    worker = worker_directory(settings(root))
    for folder in sorted({(worker / name).parent for name in files}):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (worker / name).write_bytes(content)
