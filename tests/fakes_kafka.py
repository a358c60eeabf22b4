"""A producer that fails as librdkafka's does, on a script, without a broker or a thread.

It keeps the order rule as the real one does with ``enable.gapless.guarantee``: once a record has
failed, nothing behind it is written, and every call that could send raises.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, TypeVar, cast

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from origin_client.kafka_options import Configuration

TOPIC: Final = "edge.bet.v1"
Scripted = TypeVar("Scripted")


def wait_until(holds: Callable[[], bool]) -> None:
    """Return when *holds* does; a test that waits in vain ends by its own limit."""
    while not holds():
        time.sleep(0.005)


def kafka_error(name: str, reason: str | None = None, *, fatal: bool = False) -> KafkaError:
    """An error as librdkafka makes it, by its code's name."""
    return KafkaError(getattr(KafkaError, name), reason, fatal)


def report(key: bytes, value: bytes, fault: str) -> Message:
    """A delivery report of a failed record."""
    return Message(topic=TOPIC, key=key, value=value, error=kafka_error(fault))


@dataclass
class FakeTopic:
    """What the brokers say of a topic."""

    error: KafkaError | None = None


@dataclass
class FakeMetadata:
    """What the brokers say of their topics."""

    topics: dict[str, FakeTopic]


@dataclass
class Cluster:
    """What all producers of a test talk to.

    Attributes:
        faults: What the brokers report of a record, by its value: a code's name.
        refused_here: What the client itself says of a record, as above.
        missing: What is said of the topic when it is asked for.
        is_silent: Nothing is answered.
        says: Errors of connections, told at the next call.
        breaks: Raised by the next ``flush``.
        room: How many records wait at most.
        written: Every value, in order.
        made: Configurations of all producers.
        open: How many of them are not closed.
        while_waiting: Called when a producer waits.
    """

    faults: dict[bytes, str] = field(default_factory=dict[bytes, str])
    refused_here: dict[bytes, str] = field(default_factory=dict[bytes, str])
    missing: KafkaError | None = None
    is_silent: bool = False
    says: list[KafkaError] = field(default_factory=list[KafkaError])
    breaks: list[BaseException] = field(default_factory=list[BaseException])
    room: int = 1000
    written: list[bytes] = field(default_factory=list[bytes])
    made: list[Configuration] = field(default_factory=list[Configuration])
    open: int = 0
    while_waiting: Callable[[], None] = lambda: None

    def connect(self, configuration: Configuration) -> Producer:
        """Make a producer."""
        self.made.append(configuration)
        self.open += 1
        return cast("Producer", FakeProducer(self, configuration))


@dataclass
class FakeProducer:
    """One producer of a cluster."""

    cluster: Cluster
    configuration: Configuration
    waiting: list[tuple[bytes, bytes]] = field(default_factory=list[tuple[bytes, bytes]])
    fatal: KafkaError | None = None
    was_purged: bool = False

    def __len__(self) -> int:
        """How many records wait."""
        return len(self.waiting)

    def produce(
        self, topic: str, value: bytes, key: bytes, *, headers: Sequence[tuple[str, Any]]
    ) -> None:
        """Queue one record."""
        assert (topic, headers[0][0]) == (TOPIC, "content-type")
        if self.fatal is not None:
            raise KafkaException(kafka_error("_FATAL"))
        if value in self.cluster.refused_here:
            raise KafkaException(kafka_error(self.cluster.refused_here[value]))
        if len(self.waiting) >= self.cluster.room:
            raise BufferError
        self.waiting.append((key, value))

    def flush(self, timeout: float) -> int:
        """Report what can be; raise what is fatal, once."""
        assert timeout >= 0, "never wait for ever"
        for error in self._taken(self.cluster.says):
            self.configuration["error_cb"](error)
        for broken in self._taken(self.cluster.breaks):
            raise broken
        if self.cluster.is_silent and self.waiting:
            self.cluster.while_waiting()
            return len(self.waiting)
        waiting, self.waiting = self.waiting, []
        for place, (_, value) in enumerate(waiting):
            if fault := self.cluster.faults.get(value):
                self._fail(waiting[place:], fault)
            self.cluster.written.append(value)
        return 0

    def purge(self, *, in_flight: bool) -> None:
        """Give up what waits; what is under way stays so unless *in_flight*."""
        if self.fatal is not None:
            raise KafkaException(kafka_error("_FATAL"))
        if in_flight:
            self.was_purged = bool(self.waiting)
            self.waiting.clear()

    def list_topics(self, topic: str, timeout: float) -> FakeMetadata:
        """Tell whether the topic is there."""
        assert timeout > 0, "never wait for ever"
        if self.cluster.is_silent:
            self.cluster.while_waiting()
            raise KafkaException(kafka_error("_TRANSPORT"))
        return FakeMetadata({topic: FakeTopic(self.cluster.missing)})

    def close(self) -> None:
        """Leave; what was purged on the way is told once more."""
        assert not self.waiting, "closing would wait for these"
        self.cluster.open -= 1
        if self.was_purged:
            raise KafkaException(kafka_error("_GAPLESS_GUARANTEE", "purged", fatal=True))

    def _fail(self, records: Sequence[tuple[bytes, bytes]], fault: str) -> NoReturn:
        for place, (key, value) in enumerate(records):
            name = "_PURGE_QUEUE" if place else fault
            self.configuration["on_delivery"](None, report(key, value, name))
        self.fatal = kafka_error("_GAPLESS_GUARANTEE", "a record failed", fatal=True)
        raise KafkaException(self.fatal)

    @staticmethod
    def _taken(script: list[Scripted]) -> list[Scripted]:
        """Empty *script*, and return what was in it."""
        taken, script[:] = script[:], []
        return taken
