"""Rolling restarts under load: SIGTERM, drain, exit, the next one on the same spool and ports.

The ledger talks on meanwhile, in the full form flat out. Whatever it is answered while the gateway
leaves must be per contract: a verdict, or ``draining`` with ``Retry-After``; and everybody who was
accepted must be at the origin in the end, once.
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
SHAPES: Final[Mapping[Scale, Shape]] = {
    # At most so much: what a fast machine says more must be compared, too.
    Scale.SHORT: Shape(services=12, players=4, batch=20, per_s=3_000),
    Scale.FULL: Shape(services=12, players=4),
}
RESTARTS: Final[Mapping[Scale, int]] = {Scale.SHORT: 2, Scale.FULL: 100}
LIFE_S: Final = (0.5, 2.0)  # drawn between; who was told ``draining`` waits a second of it
EVENTS_MIN: Final = 50
"""Accepted in each life: on a machine that is slower than a hundred a second it is longer."""

BROKEN_MAX: Final[Mapping[Scale, int]] = {Scale.SHORT: 8, Scale.FULL: 1}
"""Requests without an answer, of each restart. The kernel resets a connection that lines up
between the last accept and the end of the listening socket; who speaks now and then, as in the
short form, may meet an idle connection's end (RFC 9112 §9.6). One that drops all is far above."""

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

    def live(self, here: World, book: Ledger, life_s: float) -> None:
        """One life under load, and its orderly end."""
        wanted = book.mark().accepted + EVENTS_MIN
        time.sleep(life_s)
        here.wait(lambda: book.mark().accepted >= wanted, "events are accepted")
        began_s = time.monotonic()
        try:
            code = here.gateway.stop(GIVE_UP_S)
        except GatewayError as error:
            self.faults.append(str(error))
            code = 0
        self.exits_s.append(time.monotonic() - began_s)
        if code:
            self.faults.append(f"exit code {code} after SIGTERM")


def roll(scale: Scale, room: Path, tell: Tell, seed: int) -> tuple[Rota, Closing]:
    """Restart again and again under load, then compare the books."""
    rota, rng = Rota(), random.Random(seed)  # noqa: S311  # replayable, no secret
    with ledger(room, seed) as book, world(room, SECTIONS) as here:
        here.jwks.write_text(book.jwks)
        here.gateway.start()
        book.begin(here.gateway.public, SHAPES[scale])
        for number in range(1, RESTARTS[scale] + 1):
            rota.live(here, book, rng.uniform(*LIFE_S))
            here.gateway.start()
            if number % PROGRESS_EVERY == 0:
                tell(_progress(number, book, rota))
        count = RESTARTS[scale]
        owed_min, broken_max = EVENTS_MIN * count, BROKEN_MAX[scale] * count
        return rota, close_books(here, book, owed_min=owed_min, broken_max=broken_max)


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
    rota, closing = roll(scale, room, tell, seed)
    slowest_s = max(rota.exits_s)
    is_timely = scale is Scale.SHORT or slowest_s <= EXIT_MAX_S
    put_off = closing.account.refused.get("draining", 0)
    # Somebody always is: a gateway that tells nobody does not leave in order.
    untold = () if put_off else ("nobody was told `draining`",)
    faults = (*rota.faults, *untold, *closing.faults)
    yield Row(
        f"{count} rolling restarts under load",
        f"0 lost, every exit ≤ {EXIT_MAX_S:.0f} s, leaves by `draining`, at most "
        f"{BROKEN_MAX[scale]} request a restart without an answer",
        f"{closing.found}, slowest exit {slowest_s:.1f} s, {put_off:,} told `draining`, "
        f"{closing.account.broken:,} requests without an answer",
        not faults and is_timely and len(rota.exits_s) == count,
        faults,
    )
