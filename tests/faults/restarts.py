"""Rolling restarts under load: SIGTERM, drain, exit, the next one on the same spool and ports.

The ledger talks on flat out meanwhile. Whatever it is answered while the gateway leaves must be
per contract: a verdict, or ``draining`` with ``Retry-After``; and everybody who was accepted
must be at the origin in the end, once.
"""

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.demo.gateway import GatewayError, Settings
from tests.faults.closing import Closing, close_books
from tests.faults.ledger import SETTINGS, Ledger, Shape, ledger
from tests.faults.row import Row, Scale, Tell
from tests.system.world import World, world

SEED: Final = 20_261_123
SHAPE: Final = Shape(services=12, players=4)
RESTARTS: Final[Mapping[Scale, int]] = {Scale.SHORT: 3, Scale.FULL: 100}
LIFE_S: Final = (0.5, 2.0)  # drawn between; who was told ``draining`` waits a second of it
EXIT_MAX_S: Final = 25.0
"""``node.drain_s`` (20), and what the loop, the last sync and the interpreter take."""

GIVE_UP_S: Final = 40.0  # a gateway that takes longer is killed, and the exit counted as late
PROGRESS_EVERY: Final = 10
SECTIONS: Final[Mapping[str, Settings]] = {
    **SETTINGS,
    "node": {"drain_s": 20},
    "spool": {"retained_bytes_max": "16MiB"},
}


@dataclass(slots=True)
class Rota:
    """Lives of one spool, each ended in order.

    Attributes:
        exits_s: How long each took from SIGTERM to its end, s.
        faults: What must not have happened, in words.
    """

    exits_s: list[float] = field(default_factory=list[float])
    faults: list[str] = field(default_factory=list[str])

    def live(self, here: World, life_s: float) -> None:
        """One life under load, and its orderly end."""
        time.sleep(life_s)
        began_s = time.monotonic()
        try:
            code = here.gateway.stop(GIVE_UP_S)
        except GatewayError as error:
            self.faults.append(str(error))
            code = 0
        self.exits_s.append(time.monotonic() - began_s)
        if code:
            self.faults.append(f"exit code {code} after SIGTERM")


def roll(restarts: int, room: Path, tell: Tell, seed: int) -> tuple[Rota, Closing]:
    """Restart so often under load, then compare the books."""
    rota, rng = Rota(), random.Random(seed)  # noqa: S311  # replayable, no secret
    with ledger(room, seed) as book, world(room, SECTIONS) as here:
        here.jwks.write_text(book.jwks)
        here.gateway.start()
        book.begin(here.gateway.public, SHAPE)
        for number in range(1, restarts + 1):
            rota.live(here, rng.uniform(*LIFE_S))
            here.gateway.start()
            if number % PROGRESS_EVERY == 0:
                tell(_progress(number, book, rota))
        return rota, close_books(here, book)


def _progress(number: int, book: Ledger, rota: Rota) -> str:
    account = book.mark()
    return (
        f"{number} restarts, {account.accepted:,} accepted, slowest exit "
        f"{max(rota.exits_s):.1f} s, {account.broken} requests without an answer"
    )


def restarts(scale: Scale, room: Path, tell: Tell, *, seed: int = SEED) -> Iterator[Row]:
    """Rolling restarts under load: SIGTERM and a new start."""
    count = RESTARTS[scale]
    tell(f"seed {seed}")
    rota, closing = roll(count, room, tell, seed)
    slowest_s = max(rota.exits_s)
    faults = (*rota.faults, *closing.faults)
    put_off = closing.account.refused.get("draining", 0)
    yield Row(
        f"{count} rolling restarts under load",
        f"0 lost, every exit ≤ {EXIT_MAX_S:.0f} s",
        f"{closing.found}, slowest exit {slowest_s:.1f} s, {put_off:,} told `draining`, "
        f"{closing.account.broken:,} requests without an answer",
        not faults and slowest_s <= EXIT_MAX_S and len(rota.exits_s) == count,
        faults,
    )
