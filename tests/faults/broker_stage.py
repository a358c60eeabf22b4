"""One gateway between the ledger and a broker that is hurt, and what is seen meanwhile.

In: a running broker; out: what must not have happened, in words. Owns the proxy on the
gateway's way to the broker, and copies of what lay in topics that were deleted.
"""

import contextlib
import json
import random
import re
import time
from collections import Counter
from collections.abc import Generator, Mapping, Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, cast

import orjson

from edge.core.lane import Lane
from edge.demo.gateway import Settings
from edge.demo.metrics import WAITING, Counters
from edge.demo.payloads import Visit, interactions
from origin_client.notice import DEAD_TOPIC, REFUSED_TOPIC
from tests.faults.ledger import SETTINGS, Ledger, Shape, ledger
from tests.faults.proxy import Proxy
from tests.faults.row import Scale, Tell
from tests.kafka.broker import Broker
from tests.kafka.tail import Tail
from tests.system.world import World, world

SHAPES: Final[Mapping[Scale, Shape]] = {
    # A tenth of what a gateway under coverage forwards on a core that it shares.
    Scale.SHORT: Shape(services=6, players=4, batch=10, per_s=200, subjects=1),
    # Each lane has something under way at any moment; 700,000 events in half an hour.
    Scale.FULL: Shape(services=6, players=4, batch=10, per_s=400, subjects=1),
}
"""One key in each of a service's lanes: several of its records are under way at any moment, so
that whoever overtakes is seen."""

OPTIONS: Final[Settings] = {'"batch.num.messages"': 5}
"""Small requests, so that several are on their way when one fails: else none is overtaken."""

LOOK_S: Final = 0.1
TOLD_S: Final = 60.0  # a cause is told within 5 s of silence; a busy machine takes longer
RECOVERED_S: Final = 120.0
CAUGHT_UP: Final = 400  # records that wait while all is well: a second's
FILLERS: Final = 20  # more partitions than all lanes have
FORWARDED: Final = "edge_forwarded_total"
ALL: Final = frozenset(Lane)
APART: Final = Lane.BONUS
"""The lane whose topic lies in the broker's second directory; one made anew may come to it."""

NEIGHBOURS: Final = 24  # behind one that is too large: five requests of OPTIONS' size
LARGE_LANE: Final = Lane.TELEMETRY
LARGE_LIMIT_BYTES: Final = 1500  # a plain event takes 600 in zstd, a noisy one above 2,000
BROKER_LIMIT_BYTES: Final = 1_048_588  # Kafka's own default
OWN_KEY: Final = "own"


class NotRecoveredError(Exception):
    """The gateway did not go on after a fault was over; the message is its readiness."""


