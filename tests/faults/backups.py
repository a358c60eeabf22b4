"""An older copy of a spool is put back, whole or in part: it starts, and invents nothing.

*Theory of operation.* A gateway is killed and its spool copied, as an operator would; it goes
on. Where what is put back replaces all there is, everything has been forwarded before that (what
an operator throws away is lost); else the gateway is killed again. Then the spool is put together from the copy and from what is
there now, and the gateway starts on that. What the copy held and what was accepted since may
come again; then it has the same numbers and bytes, or, where recall cannot know it any more,
other numbers. Nothing may be lost, and no number may name two records: every start numbers in
a run of its own.
"""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from edge.demo.evening import drain
from edge.shell.spool.segment import INDEX_SUFFIX, SEGMENT_SUFFIX
from tests.faults.closing import close_books
from tests.faults.ledger import SETTINGS, Allowed, Shape, ledger
from tests.faults.row import Row, Scale, Tell
from tests.system.world import world

SEED: Final = 20_261_123
SHAPE: Final = Shape(services=4, players=2, batch=20, per_s=2000, repeats=False)
"""Nobody repeats what was answered: an older spool does not know it, and need not."""

TALK_S: Final = 0.7
GOAL: Final = "starts, 0 lost, no number for two records"
AGAIN: Final = Allowed(again=True)
"""The window is documented: it is what the spool holds."""

Restore: TypeAlias = Callable[[Path, Path], None]
"""Puts parts of a copy (the first) into a spool (the second), whose gateway does not run."""


def backups(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """Put back a spool's older copy, in every part that matters."""
    chosen = _STORIES if scale is Scale.FULL else _STORIES[:1]
    for number, (name, restore) in enumerate(chosen):
        tell(f"{name}: seed {SEED}")
        place = room / f"backup-{number}"
        place.mkdir()
        yield _told(f"restored: {name}", restore, place)


def _told(name: str, restore: Restore, place: Path) -> Row:
    """Play one story from the first event to the audit."""
    with ledger(place, SEED) as book, world(place, SETTINGS) as here:
        here.jwks.write_text(book.jwks)
        gateway, copy = here.gateway, place / "copy"
        gateway.start()
        book.begin(gateway.public, SHAPE)
        time.sleep(TALK_S)
        gateway.kill()
        _copy(here.spool, copy)
        gateway.start()
        book.begin(gateway.public, SHAPE)
        time.sleep(TALK_S)
        faults: list[str] = []
        if restore in _REPLACING:
            book.rest()
            faults = drain(gateway)
        gateway.kill()
        restore(copy, here.spool)
        gateway.start()
        book.begin(gateway.public, SHAPE)
        time.sleep(TALK_S)
        closing = close_books(here, book, allowed=AGAIN)
    again = f"{closing.found}, {closing.findings.again:,} under another"
    faults += closing.faults
    return Row(name, GOAL, again, not faults, tuple(faults))


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target)


def _whole(copy: Path, spool: Path) -> None:
    shutil.rmtree(spool)
    _copy(copy, spool)


def _segments(copy: Path, spool: Path) -> None:
    for suffix in (SEGMENT_SUFFIX, INDEX_SUFFIX):
        for file in spool.glob(f"*/*/*{suffix}"):
            file.unlink()
        for file in copy.glob(f"*/*/*{suffix}"):
            shutil.copy2(file, spool / file.relative_to(copy))


def _cursors(copy: Path, spool: Path) -> None:
    for file in copy.glob("*/*/cursor"):
        shutil.copy2(file, spool / file.relative_to(copy))


def _no_cursors(_: Path, spool: Path) -> None:
    for file in spool.glob("*/*/cursor"):
        file.unlink()


def _no_identity(_: Path, spool: Path) -> None:
    (spool / "0" / "id").unlink()


_STORIES: Final[tuple[tuple[str, Restore], ...]] = (
    ("a whole older copy", _whole),
    ("older segments, the cursor ahead of them", _segments),
    ("an older cursor", _cursors),
    ("no cursor", _no_cursors),
    ("no id file", _no_identity),
)
_REPLACING: Final = (_whole, _segments)
