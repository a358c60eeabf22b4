"""Several brokers that are one Kafka: any of them may be killed, and starts again.

In: a directory and the class path of :mod:`tests.kafka.jars`. They end by SIGKILL: of three that
are asked to leave in turn, the last has no quorum any more and does not.
"""

import contextlib
from collections.abc import Generator
from pathlib import Path

from tests.kafka.broker import Broker
from tests.kafka.process import seats


@contextlib.contextmanager
def cluster(home: Path, class_path: str, count: int = 3) -> Generator[list[Broker]]:
    """Run *count* brokers (three: 12 s on two idle cores); each administers all of them."""
    with contextlib.ExitStack() as ends:
        brokers: list[Broker] = []
        for seat in seats(count):
            room = home / f"{seat.node}"
            room.mkdir()
            brokers.append(Broker(room, class_path, seat))
            ends.callback(brokers[-1].kill)
            brokers[-1].launch()
        for broker in brokers:
            broker.wait_until_ready()
        yield brokers
