"""Kafka as an origin: one producer per topic, so that a topic that is stuck holds up no other.

In go batches of records, from any thread; when ``publish`` returns they are acknowledged by all
replicas in sync. It owns the producers, and one thread that looks after those that are idle:
without it their errors would go unheard, a cause that is over would stay, and of a topic that is
missing nobody would know before there is something to publish.
"""

import atexit
import logging
import threading
from collections.abc import Sequence
from typing import Final

from confluent_kafka import Producer

from origin_client.kafka_causes import Causes
from origin_client.kafka_client import Connect
from origin_client.kafka_options import KafkaOptions
from origin_client.kafka_sender import Sender
from origin_client.kafka_survey import survey
from origin_client.origin import OriginUnavailable, Outgoing, Refusal

log: Final = logging.getLogger("origin_client.kafka")

KEEP_S: Final = 2.0  # how late an idle topic's cause is noticed, and that it is over
CLOSE_S: Final = 2.0  # a publish gives up within SLICE_S; ending a client takes milliseconds


class KafkaOrigin:
    """A Kafka, to publish to; all methods may be called from any thread.

    Args:
        options: Where and how.
        connect: Makes the producers.
    """

    def __init__(self, options: KafkaOptions, connect: Connect = Producer) -> None:
        self._options = options
        self._connect = connect
        self._causes = Causes()
        self._closed = threading.Event()
        self._guard = threading.Lock()  # over what follows
        self._senders: dict[str, Sender] = {}
        self._keeper: threading.Thread | None = None

    def publish(self, topic: str, records: Sequence[Outgoing]) -> list[Refusal]:
        """Return when every record not refused is acknowledged, in order.

        Raises:
            OriginUnavailable: The fate of the batch is unknown; send all of it again.
        """
        return self._sender(topic).publish(records)

    def watch(self, topics: Sequence[str]) -> None:
        """Find out about *topics* without waiting for somebody to publish; returns at once.

        Raises:
            OriginUnavailable: Closed.
        """
        for topic in topics:
            self._sender(topic)

    def health(self, topic: str | None = None) -> str | None:
        """Name the cause when publishing to *topic*, or to any, does not work now."""
        return "closed" if self._closed.is_set() else self._causes.of(topic)

    def survey(self, topics: Sequence[str], timeout_s: float) -> list[str]:
        """Say which of *topics* do not exist, or may not be written.

        Raises:
            OriginUnavailable: No broker answers within *timeout_s*.
        """
        return survey(self._options, topics, timeout_s)

    def close(self) -> None:
        """Give up: a publish under way raises ``OriginUnavailable``; waits up to ``CLOSE_S``."""
        with self._guard:
            self._closed.set()
            keeper = self._keeper
        if keeper is not None:
            keeper.join(CLOSE_S)
            if not keeper.is_alive():
                atexit.unregister(self.close)

    def _sender(self, topic: str) -> Sender:
        with self._guard:
            if self._closed.is_set():
                raise OriginUnavailable("closed")
            if self._keeper is None:
                # A daemon, so that an origin nobody closes does not keep the process; closed at
                # the end all the same, for a client that outlives the interpreter may crash it.
                self._keeper = threading.Thread(target=self._keep, name="kafka", daemon=True)
                self._keeper.start()
                atexit.register(self.close)
            if topic not in self._senders:
                self._senders[topic] = Sender(
                    topic, self._options, self._causes, self._closed, self._connect
                )
            return self._senders[topic]

    def _keep(self) -> None:
        """Look after idle clients until closed; then end all."""
        while not self._closed.wait(KEEP_S):
            for sender in self._known():
                try:
                    sender.look_after()
                except Exception:
                    log.exception("looking after a topic failed")
        for sender in self._known():
            sender.leave()

    def _known(self) -> list[Sender]:
        with self._guard:
            return list(self._senders.values())
