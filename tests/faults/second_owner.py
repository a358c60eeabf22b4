"""Two processes want one spool: the second is refused in one line, or waits as it was told.

Nothing of the first one's promise may suffer: the ledger talks to it meanwhile, and then to the
one that waited, which takes over when the first is killed.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from edge.demo.gateway import Gateway, Settings, toml
from edge.demo.issuer import AUDIENCE
from tests.faults import faults
from tests.faults.closing import close_books
from tests.faults.ledger import SETTINGS, Shape, ledger
from tests.faults.row import Row, Scale, Tell
from tests.system.world import World, world

SEED: Final = 20_261_124
SHAPE: Final = Shape(services=4, players=2, batch=20, per_s=500)
LOCK_WAIT_S: Final = 60  # far beyond what a start may take, on whatever machine
EVENTS: Final = 100  # accepted by each of the two, at least
WAIT_S: Final = 0.5  # for the lock, seen to be waited for
GOAL: Final = "exit 1 in one line; who waits takes over; 0 lost"

_COMMANDS: Final = (("serve",), ("spool", "drain"))


def second_owner(_: Scale, room: Path, tell: Tell) -> Iterator[Row]:
    """Start others on the spool of a gateway in use, then one that waits for it."""
    tell(f"second owner: seed {SEED}")
    with ledger(room, SEED) as book, world(room, SETTINGS) as here:
        here.jwks.write_text(book.jwks)
        here.gateway.start()
        book.begin(here.gateway.public, SHAPE)
        wrong = [fault for command in _COMMANDS for fault in _refused(here, command)]
        waiting = _heir(here)
        try:
            start = threading.Thread(target=waiting.start)
            start.start()
            here.wait(lambda: _is_at_the_lock(waiting, here), "the second one is at the lock")
            time.sleep(WAIT_S)
            if not start.is_alive():
                wrong.append("the second one did not wait")
            if unheard := book.mark().broken:
                wrong.append(f"{unheard} requests without an answer while all was well")
            here.gateway.kill()
            start.join(LOCK_WAIT_S)
            begun = book.begin(waiting.public, SHAPE)
            wanted = begun.accepted + EVENTS
            here.wait(lambda: book.mark().accepted >= wanted, "the heir accepts events")
            closing = close_books(
                replace(here, gateway=waiting),
                book,
                owed_min=2 * EVENTS,
                broken_max=begun.broken,
            )
        finally:
            waiting.close()
    missed = (*wrong, *closing.faults)
    found = f"{len(_COMMANDS)} refused, 1 took over; {closing.found}"
    yield Row("a second process on a spool in use", GOAL, found, not missed, missed)


def _refused(here: World, command: tuple[str, ...]) -> Iterator[str]:
    """Run a command that wants the spool; say what is wrong with how it is refused."""
    config = here.room / "second.toml"
    config.write_text(toml(_settings(here)), "utf-8")
    done = faults.second_process(config, *command)
    said = done.stderr.splitlines()
    if done.returncode != 1 or len(said) != 1 or "another process owns" not in said[0]:
        yield f"edge {' '.join(command)}: exit code {done.returncode}, {said}"


def _heir(here: World) -> Gateway:
    """Make a gateway for the same spool and origin that waits for the lock."""
    place = here.room / "heir"
    place.mkdir()
    settings = _settings(here, lock_wait_s=LOCK_WAIT_S)
    del settings["http"], settings["admin"]  # it knows itself where it listens
    return Gateway(place, settings)


def _is_at_the_lock(heir: Gateway, here: World) -> bool:
    """Whether it has opened what the first one holds."""
    lock = here.spool / "0" / "lock"
    process = heir.process
    return process is not None and any(
        each.exists() and each.samefile(lock)  # it may be closed by now
        for each in Path(f"/proc/{process.pid}/fd").iterdir()
    )


def _settings(here: World, **spool: object) -> dict[str, Settings | list[Settings]]:
    """Tell settings for the world's spool and origin; ports are free ones."""
    keys = {"issuer": here.issuer.name, "audience": AUDIENCE, "jwks_path": str(here.jwks)}
    return {
        **SETTINGS,
        "node": {"name": "test-1", "region": "test"},
        "http": {"port": 0},
        "admin": {"port": 0},
        "auth.issuers": [keys],
        "spool": {"path": str(here.spool), **spool},
        "origin": {"url": f"log:{here.origin}"},
    }
