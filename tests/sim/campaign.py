"""Many seeds, on several processors: the first that breaks a rule, or none."""

import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.faults.row import Row, Scale, Tell
from tests.sim.limits import confine
from tests.sim.run import STEPS, Failure, explored, first_failure

SEEDS: Final = 100_000
SHORT_SEEDS: Final = 100
_SEEDS_AT_ONCE: Final = 25
"""Handed to one process: half a second of work, so that a failure is told soon."""

TREES: Final = ((6, 0), (3, 1))
"""Traces that are tried completely: steps, and calls that fail."""

SHORT_TREES: Final = ((4, 0), (2, 1))

_TOLD_EVERY_S: Final = 30.0


def simulation(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """Simulate; the room stays empty."""
    del room
    count = SEEDS if scale is Scale.FULL else SHORT_SEEDS
    began_s = time.monotonic()
    failure = search(range(count), STEPS, os.cpu_count() or 1, tell)
    yield Row(
        what=f"deterministic simulation: {count:,} seeds of {STEPS} steps",
        goal="0 violations",
        found="0 violations" if failure is None else f"seed {failure.seed} of {count:,}",
        is_reached=failure is None,
        faults=() if failure is None else (str(failure),),
    )
    tell(f"simulated in {(time.monotonic() - began_s) / 60:.1f} min")
    for length, errors in TREES if scale is Scale.FULL else SHORT_TREES:
        ways, replay = explored(length, errors)
        yield Row(
            what=f"all crash states of all traces of {length} steps, {errors} failing calls",
            goal="0 violations",
            found=f"{'a violation' if replay else '0 violations'} in {ways:,} states",
            is_reached=bool(ways) and not replay,
            faults=(replay,) if replay else (),
        )


def search(seeds: range, steps: int, processes: int, tell: Tell) -> Failure | None:
    """Live through *seeds*; return the first of them that breaks a rule."""
    chunks = [
        (seeds[at : at + _SEEDS_AT_ONCE], steps) for at in range(0, len(seeds), _SEEDS_AT_ONCE)
    ]
    told_s = time.monotonic()
    # Not forked: a child must not inherit locks that another thread of ours holds.
    with multiprocessing.get_context("spawn").Pool(processes, confine) as pool:
        for done, failure in enumerate(pool.imap(_look, chunks), 1):
            if failure is not None:
                return failure
            if time.monotonic() - told_s > _TOLD_EVERY_S:
                told_s = time.monotonic()
                tell(f"{done * _SEEDS_AT_ONCE:,} of {len(seeds):,} seeds")
    return None


def _look(chunk: tuple[range, int]) -> Failure | None:
    return first_failure(*chunk)
