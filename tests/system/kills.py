"""SIGKILL between answer and retry, again and again: ``python -m tests.system.kills N``.

*Theory of operation.* One gateway after another lives on the same spool and ports. In each life
the clients first send again what the last life left without a settled verdict, then say
something new, and the gateway is killed in one of three ways:

============  =========================================================================
answered      one event, its answer is read, the kill follows at once
unanswered    one event, the kill comes a random moment after its last byte
burst         several connections at once, the kill comes after the first answers
============  =========================================================================

What was answered must be a ``duplicate`` when it is sent again; what was not may be either, and
is durable in any case. At the end everything is forwarded, and the origin's log is compared
with the clients' ledger by :mod:`edge.demo.audit`, run as a program of its own: each accepted
event once by (``edgespool``, ``edgeseq``), as it was sent, in its player's order, without a
gap.
"""

import json
import random
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

from edge.demo import audit
from edge.demo.evening import drain
from edge.demo.ledger import Entry, Ledger
from edge.demo.payloads import Visit
from tests.system.raw import Answer, Line, NoAnswerError
from tests.system.world import TABLE, World, world

SEED: Final = 20_261_122
PLAYERS: Final = 5
BURST_EVENTS_MAX: Final = 8
# From before the first read of the request to after its answer.
KILL_DELAY_MAX_S: Final = 0.006
PROGRESS_EVERY: Final = 50
# One lost record may be a hundred faults; these tell what kind it is.
FAULTS_SHOWN: Final = 20
AUDIT_TIMEOUT_S: Final = 60.0


@dataclass(slots=True)
class Client:
    """One player, who never says anything new before the last is settled.

    Attributes:
        visit: The session.
        headers: Of all requests.
        answered: Entries whose 2xx was read; sent again they must be duplicates.
        unanswered: Entries whose answer never came.
        line: The connection of this life.
    """

    visit: Visit
    headers: dict[str, str]
    answered: list[Entry] = field(default_factory=list[Entry])
    unanswered: list[Entry] = field(default_factory=list[Entry])
    line: Line | None = None

    def send(self, world: World, entries: list[Entry]) -> Line:
        """Send *entries* as one batch over the connection of this life."""
        self.line = self.line or world.line()
        body = json.dumps([entry.event for entry in entries]).encode()
        self.line.post(body, self.headers, f"/v1/events?k={self.visit.subject}")
        return self.line

    def hang_up(self) -> None:
        """End this life's connection."""
        if self.line is not None:
            self.line.close()
            self.line = None


