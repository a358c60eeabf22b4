"""One producer of librdkafka, from its making to its first failure; one thread at a time.

In go records; out come reports, and errors of connections. Successes are not reported: what is
neither failed nor waiting is at the brokers, which saves Python a call for each record.

With ``enable.gapless.guarantee`` a failed record stops the producer: what lies behind it is not
written, and any call may raise from then on. That is expected, and kept here as ``fatal``.
"""

import contextlib
import time
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from origin_client.kafka_causes import Errors, explain, is_of_topic
from origin_client.kafka_options import Configuration
from origin_client.origin import OriginUnavailable

SETTLE_S: Final = 1.5  # requests under way are answered in milliseconds; closing waits for 2 s
_SETTLE_SLICE_S: Final = 0.05
# A fatal error is raised when its event is served; the binding may call back once more before it
# returns, with that error pending, which Python reports as a SystemError caused by it.
_RAISED: Final = (KafkaException, SystemError)

Connect: TypeAlias = Callable[[Configuration], Producer]


class Client:
    """A producer with its failures.

    Args:
        configuration: As :meth:`origin_client.kafka_options.KafkaOptions.producer` makes it.
        connect: Makes the producer.

    Attributes:
        produce: The producer's own, for it is called for each record.
        failures: Records that were reported failed, in the order of their reports.
        fatal: Why the producer stopped; ``None`` while it works.
        errors: What is wrong with its connections.
        has_found: Whether the brokers told at the last look that the topic is there.

    Raises:
        KafkaException: The configuration does not work (any more).
    """

    def __init__(self, configuration: Configuration, connect: Connect = Producer) -> None:
        self.failures: list[Message] = []
        self.fatal: KafkaError | None = None
        self.errors = Errors()
        self.has_found = False
        callbacks = {"error_cb": self.errors.note, "on_delivery": self._report}
        self._producer = connect({**configuration, **callbacks})
        self.produce = self._producer.produce

    def flush(self, timeout_s: float) -> bool:
        """Wait for reports; return whether all are in."""
        try:
            return self._producer.flush(timeout_s) == 0
        except _RAISED as error:
            self.stop(error)
            return False

    @property
    def has_failed(self) -> bool:
        """Whether a record failed, or the producer as a whole: it is done for."""
        return bool(self.failures) or self.fatal is not None

    @property
    def is_empty(self) -> bool:
        """Whether no record waits."""
        return len(self._producer) == 0

    def stop(self, error: KafkaException | SystemError) -> None:
        """Take note of what a call raised; the first that is not just ``_FATAL`` is the cause."""
        raised = error.__cause__ if isinstance(error, SystemError) else error
        if not isinstance(raised, KafkaException):
            raise error
        if self.fatal is None or self.fatal.name() == "_FATAL":
            self.fatal = raised.args[0]

    def finds(self, topic: str, timeout_s: float) -> bool:
        """Return whether the brokers told in time that *topic* is there.

        Raises:
            OriginUnavailable: They told that it is not, or not for us.
        """
        self.has_found = False
        try:
            found: Any = self._producer.list_topics(topic, timeout_s)
        except KafkaException:
            self.flush(0)  # why is told in the queue: what is wrong with the connections
            return False
        fault: KafkaError | None = found.topics[topic].error
        if fault is not None and is_of_topic(fault):  # else it passes, while records wait
            raise OriginUnavailable(explain(fault, topic))
        self.has_found = True
        return True

    def settle(self) -> bool:
        """After a failure, wait for what is under way; return whether each fate is known."""
        end_s = time.monotonic() + SETTLE_S
        while time.monotonic() < end_s:
            # Each time anew: what is refused because its predecessor failed is queued again.
            self._purge(in_flight=False)
            if self.flush(_SETTLE_SLICE_S):
                return True
        self._purge(in_flight=True)
        return False

    def cause(self, topic: str) -> str | None:
        """Say what is wrong now; ``None`` if nothing is known."""
        if self.fatal is not None:
            return explain(self.fatal, topic)
        return self.errors.cause(topic)

    def close(self) -> None:
        """Drop what is under way, and end the client's threads."""
        self._purge(in_flight=True)
        # What is purged is a gap, and so fatal: raised when the client has ended all the same.
        with contextlib.suppress(*_RAISED):
            self._producer.close()

    def _purge(self, *, in_flight: bool) -> None:
        try:
            self._producer.purge(in_flight=in_flight)
        except _RAISED as error:
            self.stop(error)

    def _report(self, _: KafkaError | None, message: Message) -> None:
        self.failures.append(message)
