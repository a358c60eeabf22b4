"""A gateway in a directory of its own, an issuer whose keys it has, and who talks to it."""

import contextlib
import json
import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from edge.demo.audit import read_log
from edge.demo.gateway import Gateway, Settings
from edge.demo.issuer import AUDIENCE, Issuer
from edge.demo.ledger import Event
from edge.demo.payloads import Visit
from edge.demo.rounds import Table
from tests.kafka.process import free_ports
from tests.system.raw import Answer, Line

Sections: TypeAlias = dict[str, Settings | list[Settings]]

BATCH: Final = "application/cloudevents-batch+json"
# Longer than anything promised within 10 s, on two busy cores.
WAIT_S: Final = 20.0
POLL_S: Final = 0.05
EMPTY: Final[Mapping[str, Settings]] = {}
TABLE: Final = Table("starburst-7", "sitting-1")


@dataclass(frozen=True, slots=True)
class World:
    """One gateway and its surroundings.

    Attributes:
        room: Its directory: configuration, log, spool, origin, keys.
        issuer: Whose tokens it believes.
        gateway: The process; not started by itself.
    """

    room: Path
    issuer: Issuer
    gateway: Gateway

    @property
    def jwks(self) -> Path:
        """The mounted key file."""
        return self.room / "jwks.json"

    @property
    def spool(self) -> Path:
        """The gateway's spool."""
        return self.room / "spool"

    @property
    def origin(self) -> Path:
        """The origin's log."""
        return self.room / "origin"

    def visit(self, name: str = "ada") -> Visit:
        """Let a player in; the same name is the same session."""
        rng = random.Random(name)  # noqa: S311  # no secret
        return Visit(f"player-{name}", "north", "MT", rng)

    def line(self) -> Line:
        """Connect to the public port."""
        return Line(self.gateway.public)

    def headers(self, speaker: Visit | str, content_type: str = BATCH) -> dict[str, str]:
        """What a request of a player, or of whoever has this token, carries."""
        token = speaker if isinstance(speaker, str) else self.issuer.player(speaker)
        return {"authorization": f"Bearer {token}", "content-type": content_type}

    def say(self, speaker: Visit | str, *events: Event) -> Answer:
        """Send one batch over a connection of its own."""
        with self.line() as line:
            line.post(json.dumps(events).encode(), self.headers(speaker))
            return line.answer()

    def ask(self, path: str) -> Answer:
        """GET from the admin port."""
        with Line(self.gateway.admin) as line:
            line.send(f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
            return line.answer()

    def wait(self, until: Callable[[], bool], what: str) -> None:
        """Look again and again.

        Raises:
            AssertionError: *what* did not come within :data:`WAIT_S`.
        """
        end_s = time.monotonic() + WAIT_S
        while not until():
            assert time.monotonic() < end_s, what
            time.sleep(POLL_S)

    def wait_until_ready(self) -> None:
        """Return when ``/readyz`` says so."""
        self.wait(lambda: self.ask("/readyz").status == 200, "ready")

    def wait_until_forwarded(self, *events: Event) -> None:
        """Return when the origin has all *events*."""
        wanted = {event["id"] for event in events}
        self.wait(lambda: wanted <= {each["id"] for each in self.forwarded()}, "forwarded")

    def forwarded(self) -> list[Event]:
        """What the origin's log holds now, repetitions included."""
        return [line.envelope for line in read_log(self.origin)]

    def log_lines(self) -> list[dict[str, object]]:
        """What the gateway wrote on standard error so far, all lives together."""
        return [json.loads(line) for line in self.gateway.log.read_text("utf-8").splitlines()]


@contextlib.contextmanager
def world(room: Path, sections: Mapping[str, Settings] = EMPTY) -> Generator[World]:
    """Build a world in *room*; on the way out nothing of it runs any more.

    Args:
        room: An existing directory.
        sections: Settings that win over ours, by section.
    """
    issuer = Issuer()
    (room / "jwks.json").write_bytes(issuer.jwks())
    keys = {"issuer": issuer.name, "audience": AUDIENCE, "jwks_path": str(room / "jwks.json")}
    settings: Sections = {
        "node": {"name": "test-1", "region": "test", "drain_s": 10},
        "auth.issuers": [keys],
        "spool": {"path": str(room / "spool")},
        "origin": {"url": f"log:{room / 'origin'}"},
    }
    for name, section in sections.items():
        settings[name] = _merged(settings.get(name), section)
    gateway = Gateway(room, settings)
    # Below the ephemeral range: while a killed gateway is down, a client that reconnects may be
    # given any port above, and keep the next one from its own.
    public, admin = free_ports(2)
    gateway.public, gateway.admin = ("127.0.0.1", public), ("127.0.0.1", admin)
    try:
        yield World(room, issuer, gateway)
    finally:
        gateway.close()


def _merged(
    ours: Settings | list[Settings] | None, theirs: Settings
) -> Settings | list[Settings]:
    if isinstance(ours, list):
        return [dict(ours[0]) | dict(theirs)]
    return dict(ours or {}) | dict(theirs)
