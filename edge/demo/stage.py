"""Everything one evening needs, wired, and cleared away afterwards whatever happens."""

import contextlib
import random
import tempfile
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from edge.demo.gateway import Gateway, Settings
from edge.demo.issuer import AUDIENCE, Issuer
from edge.demo.ledger import Ledger
from edge.demo.mischief import Trickster
from edge.demo.narrator import Narrator
from edge.demo.payloads import Visit
from edge.demo.player import Casino, Player
from edge.demo.speaker import Desk, Speaker
from edge.demo.stream import StreamSpeaker
from edge.demo.wire import Connection, Traffic

Person: TypeAlias = tuple[str, str, str]
"""Name, brand, jurisdiction."""

# One burst of an evening is over it (mischief.HAMMER_EVENTS); one player's play never is.
PLAYER_QUOTA: Final = {"quota": 600, "window_s": 60, "burst": 40}
# All of them share one loopback address.
ADDRESS_QUOTA: Final = {"quota": 60_000, "window_s": 60, "burst": 6000}
# Many times what an evening spools, little on anybody's laptop.
SPOOL_BYTES_MAX: Final = 1 << 30
# Below gateway.STOP_TIMEOUT_S.
DRAIN_S: Final = 10
DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Stage:
    """The parts of one evening.

    Attributes:
        seed: Of all chance.
        seconds: How long the players play.
        issuer: Signs everybody's tokens.
        impostor: Signs with a key nobody serves.
        gateway: The process under proof.
        narrator: Tells.
        room: Where files go.
        ledger: The clients' book.
        traffic: Everybody's requests.
    """

    seed: int
    seconds: float
    issuer: Issuer
    impostor: Issuer
    gateway: Gateway
    narrator: Narrator
    room: Path
    ledger: Ledger = field(default_factory=Ledger)
    traffic: Traffic = field(default_factory=Traffic)

    def visit(self, person: Person) -> Visit:
        """Let *person* in, with chance of its own: others' pace must not change it."""
        name, brand, jurisdiction = person
        rng = random.Random(f"{self.seed}:{name}")  # noqa: S311  # replayable play, no secret
        return Visit(f"player-{name}", brand, jurisdiction, rng)

    def casino(self) -> Casino:
        """Open the services' desks."""
        return Casino(
            pam=self._desk("pam", "player"),
            games=self._desk("game-servers", "bet", "game"),
            wallet=self._desk("cashier", "wallet", "bonus"),
        )

    def player(self, person: Person, casino: Casino, stream: StreamSpeaker | None) -> Player:
        """Seat one player, who speaks over *stream*, or else by HTTP."""
        visit = self.visit(person)
        client = stream or self._speaker(visit.subject, self.token(visit))
        return Player(visit, client, casino)

    def stream(self, person: Person) -> StreamSpeaker:
        """Give one player a socket; the session is that of :meth:`visit`."""
        visit = self.visit(person)
        return StreamSpeaker(
            name=visit.subject,
            token=self.issuer.player(visit, scope="events:write stream:read"),
            address=self.gateway.public,
            ledger=self.ledger,
            traffic=self.traffic,
            rng=random.Random(f"{self.seed}:{person[0]}:returns"),  # noqa: S311  # no secret
            tell=self.narrator.tell,
        )

    def trickster(self, person: Person) -> Trickster:
        """Let the bad guest in."""
        visit = self.visit(person)
        name = visit.subject
        yesterday_s = time.time_ns() // 1_000_000_000 - DAY_S
        expired = self.issuer.player(visit, iat=yesterday_s, exp=yesterday_s + 60)
        return Trickster(
            visit,
            self._speaker(name, self.token(visit)),
            self.stream(person),
            self._speaker(f"{name}-forging", self.impostor.player(visit)),
            self._speaker(f"{name}-late", expired),
        )

    def token(self, visit: Visit) -> str:
        """Sign what a player's client carries."""
        return self.issuer.player(visit)

    def _desk(self, name: str, *lanes: str) -> Desk:
        return Desk(self._speaker(name, self.issuer.service(name, *lanes)))

    def _speaker(self, name: str, token: str) -> Speaker:
        line = Connection(self.gateway.public, self.traffic)
        return Speaker(name, token, line, self.ledger)


@contextlib.contextmanager
def set_stage(seed: int, seconds: float, narrator: Narrator) -> Generator[Stage]:
    """Set the stage, and clear it whatever happens on it."""
    with tempfile.TemporaryDirectory(prefix="edge-demo-") as directory, Issuer() as issuer:
        room = Path(directory)
        gateway = Gateway(room, settings(room, issuer))
        try:
            yield Stage(seed, seconds, issuer, Issuer(), gateway, narrator, room)
        finally:
            gateway.close()


def settings(room: Path, issuer: Issuer) -> dict[str, Settings | list[Settings]]:
    """Write down how the evening's gateway is set."""
    keys = {"issuer": issuer.name, "audience": AUDIENCE, "jwks_url": issuer.jwks_url}
    return {
        "node": {"name": "demo-1", "region": "demo", "drain_s": DRAIN_S},
        "auth.issuers": [keys],
        "limits.player": PLAYER_QUOTA,
        "limits.address": ADDRESS_QUOTA,
        "spool": {"path": str(room / "spool"), "bytes_max": SPOOL_BYTES_MAX},
        "origin": {"url": f"log:{room / 'origin'}"},
    }
