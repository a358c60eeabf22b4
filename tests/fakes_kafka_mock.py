"""librdkafka's own mock of a cluster, on loopback: real clients, no Java, no faults."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from confluent_kafka import Producer


@contextmanager
def mock_cluster(*topics: str) -> Generator[str]:
    """Run a cluster of one broker with *topics*, of four partitions; yield its URL."""
    # The quiet way to end its log: it would print what it does.
    keeper = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 0})
    found: Any = keeper.list_topics(timeout=10)
    (broker,) = found.brokers.values()
    for topic in topics:
        keeper.list_topics(topic, timeout=10)  # a producer that asks for a topic makes it
    try:
        yield f"kafka://{broker.host}:{broker.port}"
    finally:
        keeper.close()
