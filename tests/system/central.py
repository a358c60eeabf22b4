"""A gateway whose origin is a real broker: what arrives there, and what operators are told."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, cast

from edge.demo.ledger import Event
from edge.demo.payloads import Visit
from tests.kafka.tail import Tail
from tests.system.world import TABLE, World

LANE: Final = "game"
TOPIC: Final = f"edge.{LANE}.v1"


@dataclass(frozen=True, slots=True)
class Central:
    """One gateway and one topic of its broker.

    Attributes:
        here: The gateway.
        tail: Reads the topic.
    """

    here: World
    tail: Tail

    def spin(self, player: Visit, stake_minor: int) -> Event:
        """Have *player* pull once, in a request of its own; it is accepted."""
        event = TABLE.spin(player, stake_minor)
        assert self.here.say(player, event).counts == (1, 0)
        return event

    def arrived(self) -> list[Event]:
        """What lies in the topic now, partition by partition, repetitions included."""
        return [json.loads(taken.value) for taken in self.tail.read()]

    def wait_until_arrived(self, *events: Event) -> None:
        """Return when the topic has all *events*."""
        wanted = {event["id"] for event in events}
        self.here.wait(lambda: wanted <= {each["id"] for each in self.arrived()}, "arrived")

    def cause(self) -> str:
        """Why the lane is not forwarded, as ``/readyz`` tells it; ``"ok"`` if it is."""
        answer = self.here.ask("/readyz")
        assert (answer.status, answer.json["ready"]) == (200, True)
        return cast("dict[str, str]", answer.json["probes"])[f"forward.{LANE}"]

    def wait_until_told(self, cause: str) -> None:
        """Return when ``/readyz`` names *cause*, a regular expression."""
        self.here.wait(lambda: re.search(cause, self.cause()) is not None, cause)

    def figure(self, name: str) -> int:
        """What the metrics tell of the lane."""
        found = re.search(
            rf'^{name}{{lane="{LANE}"}} (\d+)', self.here.gateway.metrics(), re.MULTILINE
        )
        assert found is not None
        return int(found[1])

    def complaints(self) -> list[str]:
        """Every line that the log has about something that is wrong."""
        return [str(line) for line in self.here.log_lines() if line["level"] != "info"]


def orders(events: Iterable[Event]) -> dict[object, list[object]]:
    """The ids of each player's events, in their order."""
    found: defaultdict[object, list[object]] = defaultdict(list)
    for event in events:
        found[event["subject"]].append(event["id"])
    return dict(found)


def distinct(arrived: Iterable[Event]) -> list[Event]:
    """Leave out what came again, as whoever reads the broker does; it must be the same."""
    first: dict[tuple[object, object], Event] = {}
    for event in arrived:
        assert first.setdefault((event["edgespool"], event["edgeseq"]), event) == event
    return list(first.values())
