"""Three brokers that keep three copies, and one of them is killed: nobody should notice.

The ledger talks all the time. Each broker in turn is killed, stays away long enough for leaders
to change, and starts again on the same records; the gateway must be forwarding while it is away.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from edge.core.lane import Lane
from edge.demo.metrics import Counters
from origin_client.notice import DEAD_TOPIC, REFUSED_TOPIC
from tests.faults import faults
from tests.faults.closing import Closing, close_books
from tests.faults.ledger import SETTINGS, Shape, ledger
from tests.faults.row import Row, Scale, Tell
from tests.kafka import jars
from tests.kafka.broker import Broker
from tests.kafka.cluster import cluster
from tests.system.world import World, world

SEED: Final = 20_261_126
SHAPE: Final = Shape(services=6, players=4, batch=10, per_s=400, subjects=1)
"""One key in each of a service's lanes: whoever overtakes is seen."""

EVENTS_MIN: Final = 500  # accepted for each broker that is killed, which takes above 8 s
BROKERS: Final = 3
AWAY_S: Final = 8.0  # leaders have changed after 2 to 5 s
FORWARDING_S: Final = 60.0
CAUGHT_UP: Final = 400  # records that wait while all is well: a second's
LOOK_S: Final = 0.2
NOTICED_S: Final = 2.0  # by then more waits than that, if its partitions have no leader


@dataclass(slots=True)
class Round:
    """What came of killing each broker once.

    Attributes:
        silent_s: After each kill, how long until hardly anything waited, the broker being away.
        faults: What must not have happened, in words.
    """

    silent_s: list[float] = field(default_factory=list[float])
    faults: list[str] = field(default_factory=list[str])

    def kill(self, here: World, broker: Broker) -> None:
        """Kill one, wait until the others have taken over, and let it come back."""
        with faults.crashed(broker):
            began_s = time.monotonic()
            time.sleep(NOTICED_S)
            self._wait(here, "one of three brokers being away")
            self.silent_s.append(time.monotonic() - began_s)
            time.sleep(max(0.0, began_s + AWAY_S - time.monotonic()))
        self._wait(here, "all brokers being back")

    def _wait(self, here: World, when: str) -> None:
        end_s = time.monotonic() + FORWARDING_S
        while Counters(here.gateway.metrics()).waiting() > CAUGHT_UP:
            if (ready := here.ask("/readyz")).status != 200:
                self.faults.append(f"not ready: {ready.body!r}")
            if time.monotonic() > end_s:
                self.faults.append(f"{when}, it does not forward: {ready.body!r}")
                return
            time.sleep(LOOK_S)


def endure(
    brokers: Sequence[Broker], room: Path, tell: Tell, *, seed: int
) -> tuple[Round, Closing]:
    """Kill each of *brokers*, which run, once; then compare the books."""
    for topic in (*(lane.topic for lane in Lane), REFUSED_TOPIC, DEAD_TOPIC):
        brokers[0].create_topic(topic, copies=BROKERS, min_insync_replicas=BROKERS - 1)
    servers = ",".join(broker.bootstrap for broker in brokers)
    url, found = f"kafka://{servers}", Round()
    with ledger(room, seed) as book, world(room, {**SETTINGS, "origin": {"url": url}}) as here:
        here.jwks.write_text(book.jwks)
        here.gateway.start()
        here.wait_until_ready()
        book.begin(here.gateway.public, SHAPE)
        time.sleep(AWAY_S / 4)
        for number, broker in enumerate(brokers, 1):
            found.kill(here, broker)
            tell(
                f"{number} of {len(brokers)} killed, others took over in {found.silent_s[-1]:.1f} s"
            )
        return found, close_books(here, book, url, owed_min=EVENTS_MIN * len(brokers))


def three_brokers(scale: Scale, room: Path, tell: Tell, *, seed: int = SEED) -> Iterator[Row]:
    """Three brokers with three copies, each killed once under load; only in full."""
    if scale is Scale.SHORT:
        tell("SKIPPED: three brokers and their crashes take a minute; only in full")
        return
    what = f"{BROKERS} brokers, {BROKERS} copies, each killed once under load"
    goal = "0 lost, 0 inversions per key, forwarding while one is away"
    tell(f"seed {seed}")
    try:
        class_path = jars.class_path()
    except jars.KafkaMissing as missing:
        tell(f"SKIPPED: {missing}")
        yield Row(what, goal, f"skipped: {missing}", is_reached=False)
        return
    home = room / "brokers"
    home.mkdir()
    with cluster(home, class_path, BROKERS) as brokers:
        found, closing = endure(brokers, room, tell, seed=seed)
    wrong = (*found.faults, *closing.faults)
    longest_s = max(found.silent_s)
    yield Row(
        what,
        goal,
        f"{closing.found}, others took over in ≤ {longest_s:.1f} s",
        not wrong,
        wrong,
    )
