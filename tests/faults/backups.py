"""An older copy of a spool is put back, whole or in part: it starts, and invents nothing.

*Theory of operation.* A gateway is killed and its spool copied, as an operator would; it goes
on. Where what is put back replaces all there is, everything has been forwarded before that (what
an operator throws away is lost); else the gateway is killed again. Then the spool is put together from the copy and from what is
there now, and the gateway starts on that. What the copy held and what was accepted since may
come again; then it has the same numbers and bytes, or, where recall cannot know it any more,
other numbers. Nothing may be lost, and no number may name two records: every start numbers in
a run of its own.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeAlias

from edge.demo.evening import drain
from edge.shell.spool.segment import INDEX_SUFFIX, SEGMENT_SUFFIX
from tests.faults.closing import DRAIN_TIMEOUT_S, close_books
from tests.faults.ledger import SETTINGS, Account, Allowed, Ledger, Shape, ledger
from tests.faults.row import Row, Scale, Tell
from tests.system.world import World, world

SEED: Final = 20_261_123
SHAPE: Final = Shape(services=4, players=2, batch=20, per_s=2000, repeats=False)
"""Nobody repeats what was answered: an older spool does not know it, and need not."""

EVENTS: Final = 500  # of each life, at least
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
        _live(here, book)
        gateway.kill()
        _copy(here.spool, copy)
        _live(here, book)
        faults: list[str] = []
        if restore in _REPLACING:
            book.rest()
            faults = drain(gateway, DRAIN_TIMEOUT_S)
        gateway.kill()
        faults += unrestored(restore, copy, here.spool)
        begun = _live(here, book)
        closing = close_books(
            here, book, owed_min=3 * EVENTS, broken_max=begun.broken, allowed=AGAIN
        )
    again = f"{closing.found}, {closing.findings.again:,} under another"
    faults += closing.faults
    return Row(name, GOAL, again, not faults, tuple(faults))


def unrestored(restore: Restore, copy: Path, spool: Path) -> list[str]:
    """Restore; say so if that changed nothing: then nothing is tried."""
    before = _contents(spool)
    restore(copy, spool)
    return ["nothing was restored"] if _contents(spool) == before else []


def _contents(spool: Path) -> dict[Path, bytes]:
    return {
        file: hashlib.blake2b(file.read_bytes()).digest()
        for file in spool.rglob("*")
        if file.is_file()
    }


def _live(here: World, book: Ledger) -> Account:
    """Start the gateway; return the books of then, when some events were accepted."""
    here.gateway.start()
    begun = book.begin(here.gateway.public, SHAPE)
    wanted = begun.accepted + EVENTS
    here.wait(lambda: book.mark().accepted >= wanted, "events are accepted")
    return begun


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
