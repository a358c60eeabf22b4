"""A spool as a killed gateway leaves it after a long outage: gibibytes of events, none forwarded.

The bytes are written by the gateway's own :class:`SegmentWriter`, without a gateway around it:
10 GiB in about a minute instead of an hour. What the events say is the same in all of them; what
a start has to learn, their ids, keys and session numbers, is drawn from a seed.
"""

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Final

from edge.core.frame import FRAME_BYTES_MIN
from edge.core.lane import Lane
from edge.core.record import Footprint, Record
from edge.shell.spool.disk import OsDisk, settle_directory
from edge.shell.spool.recovery import recover
from edge.shell.spool.segment import Bounds, LaneFiles
from edge.shell.spool.segment_writer import SegmentWriter
from edge.shell.spool.shelf import Shelf
from tests.faults.row import Tell

RECORD_BYTES: Final = 1024
_KEY: Final = b"player-000000000000"
_ENVELOPE: Final = b'{"padding":"%s"}' % (
    b"x" * (RECORD_BYTES - FRAME_BYTES_MIN - len(_KEY) - len(b'{"padding":""}'))
)
_COMMIT_RECORDS: Final = 1000
_NEVER_MS: Final = 1 << 60

_PLAYERS: Final = 5000
"""At once in play: what a node of some thousand events a second sees,"""

_SESSION_EVENTS: Final = 60
"""and how many numbered events each session has before the next player comes."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one lane carries.

    Attributes:
        share: Of all bytes.
        keys: Business keys of an event: 0, 1 or 2.
        numbered: Of ten events, how many are of clients, with a session and a number.
    """

    share: float
    keys: int
    numbered: int


LOADS: Final = {
    Lane.PLAYER: Load(0.05, keys=0, numbered=0),
    Lane.WALLET: Load(0.10, keys=1, numbered=2),
    Lane.BET: Load(0.35, keys=1, numbered=4),
    Lane.GAME: Load(0.15, keys=1, numbered=0),
    Lane.BONUS: Load(0.05, keys=1, numbered=5),
    Lane.TELEMETRY: Load(0.30, keys=0, numbered=10),
}
"""An evening at a casino: half of the bytes are money's, a third is telemetry."""


def fill(worker: Path, size_bytes: int, seed: int, tell: Tell) -> dict[Lane, int]:
    """Add records to every lane, as one process would that was killed at the end.

    Args:
        worker: ``<spool>/0``; nobody else has it.
        size_bytes: Of all records.
        seed: Of whatever recall has to learn.
        tell: Told of each tenth.

    Returns:
        How many records were added, by lane.
    """
    draw = Random(seed)  # noqa: S311  # no secret
    crowd = _Crowd(draw)
    writers = {lane: _writer(worker / lane) for lane in LOADS}
    added = dict.fromkeys(LOADS, 0)
    total = size_bytes // RECORD_BYTES
    told = 0
    for lane in _turns():
        records = [crowd.record(LOADS[lane]) for _ in range(_COMMIT_RECORDS)]
        writers[lane].write(records, records[-1].accepted_ms)
        writers[lane].index()
        added[lane] += len(records)
        written = sum(added.values())
        if written * 10 // total > told:
            told = written * 10 // total
            tell(f"spool: {written * RECORD_BYTES >> 20} MiB written")
        if written >= total:
            break
    for writer in writers.values():
        writer.abandon()
    return added


def last_segments(worker: Path) -> list[Path]:
    """Name every lane's segment that was being written."""
    return [max((worker / lane).glob("*.seg")) for lane in LOADS]


class _Crowd:
    """Players in play, and what their events are known by."""

    def __init__(self, draw: Random) -> None:
        self._draw = draw
        self._sessions = [[self._hash(), 0] for _ in range(_PLAYERS)]
        self._count = 0

    def record(self, load: Load) -> Record:
        self._count += 1
        now_ms = time.time_ns() // 1_000_000
        footprint = Footprint(
            now_ms,
            self._hash(),
            self._hash(),
            self._hash() if load.keys > 0 else 0,
            self._hash() if load.keys > 1 else 0,
            self._hash() if load.keys > 1 else 0,
            *(self._number() if self._count % 10 < load.numbered else (0, 0)),
        )
        return Record(_KEY, now_ms, footprint, _ENVELOPE)

    def _hash(self) -> int:
        return self._draw.getrandbits(64) or 1

    def _number(self) -> tuple[int, int]:
        player = self._sessions[int(self._draw.random() * _PLAYERS)]
        player[1] += 1
        session, seq = player
        if seq == _SESSION_EVENTS:
            player[:] = self._hash(), 0
        return session, seq


def _writer(directory: Path) -> SegmentWriter:
    """Take over a lane as a start does."""
    disk = OsDisk()
    settle_directory(disk, directory.parent)
    settle_directory(disk, directory)
    files = LaneFiles(disk, directory)
    found = recover(files)
    shelf = Shelf(found.segments, found.cursor, found.oldest_waiting_ms)
    bytes_max = Bounds().segment_bytes_max
    writer = SegmentWriter(
        files, shelf, found, entropy=os.urandom, bytes_max=bytes_max, age_ms_max=_NEVER_MS
    )
    writer.begin_run()
    return writer


def _turns(loads: Mapping[Lane, Load] = LOADS) -> Iterator[Lane]:
    """Name lanes for ever, each as often as its share says."""
    return cycle([lane for turn in range(20) for lane in loads if _is_due(loads[lane], turn)])


def _is_due(load: Load, turn: int) -> bool:
    return int((turn + 1) * load.share) > int(turn * load.share)