@dataclass(slots=True)
class Siege:
    """All lives of one spool.

    Attributes:
        world: The gateway and its surroundings.
        rng: All chance.
        clients: The players.
        ledger: What they sent and were told.
        counts: Kills by kind, retries by outcome.
        starts_s: How long each start took, s.
        faults: What must not have happened, in words.
    """

    world: World
    rng: random.Random
    clients: list[Client]
    ledger: Ledger = field(default_factory=Ledger)
    counts: Counter[str] = field(default_factory=Counter[str])
    starts_s: list[float] = field(default_factory=list[float])
    faults: list[str] = field(default_factory=list[str])

    def live_once(self) -> None:
        """One life: start, settle the last one's events, say something new, be killed."""
        began_s = time.monotonic()
        self.world.gateway.start()
        self.starts_s.append(time.monotonic() - began_s)
        self._retry()
        kind = self.rng.choices(("answered", "unanswered", "burst"), (3, 1, 1))[0]
        self.counts[kind] += 1
        {"answered": self._answered, "unanswered": self._unanswered, "burst": self._burst}[
            kind
        ]()
        for client in self.clients:
            client.hang_up()

    def settle(self) -> None:
        """The last life: retry, forward everything, leave in order, have the books compared."""
        self.world.gateway.start()
        self._retry()
        self.faults += drain(self.world.gateway)
        if code := self.world.gateway.stop():
            self.faults.append(f"exit code {code} after SIGTERM")
        for client in self.clients:
            client.hang_up()
        self.faults += self.ledger.complaints
        self.faults += _audited(self.world.room, self.ledger)

    def _retry(self) -> None:
        for client in self.clients:
            if client.answered:
                answer = client.send(self.world, client.answered).answer()
                self._expect(answer, duplicates=len(client.answered), of=client.answered)
                self.counts["retried, answered before"] += len(client.answered)
            if client.unanswered:
                answer = client.send(self.world, client.unanswered).answer()
                self._durable(client.unanswered, answer)
                self.counts["retried, durable before"] += cast("int", answer.json["duplicate"])
                self.counts["retried, unknown before"] += cast("int", answer.json["accepted"])
            client.answered, client.unanswered = [], []

    def _answered(self) -> None:
        client = self.rng.choice(self.clients)
        entries = self._something_new(client, 1)
        answer = client.send(self.world, entries).answer()
        self.world.gateway.kill()
        self._durable(entries, answer)
        client.answered = entries

    def _unanswered(self) -> None:
        client = self.rng.choice(self.clients)
        entries = self._something_new(client, 1)
        client.send(self.world, entries)
        time.sleep(self.rng.uniform(0, KILL_DELAY_MAX_S))
        self.world.gateway.kill()
        self._read_what_came(client, entries)

    def _burst(self) -> None:
        said = {
            client.visit.subject: self._something_new(
                client, self.rng.randrange(1, BURST_EVENTS_MAX)
            )
            for client in self.clients
        }
        lines = [client.send(self.world, said[client.visit.subject]) for client in self.clients]
        select.select(lines, [], [])
        time.sleep(self.rng.uniform(0, KILL_DELAY_MAX_S / 2))
        self.world.gateway.kill()
        for client in self.clients:
            self._read_what_came(client, said[client.visit.subject])

    def _read_what_came(self, client: Client, entries: list[Entry]) -> None:
        """What the kernel had received before the kill was answered; the rest was not."""
        assert client.line is not None
        try:
            answer = client.line.answer()
        except NoAnswerError:
            client.unanswered = entries
            for entry in entries:
                entry.unanswered += 1
        else:
            client.answered = entries
            self._durable(entries, answer)

    def _something_new(self, client: Client, count: int) -> list[Entry]:
        return [
            self.ledger.enter(client.visit.subject, TABLE.spin(client.visit, 100))
            for _ in range(count)
        ]

    def _durable(self, entries: list[Entry], answer: Answer) -> None:
        """Write down the first verdict of *entries*, all of which must be durable."""
        if answer.status != 202 or answer.refusals:
            self.faults.append(f"answered {answer.status} {answer.body!r}")
            return
        accepted, duplicate = answer.counts
        self.ledger.settle(entries, cast("int", accepted), cast("int", duplicate))

    def _expect(self, answer: Answer, *, duplicates: int, of: list[Entry]) -> None:
        if answer.status != 202 or answer.counts != (0, duplicates):
            numbers = [entry.number for entry in of]
            self.faults.append(f"entries {numbers}, sent again: {answer.body!r}")


def besiege(kills: int, room: Path, tell: Callable[[str], None]) -> Siege:
    """Kill the gateway *kills* times; return everything that was seen."""
    with world(room) as here:
        visits = [here.visit(f"{n}") for n in range(PLAYERS)]
        clients = [Client(visit, here.headers(visit)) for visit in visits]
        siege = Siege(here, random.Random(SEED), clients)  # noqa: S311  # replayable, no secret
        for n in range(1, kills + 1):
            siege.live_once()
            if n % PROGRESS_EVERY == 0:
                recent_s = siege.starts_s[-PROGRESS_EVERY:]
                tell(f"{n} kills, {sum(recent_s) / len(recent_s):.2f} s a start lately")
            if siege.faults:
                break
        siege.settle()
        return siege


def _audited(room: Path, ledger: Ledger) -> Iterator[str]:
    ledger.save(room / "ledger.jsonl")
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            audit.__file__,
            str(room / "origin"),
            str(room / "ledger.jsonl"),
        ],
        stdout=subprocess.PIPE,
        check=False,
        timeout=AUDIT_TIMEOUT_S,
    )
    yield from cast("list[str]", json.loads(done.stdout)["faults"])


def main(arguments: list[str]) -> int:
    """Besiege, tell, and return 1 if anything was at fault."""
    kills = int(arguments[0]) if arguments else 1000

    def tell(line: str) -> None:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()

    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="edge-kills-") as room:
        siege = besiege(kills, Path(room), tell)
    tell(", ".join(f"{count} {what}" for what, count in sorted(siege.counts.items())))
    for fault in siege.faults[:FAULTS_SHOWN]:
        tell(f"FAULT: {fault}")
    tell(
        f"{len(siege.starts_s)} kills in {time.monotonic() - began_s:.0f} s, "
        f"{len(siege.ledger.entries)} events, {len(siege.faults)} faults"
    )
    return 1 if siege.faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