@dataclass(slots=True)
class Stage:
    """All that a fault may touch, and all that was seen.

    Attributes:
        here: The gateway.
        book: Who talks to it.
        broker: The origin.
        proxy: Between the two.
        rng: All chance.
        tell: Takes a line of progress.
        gone: Copies of topics that were deleted, as directories of a ``log:`` origin.
        large: Ids of events too large for their topic.
        neighbours: Ids of the events that were sent with those, in their order.
        told: How often readiness told of a cause.
        faults: What must not have happened, in words.
    """

    here: World
    book: Ledger
    broker: Broker
    proxy: Proxy
    rng: random.Random
    tell: Tell
    gone: list[Path] = field(default_factory=list[Path])
    large: list[str] = field(default_factory=list[str])
    neighbours: list[str] = field(default_factory=list[str])
    told: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])

    def look(self) -> dict[str, str]:
        """Read the readiness, which must be 200 and true whatever befalls the broker."""
        answer = self.here.ask("/readyz")
        if (answer.status, answer.json.get("ready")) != (200, True):
            self.faults.append(f"not ready: {answer.body!r}")
        return cast("dict[str, str]", answer.json["probes"])

    def last(self, seconds: float, cause: str = "", *, lanes: AbstractSet[Lane] = ALL) -> None:
        """Let a fault last so long, and until readiness tells of it.

        Args:
            seconds: At least.
            cause: What it must tell, a regular expression; empty: it need not tell anything.
            lanes: No others may suffer.
        """
        began_s = time.monotonic()
        is_told = not cause
        while not is_told or time.monotonic() < began_s + seconds:
            probes = self._lanes()
            is_told = is_told or any(re.search(cause, each) for each in probes.values())
            others = {k: v for k, v in probes.items() if k not in lanes}
            if suffering := {k: v for k, v in others.items() if v != "ok"}:
                self.faults.append(f"a fault of {sorted(lanes)} is told of {suffering}")
            if not is_told and time.monotonic() > began_s + max(seconds, TOLD_S):
                self.faults.append(f"{cause!r} is not told: {probes}")
                return
            time.sleep(LOOK_S)
        self.told[cause] += bool(cause)

    def let_others_recover(self, lane: Lane) -> None:
        """Wait, while *lane* suffers on, until all that waits elsewhere now is forwarded."""
        began_s, others = time.monotonic(), ALL - {lane}
        before = Counters(self.here.gateway.metrics())
        owed = {each: before.of(FORWARDED, each) + before.of(WAITING, each) for each in others}
        while True:
            now = Counters(self.here.gateway.metrics())
            late = {each for each in others if now.of(FORWARDED, each) < owed[each]}
            if not late:
                return
            if time.monotonic() > began_s + RECOVERED_S:
                self.faults.append(f"with {lane} alone at fault, {late} do not recover")
                return
            time.sleep(LOOK_S)

    def _lanes(self) -> dict[Lane, str]:
        """Read what readiness says of each lane."""
        told = {k.partition(".")[::2]: cause for k, cause in self.look().items()}
        return {
            Lane(lane): cause for (probe, lane), cause in told.items() if probe == "forward"
        }

    def written(self, topic: str) -> int:
        """How many records the broker has in *topic*; it must be there to be asked."""
        with Tail(self.broker.bootstrap, topic) as tail:
            return len(tail.read())

    def wait_until_written(self, topic: str, count: int) -> None:
        """Let a fault last until the broker has so many records in *topic*."""
        end_s = time.monotonic() + TOLD_S
        while self.written(topic) < count:
            if time.monotonic() > end_s:
                self.faults.append(f"{topic}: nothing more is written")
                return
            self.last(LOOK_S)

    def recover(self) -> float:
        """Wait until all lanes are forwarded again and hardly anything waits; return how long.

        Raises:
            NotRecoveredError: They are not in time.
        """
        began_s = time.monotonic()
        while True:
            probes = self.look()
            waiting = Counters(self.here.gateway.metrics()).waiting()
            if waiting <= CAUGHT_UP and set(probes.values()) == {"ok"}:
                return time.monotonic() - began_s
            if time.monotonic() > began_s + RECOVERED_S:
                raise NotRecoveredError(f"{waiting} records wait, {probes}")
            time.sleep(LOOK_S)

    def wait_until_cut(self, made: int, cuts: int) -> None:
        """Wait until connections were cut and made anew.

        Args:
            made: How many there ever were before.
            cuts: How many of them must have been cut before an answer.
        """
        end_s = time.monotonic() + TOLD_S
        while self.proxy.made <= made or self.proxy.cuts < cuts:
            if time.monotonic() > end_s:
                new, more = self.proxy.made - made, cuts - self.proxy.cuts
                self.faults.append(f"{new} connections made anew, {more} more to be cut")
                return
            time.sleep(LOOK_S)

    def keep(self, topic: str) -> None:
        """Copy what lies in *topic*, to which nobody writes now: it is about to be deleted."""
        home = self.here.room / f"gone-{len(self.gone)}"
        self.gone.append(home)
        with Tail(self.broker.bootstrap, topic) as tail:
            tail.read()
            time.sleep(LOOK_S)  # what was on its way into the broker
            taken = tail.read()
        for each in taken:
            place = home / topic / f"{each.partition}"
            place.mkdir(parents=True, exist_ok=True)
            line: dict[str, object] = {
                "offset": each.offset,
                "key": each.key.decode(),
                "headers": [],
                "value": orjson.Fragment(each.value),
            }
            with (place / f"{0:020d}.jsonl").open("ab") as file:
                file.write(orjson.dumps(line) + b"\n")

    def say_too_large(self) -> None:
        """Have one event accepted that is larger than its topic will take, among neighbours."""
        ada = Visit("player-large", "north", "MT", self.rng)
        before, large = interactions(ada), noisy(ada)
        # Several requests to the broker: none behind the one that is refused may be written.
        behind = [interactions(ada) for _ in range(NEIGHBOURS)]
        token = self.here.issuer.player(ada, {"kid": OWN_KEY})
        answer = self.here.say(token, before, large, *behind)
        if answer.counts != (NEIGHBOURS + 2, 0):
            self.faults.append(f"the large event: {answer.status} {answer.body!r}")
        self.large.append(str(large["id"]))
        self.neighbours += [str(each["id"]) for each in (before, *behind)]

    def check_neighbours(self) -> None:
        """See that only what was too large is dead, and that the others arrived in order."""
        if (dead := sorted(self.letters())) != sorted(self.large):
            self.faults.append(f"{len(dead)} dead, {len(self.large)} were too large")
        with Tail(self.broker.bootstrap, LARGE_LANE.topic) as tail:
            arrived = dict.fromkeys(json.loads(each.value)["id"] for each in tail.read())
        if [each for each in arrived if each in set(self.neighbours)] != self.neighbours:
            self.faults.append("who was sent with what was too large is lost, or out of order")

    def letters(self) -> list[str]:
        """The ids of all that is dead, as they lie in the spool."""
        return [
            json.loads(line)["value"]["id"]
            for file in sorted(self.here.spool.glob("*/*/dead/*.jsonl"))
            for line in file.read_text().splitlines()
        ]


