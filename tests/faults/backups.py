"""An older copy of a spool is put back, whole or in part: it starts, and invents nothing.

*Theory of operation.* A gateway is killed and its spool copied, as an operator would; it goes
on. Where what is put back replaces all there is, everything has been forwarded before that (what
an operator throws away is lost); else the gateway is killed again. Then the spool is put together
from the copy and from what is there now, and the gateway starts on that. What the copy held and
what was accepted since may come again; then it has the same numbers and bytes. Other numbers it may have only where recall
cannot know it any more: what it knows is read from the records that the spool holds, and is of
no use under another identity. Nothing may be lost, and no number may name two records: every
start numbers in a run of its own.
"""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeAlias

from edge.demo.evening import drain
from tests.faults import faults
from tests.faults.closing import DRAIN_TIMEOUT_S, close_books
from tests.faults.ledger import SETTINGS, Account, Allowed, Ledger, Shape, ledger
from tests.faults.row import Row, Scale, Tell
from tests.system.world import World, world

SEED: Final = 20_261_123
SHAPE: Final = Shape(services=4, players=2, batch=20, per_s=2000)
"""After each kill what was answered is said again, and must be known."""

EVENTS: Final = 500  # of each life, at least
GOAL: Final = "starts, 0 lost, no number for two records"
Restore: TypeAlias = Callable[[Path, Path], None]
"""Puts parts of a copy (the first) into a spool (the second), whose gateway does not run."""


@dataclass(frozen=True, slots=True)
class Story:
    """What is put back, and what may come of it.

    Attributes:
        what: In words.
        restore: Does it.
        is_replacing: Whether what was there before is gone.
        is_forgetful: Whether what was accepted before may be accepted anew, and come under two
            numbers: the documented window is what the spool holds. Then nobody says again what
            was answered.
    """

    what: str
    restore: Restore
    is_replacing: bool = False
    is_forgetful: bool = False


STORIES: Final = (
    Story("a whole older copy", faults.restore_all, is_replacing=True, is_forgetful=True),
    Story(
        "older segments, the cursor ahead of them",
        faults.restore_segments,
        is_replacing=True,
        is_forgetful=True,
    ),
    Story("an older cursor", faults.restore_cursors),
    Story("no cursor", faults.lose_cursors),
    Story("no id file", faults.lose_identity, is_forgetful=True),
)


def backups(scale: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """Put back a spool's older copy, in every part that matters."""
    chosen = STORIES if scale is Scale.FULL else STORIES[:1]
    for number, story in enumerate(chosen):
        tell(f"{story.what}: seed {SEED}")
        place = room / f"backup-{number}"
        place.mkdir()
        yield _told(story, place)


def _told(story: Story, place: Path) -> Row:
    """Play one story from the first event to the audit."""
    with ledger(place, SEED) as book, world(place, SETTINGS) as here:
        here.jwks.write_text(book.jwks)
        gateway, copy = here.gateway, place / "copy"
        shape = replace(SHAPE, repeats=not story.is_forgetful)
        _live(here, book, shape)
        gateway.kill()
        shutil.copytree(here.spool, copy)
        _live(here, book, shape)
        wrong: list[str] = []
        if story.is_replacing:
            book.rest()
            wrong = drain(gateway, DRAIN_TIMEOUT_S)
        gateway.kill()
        wrong += unrestored(story.restore, copy, here.spool)
        begun = _live(here, book, shape)
        closing = close_books(
            here,
            book,
            owed_min=3 * EVENTS,
            broken_max=begun.broken,
            allowed=Allowed(again=story.is_forgetful),
        )
    again = f"{closing.found}, {closing.findings.again:,} under another"
    wrong += closing.faults
    return Row(f"restored: {story.what}", GOAL, again, not wrong, tuple(wrong))


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


def _live(here: World, book: Ledger, shape: Shape) -> Account:
    """Start the gateway; return the books of then, when some events were accepted."""
    here.gateway.start()
    begun = book.begin(here.gateway.public, shape)
    wanted = begun.accepted + EVENTS
    here.wait(lambda: book.mark().accepted >= wanted, "events are accepted")
    return begun
