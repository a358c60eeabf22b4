"""Damage to a spool that is not in use: torn tails, flipped bits, lost pages.

*Theory of operation.* Sound spools are written by the real one. Each case lays one out with one
file changed, starts on it, forwards all of it, and compares what came with what the changed
bytes allow (:mod:`tests.faults.damage_judge`). Most cases start the spool in this process, and
on a file system in memory: it is not the disk that is tried. A sample is started by
``edge spool drain``, a process each. What is said of a fault names its case;
``python -m tests.faults.damage 'CASE'`` does it again.
"""

import json
import logging
import multiprocessing
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.demo.audit import read_log
from edge.demo.gateway import toml
from edge.demo.issuer import AUDIENCE, Issuer
from edge.shell.spool.process import worker_directory
from tests.faults.damage_cases import (
    SHAPES,
    Case,
    clean_tails,
    cuts,
    flips,
    followed_tails,
    more,
    struck,
)
from tests.faults.damage_judge import Damage, hit, judge
from tests.faults.damage_spool import (
    LANE,
    Came,
    Sound,
    lay,
    quarantined_letters,
    read_dead,
    settings,
    start,
    write,
)
from tests.faults.row import Row, Scale, Tell

FLIPS: Final = 10_000
SCATTERED: Final = 1_000
PROCESSES: Final = 50

SHORT_CASES: Final = 80
"""Of each kind in a short form, evenly spread: about a second each."""

SHORT_PROCESSES: Final = 2
WORKERS: Final = 2
BLOCK_CASES: Final = 500
"""What a worker tries at once."""

TOLD_BLOCKS: Final = 20
"""After so many a line tells how it goes: 10,000 cases, half a minute."""

_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a file system; what is made there is removed
_DRAIN_TIMEOUT_S: Final = 120


@dataclass(slots=True)
class Tally:
    """What came of some cases.

    Attributes:
        struck: Cases by what they struck.
        faults: What must not have happened, with its case.
    """

    struck: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])

    def add(self, other: "Tally") -> None:
        """Count what another has seen, too."""
        self.struck += other.struck
        self.faults += other.faults

    def row(self, what: str, goal: str) -> Row:
        """Say it in a row of the table."""
        parts = ", ".join(f"{count:,} {kind}" for kind, count in self.struck.most_common())
        found = f"{self.struck.total():,} starts ({parts}), {len(self.faults)} at fault"
        is_reached = bool(self.struck) and not self.faults
        return Row(what, goal, found, is_reached, tuple(self.faults))