def noisy(visit: Visit) -> dict[str, object]:
    """Telemetry that no codec makes small."""
    draw = visit.rng.randrange
    data: dict[str, object] = {
        "t0_ms": time.time_ns() // 1_000_000,
        "viewport": {"w": 1920, "h": 1080},
        "samples": [[draw(60_000), "m", draw(9999), draw(9999), 0, 1] for _ in range(256)],
        "target": "spin_button",
    }
    return visit.says("telemetry.interaction.batch", data)


@contextlib.contextmanager
def stage(room: Path, broker: Broker, seed: int, tell: Tell, scale: Scale) -> Generator[Stage]:
    """Set one up around a running broker that has all topics; the gateway forwards."""
    proxied = f"kafka://127.0.0.1:{broker.proxy_port}"
    with (
        Proxy(broker.behind, broker.proxy_port) as proxy,
        ledger(room, seed) as book,
        world(
            room, {**SETTINGS, "origin": {"url": proxied}, "origin.options": OPTIONS}
        ) as here,
    ):
        here.jwks.write_bytes(_both(book.jwks, here.issuer.jwks()))
        here.gateway.start()
        here.wait_until_ready()
        rng = random.Random(seed)  # noqa: S311  # replayable, no secret
        built = Stage(here, book, broker, proxy, rng, tell)
        book.begin(here.gateway.public, SHAPES[scale])
        built.recover()
        yield built


def make_topics(broker: Broker) -> None:
    """Make all topics anew, wherever they come to lie; a partition each, so all keeps order."""
    for topic in (*(lane.topic for lane in Lane), REFUSED_TOPIC, DEAD_TOPIC):
        broker.create_topic(topic, 1)


def make_topics_apart(broker: Broker) -> None:
    """Make all topics on a new broker, that of :data:`APART` alone in the second directory.

    It puts each new partition where there are fewest.
    """
    fillers = [f"filler-{number}" for number in range(FILLERS)]
    for topic in fillers:
        broker.create_topic(topic, 1)
    behind = [name for name in fillers if (broker.second_directory / f"{name}-0").exists()]
    for topic in set(fillers).difference(behind):
        broker.delete_topic(topic)
    for topic in (REFUSED_TOPIC, DEAD_TOPIC, *(lane.topic for lane in Lane if lane != APART)):
        broker.create_topic(topic, 1)
    for topic in behind:
        broker.delete_topic(topic)
    # It notices that a directory is gone when it begins the next segment.
    broker.create_topic(APART.topic, 1, segment_ms=1000)


def _both(theirs: str, ours: bytes) -> bytes:
    """One key set of two; ours under another name, for both issuers name theirs alike."""
    keys = json.loads(theirs)["keys"] + [json.loads(ours)["keys"][0] | {"kid": OWN_KEY}]
    return json.dumps({"keys": keys}).encode()
