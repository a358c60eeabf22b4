"""``make bench``: the load tests' benchmark, with a broker beside it where one can be started.

Without Java or Maven it says so in one line and measures the rest.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from loadtests.bench.__main__ import main as bench
from tests.kafka.broker import Broker
from tests.kafka.jars import KafkaMissing, class_path

LANES: Final = ("player", "wallet", "bet", "game", "bonus", "telemetry")
TOPICS: Final = (*(f"edge.{lane}.v1" for lane in LANES), "edge.refused.v1", "edge.dead.v1")


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark with *arguments*, and with ``--kafka`` if that is possible."""
    try:
        jars = class_path()
    except KafkaMissing as missing:
        sys.stderr.write(f"without Kafka: {missing}\n")
        return bench(arguments)
    with tempfile.TemporaryDirectory() as home, Broker(Path(home), jars) as broker:
        for topic in TOPICS:
            broker.create_topic(topic)
        return bench(["--kafka", broker.bootstrap, *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
