"""Every call that a spool makes of its file system goes wrong once, one after the other.

In: a scale. Out: one row for each way of going wrong. A first telling of the story
(:mod:`tests.faults.io_errors_story`) only counts the calls; then it is told again for each of
them, with that one hurt. Threads make the count of a telling vary a little, so some orders at
the end are never carried out; the row says how many were.
"""

import errno
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from tests.fakes_http_origin import receiver
from tests.faults import faults
from tests.faults.io_errors_story import BOUNDS, SETTINGS, Story
from tests.faults.launcher import launcher
from tests.faults.preload import (
    ALL_KINDS,
    NEVER,
    TAKE_ROOM,
    WRITES,
    Kind,
    Preload,
    build,
    missing,
)
from tests.faults.row import Row, Scale, Tell
from tests.system.world import world

GOAL: Final = (
    "each call once (≥ 95 %): 0 lost, one verdict each, heals by itself, "
    "no failed descriptor used again"
)
AT_ONCE: Final = 2  # tellings, on two cores; each waits about as long as it works
HURT_MIN: Final = 0.95
"""Of the tellings asked for: the rest had fewer calls than the first, and ended before theirs.

The first sets the number of all: of six, five had 943 calls and one 945, with a write more, since
threads decide what falls into one commit."""

PROGRESS_EVERY: Final = 50


@dataclass(frozen=True, slots=True)
class Way:
    """One way of going wrong.

    Attributes:
        what: In words.
        kinds: The calls that can.
        hurt: Has one of those, counted from 1, go wrong so; ``NEVER``: they are only counted.
    """

    what: str
    kinds: frozenset[Kind]
    hurt: Callable[[Preload, int], None]


def _failing(what: str, kinds: frozenset[Kind], error: int) -> Way:
    return Way(what, kinds, partial(faults.fail_call, kinds=kinds, error=error))


CHANGES: Final = ALL_KINDS - {Kind.READ, Kind.LIST, Kind.STAT, Kind.CLOSE}
WAYS: Final = (
    _failing("EIO", ALL_KINDS, errno.EIO),
    Way(
        "EIO, and it was done all the same",
        CHANGES,
        partial(faults.belie_call, kinds=CHANGES, error=errno.EIO),
    ),
    _failing("ENOSPC", TAKE_ROOM, errno.ENOSPC),
    Way("a write is cut short", WRITES, faults.cut_write),
    _failing("EMFILE", frozenset({Kind.OPEN, Kind.LIST}), errno.EMFILE),
)


@dataclass(frozen=True, slots=True)
class Telling:
    """What one telling came to.

    Attributes:
        calls: Counted in it, by kind.
        scene: What was hurt; ``""``: nothing.
        refusals: Starts that were refused.
        faults: What must not have happened.
    """

    calls: Mapping[Kind, int]
    scene: str
    refusals: int
    faults: Sequence[str]


def io_errors(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """Hurt each call that a spool makes, once; or, in short, a few of them."""
    if lacking := missing():
        tell(f"SKIPPED: I/O errors: {lacking}")
        yield Row("I/O errors", GOAL, f"skipped: {lacking}", is_reached=False)
        return
    library = build(room)
    plain = _tell_story(room, library, WAYS[0], NEVER)
    with ThreadPoolExecutor(AT_ONCE) as tellers:
        for way in WAYS:
            count = sum(plain.calls[kind] for kind in way.kinds)
            calls = range(1, count + 1) if scale is Scale.FULL else [_chosen(way, count)]
            tell(f"{way.what}: {len(calls)} of {count} calls, one after the other")
            told: list[Telling] = []
            for each in tellers.map(partial(_tell_story, room, library, way), calls):
                told.append(each)
                if len(told) % PROGRESS_EVERY == 0:
                    tell(f"{way.what}: {len(told)} of {len(calls)}")
            yield row(way, told)


def _chosen(way: Way, calls: int) -> int:
    """Choose the one call that is hurt in short: another part of the story for each way."""
    return calls * (WAYS.index(way) + 1) // (len(WAYS) + 1)


def row(way: Way, told: Sequence[Telling]) -> Row:
    """Say what became of the tellings, one for each call that was to be hurt."""
    hurt = sum(bool(telling.scene) for telling in told)
    refusals = sum(telling.refusals for telling in told)
    found = f"{hurt:,} of {len(told):,} calls hurt, {refusals} starts refused"
    wrong = tuple(f"{each.scene}: {fault}" for each in told for fault in each.faults)
    is_tried = bool(told) and hurt >= HURT_MIN * len(told)
    return Row(f"one call fails: {way.what}", GOAL, found, is_tried and not wrong, wrong)


def _tell_story(room: Path, library: Path, way: Way, call: int) -> Telling:
    """Tell it with one call hurt; what it leaves is removed if nothing was at fault."""
    own = room / f"{WAYS.index(way)}-{call}"
    own.mkdir()
    with receiver() as origin:
        spool = {"path": str(own / "spool"), **SETTINGS}
        with world(own, {"spool": spool, "origin": {"url": origin.url}}) as here:
            orders = Preload(library, own / "control", here.spool)
            way.hurt(orders, call)
            here.gateway.command = (*orders.launcher, *launcher(bounds=BOUNDS))
            story = Story(here, origin)
            wrong = story.tell()
    if orders.reuse:
        wrong.append(f"used again after it had failed: {orders.reuse}")
    if not wrong:
        shutil.rmtree(own)
    return Telling(orders.counts(), orders.scene, story.refusals, wrong)