def damage(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """Damage spools in every way, and start on each."""
    sounds = _sounds()
    parts = (
        (
            "last segment cut at every byte of its last 64 KiB",
            "loses what was cut, nothing else",
            clean_tails(sounds),
        ),
        (
            "the same, with zeros, garbage or stale frames behind",
            "the same, invents nothing",
            followed_tails(sounds),
        ),
        (
            "a small last segment cut at every byte, header included",
            "loses what was cut, or quarantines what has no header",
            cuts(sounds),
        ),
        (
            "one bit flipped anywhere",
            "each frame hit is counted and kept raw, the last one counts as torn",
            flips(FLIPS),
        ),
        (
            "2 to 64 bits of a file flipped, any page lost, any file cut",
            "the same, and a lost header costs its segment",
            more(sounds, SCATTERED),
        ),
    )
    for what, goal, every in parts:
        cases = list(every)
        if scale is Scale.SHORT:
            tally = _here(sounds, cases[:: len(cases) // SHORT_CASES])
        else:
            tell(f"{what}: {len(cases):,} starts")
            tally = _abroad(sounds, cases, tell)
        yield tally.row(what, goal)
    count = PROCESSES if scale is Scale.FULL else SHORT_PROCESSES
    yield _drained(sounds, room, count).row(
        "a sample of all these, by edge spool drain", "the same"
    )


def _sounds() -> dict[str, Sound]:
    """Write the spools; the same in every run."""
    sounds: dict[str, Sound] = {}
    for name, shape in SHAPES.items():
        with _workshop() as room:
            sounds[name] = write(Path(room) / "spool", shape)
    return sounds


def _workshop() -> "tempfile.TemporaryDirectory[str]":
    return tempfile.TemporaryDirectory(
        prefix="edge-damage-", dir=_MEMORY if _MEMORY.is_dir() else None
    )


def _here(sounds: dict[str, Sound], cases: Sequence[Case]) -> Tally:
    """Try cases in this process."""
    tally = Tally()
    was_disabled = logging.root.manager.disable
    logging.disable()  # each start has something to tell; it is asserted elsewhere
    try:
        with _workshop() as room:
            for case in cases:
                sound = sounds[case.spool]
                damage = case.make(sound)
                tally.struck[struck(sound, damage)] += 1
                faults = _tried(sound, damage, Path(room) / "spool")
                tally.faults += [f"{case}: {fault}" for fault in faults]
    finally:
        logging.disable(was_disabled)
    return tally


def _tried(sound: Sound, damage: Damage, root: Path) -> list[str]:
    lay(root, sound.files | {damage.name: damage.content})
    try:
        return list(judge(sound, damage, start(root, sound.shape.segment_bytes_max)))
    except Exception as error:  # noqa: BLE001  # whatever it is: a start that fails is the fault
        return [f"no start: {error!r}"]
    finally:
        shutil.rmtree(root)


_abroad_sounds: dict[str, Sound] = {}
"""What a worker tries its cases on."""


def _abroad(sounds: dict[str, Sound], cases: Sequence[Case], tell: Tell) -> Tally:
    """Try cases in other processes."""
    tally = Tally()
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, spawn, _settle_in, (sounds,)) as pool:
        blocks = (cases[at : at + BLOCK_CASES] for at in range(0, len(cases), BLOCK_CASES))
        for number, done in enumerate(pool.map(_block, blocks), 1):
            tally.add(done)
            if number % TOLD_BLOCKS == 0:
                tell(f"  {tally.struck.total():,} starts, {len(tally.faults)} at fault")
    return tally


def _settle_in(sounds: dict[str, Sound]) -> None:
    """Begin a worker."""
    _abroad_sounds.update(sounds)


def _block(cases: Sequence[Case]) -> Tally:
    return _here(_abroad_sounds, cases)


def _drained(sounds: dict[str, Sound], room: Path, count: int) -> Tally:
    """Have the real process empty damaged spools."""
    every = [*flips(FLIPS), *more(sounds, SCATTERED), *cuts(sounds), *clean_tails(sounds)]
    tally = Tally()
    for number, case in enumerate(every[:: len(every) // count][:count]):
        sound = sounds[case.spool]
        damage = case.make(sound)
        tally.struck[struck(sound, damage)] += 1
        place = room / f"drain-{number}"
        tally.faults += [f"{case}: {fault}" for fault in _drain(sound, damage, place)]
    return tally


def _drain(sound: Sound, damage: Damage, place: Path) -> list[str]:
    """Lay a spool out, empty it by the command, and judge what came."""
    lay(place / "spool", sound.files | {damage.name: damage.content})
    issuer = Issuer()
    (place / "jwks.json").write_bytes(issuer.jwks())
    keys = {"issuer": issuer.name, "audience": AUDIENCE, "jwks_path": str(place / "jwks.json")}
    config = place / "edge.toml"
    config.write_text(
        toml(
            {
                "node": {"name": "test-1", "region": "test"},
                "auth.issuers": [keys],
                "spool": {"path": str(place / "spool")},
                "origin": {"url": f"log:{place / 'origin'}"},
            }
        ),
        "utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "edge", "spool", "drain", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        timeout=_DRAIN_TIMEOUT_S,
    )
    if done.returncode:
        return [f"exit code {done.returncode}: {done.stderr[-500:]}"]
    return list(judge(sound, damage, _came(sound, damage, place, done.stderr)))


def _came(sound: Sound, damage: Damage, place: Path, said: str) -> Came:
    """Read from files and words what a drain made of a spool; of recall it tells nothing.

    A key's order is that of its partition, and there is none between partitions.
    """
    values = {_name(value): value for value in (frame.value for frame in sound.frames)}
    index = {frame.value: frame.index for frame in sound.frames}
    delivered: list[bytes] = []
    last: dict[str, int] = {}
    for line in read_log(place / "origin"):
        value = values.get(line.number, b"")
        is_it = bool(value) and json.loads(value) == line.envelope
        is_next = is_it and index[value] > last.get(line.partition, -1)
        delivered.append(value if is_next else b"not sent, or not in order")
        last[line.partition] = index.get(value, -1)
    torn = (json.loads(line) for line in said.splitlines() if line.startswith("{"))
    torn_bytes = sum(
        line["bytes"] for line in torn if line.get("event", "").startswith("torn end")
    )
    dead = read_dead(worker_directory(settings(place / "spool")) / LANE.value / "dead")
    letters = quarantined_letters(dead)
    return Came(
        delivered=sorted(delivered, key=lambda value: index.get(value, -1)),
        letters=letters,
        quarantined=sum(letter.frames for letter in letters),
        torn_bytes=torn_bytes,
        left=0,
        known={f.index for f in sound.frames} - hit(sound, damage).gone,
        dead=dead,
    )


def _name(value: bytes) -> tuple[str, int]:
    envelope = json.loads(value)
    return envelope["edgespool"], int(envelope["edgeseq"])


def main(arguments: list[str]) -> int:
    """Try one case, written as a fault names it, and tell what came."""
    pattern = r"Case\(spool='(\w+)', how='(\w+)', name='([\w./]*)', at=(\d+)\)"
    found = re.fullmatch(pattern, arguments[0])
    if found is None:
        sys.stderr.write('usage: python -m tests.faults.damage "Case(…)"\n')
        return 2
    tally = _here(_sounds(), [Case(found[1], found[2], found[3], int(found[4]))])
    sys.stdout.write(f"{tally.row('one case', 'no fault')}\n")
    return 1 if tally.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
