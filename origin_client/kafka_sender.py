"""Publishes to one topic of Kafka, in order, with a producer of its own.

In go batches of records; a call returns when each record is at the brokers or refused. Every
wait ends within ``SLICE_S`` of closing.

Theory of operation
-------------------
The order rule (design.md §5): a record never fails alone. The producer waits out whatever
passes, for ever; what fails all the same stops it, and nothing behind the failed record is
written. So after the first failure the producer is done for: what was under way is waited for,
the rest is purged, and the next batch gets a new one. Then

* the brokers found fault with records (too large, invalid): whatever they did not acknowledge is
  refused. A request carries many records, so that the faulty one is known only when tried alone.
* a topic is missing, rights are, or it cannot be told what was written: an outage, all of the
  batch is to be sent again.

Before the first batch of a producer the topic is looked up: what is missing is told in
milliseconds, and the look also spares the producer half a second of waiting for its first id.
Until somebody publishes, and after trouble while nobody does, ``look_after`` does the same.
"""

import threading
import time
from collections.abc import Sequence
from typing import Final

from confluent_kafka import KafkaException

from origin_client.give_way import give_way
from origin_client.kafka_causes import Causes
from origin_client.kafka_client import Client, Connect
from origin_client.kafka_options import Configuration, KafkaOptions, redacted
from origin_client.kafka_verdict import refuse_rest
from origin_client.origin import OriginError, OriginUnavailable, Outgoing, Refusal

CONTENT_TYPE: Final = "application/cloudevents+json; charset=UTF-8"
_HEADERS: Final[list[tuple[str, str | bytes | None]]] = [
    ("content-type", CONTENT_TYPE.encode())
]

SLICE_S: Final = 0.2  # how late a publish that waits notices that the origin was closed
PATIENCE_S: Final = 1.0  # one broker of several may be away for long: nobody need know
SILENCE_S: Final = 5.0  # a change of leaders is over by then
RENEW_S: Final = 5.0  # a refused login is tried again with what the files hold by then

_TOO_LARGE: Final = "larger than message.max.bytes of the options"


class Sender:
    """One topic's way to the brokers; any thread, one at a time.

    Args:
        topic: Which.
        options: How to connect.
        causes: Is told what keeps the topic from working.
        closed: Set when everybody should give up.
        connect: Makes the producers.
    """

    def __init__(
        self,
        topic: str,
        options: KafkaOptions,
        causes: Causes,
        closed: threading.Event,
        connect: Connect,
    ) -> None:
        self._topic = topic
        self._options = options
        self._causes = causes
        self._closed = closed
        self._make_producer = connect
        self._lock = threading.Lock()
        self._client: Client | None = None
        # While it is idle: nobody knows yet, or not any more, that it works. Whoever publishes
        # finds out himself.
        self._is_ailing = True

    def publish(self, records: Sequence[Outgoing]) -> list[Refusal]:
        """Return when every record not refused is at the brokers, in order.

        Raises:
            OriginUnavailable: The fate of the batch is unknown; send all of it again.
        """
        with self._lock:
            if self._closed.is_set():
                raise OriginUnavailable("closed")
            self._is_ailing = False
            try:
                client = self._connected()
                refusals = self._send(client, records)
            except OriginUnavailable as error:
                if not self._closed.is_set():
                    self._causes.put(self._topic, str(error))
                    error.is_told = True
                self._drop()
                raise
            except BaseException:
                self._drop()
                raise
            client.errors.clear()
            self._causes.clear(self._topic)
            return refusals

    def look_after(self) -> None:
        """While nobody publishes: hear what the client says, and whether that is over."""
        if self._closed.is_set() or not self._lock.acquire(blocking=False):
            return  # over; or a publish is under way, and looks after itself
        try:
            client = self._client
            if client is not None:
                client.flush(0)
                self._is_ailing = self._is_ailing or client.cause(self._topic) is not None
            if self._is_ailing:
                self._probe(client or self._make())
        except OriginUnavailable as error:
            self._causes.put(self._topic, str(error))
            self._drop()
        finally:
            self._lock.release()

    def leave(self) -> None:
        """End the client, once the publish under way has given up."""
        with self._lock:
            self._drop()

    def _connected(self) -> Client:
        """Return the client once it has found the topic; a new one if there is none.

        Raises:
            OriginUnavailable: There is none, or not for us; or the origin is closed.
        """
        client = self._client or self._make()
        started_s = time.monotonic()
        while not client.has_found and not client.finds(self._topic, SLICE_S):
            self._look(client, started_s)
        return client

    def _make(self) -> Client:
        configuration: Configuration = {}
        try:
            configuration = self._options.producer()
            self._client = Client(configuration, self._make_producer)
        except OriginError as error:
            raise OriginUnavailable(str(error)) from error
        except KafkaException as error:
            said = redacted(error.args[0].str(), configuration)
            raise OriginUnavailable(f"the options do not work any more: {said}") from None
        return self._client

    def _probe(self, client: Client) -> None:
        """Ask for the topic, and note what comes of it.

        Raises:
            OriginUnavailable: Only another client can help.
        """
        try:
            is_found = client.finds(self._topic, SLICE_S)
        except OriginUnavailable as error:  # of the topic itself: this client will see it come
            self._causes.put(self._topic, str(error))
            return
        if is_found:
            client.errors.clear()
            self._causes.clear(self._topic)
            self._is_ailing = False
        elif cause := client.cause(self._topic):
            if client.errors.are_of_credentials or client.has_failed:
                raise OriginUnavailable(cause)
            self._causes.put(self._topic, cause)

    def _send(self, client: Client, records: Sequence[Outgoing]) -> list[Refusal]:
        """Send a batch and wait for what becomes of it.

        Raises:
            OriginUnavailable: As :meth:`publish`; the client is done for.
        """
        refusals, taken = self._produce(client, records)
        self._await(client)
        if client.has_failed:
            is_settled = client.settle()
            refusals += refuse_rest(self._topic, records, taken, client.failures, client.fatal)
            if not is_settled:
                raise OriginUnavailable(f"{self._topic}: what was written is not known")
            self._drop()
        return refusals

    def _produce(
        self, client: Client, records: Sequence[Outgoing]
    ) -> tuple[list[Refusal], int]:
        """Hand *records* to the client; return those it refuses, and how many it looked at."""
        produce, topic = client.produce, self._topic
        refusals: list[Refusal] = []
        index = 0
        while index < len(records):
            record = records[index]
            give_way(index)
            try:
                produce(topic, record.value, record.key, headers=_HEADERS)
            except BufferError:  # only a batch far larger than a forwarder's fills the queue
                if not client.is_empty:
                    self._await(client)
                    if client.has_failed:
                        break
                    continue
                refusals.append(Refusal(index, _TOO_LARGE))
            except KafkaException as error:
                if error.args[0].name() != "MSG_SIZE_TOO_LARGE":
                    client.stop(error)
                    break
                refusals.append(Refusal(index, _TOO_LARGE))
            index += 1
        return refusals, index

    def _await(self, client: Client) -> None:
        """Return when every record is reported, or one has failed.

        Raises:
            OriginUnavailable: The origin is closed, or only another client can help.
        """
        started_s = time.monotonic()
        while not client.flush(SLICE_S) and not client.has_failed:
            self._look(client, started_s)

    def _look(self, client: Client, started_s: float) -> None:
        """Between two slices of a wait: tell what it is for, or end it.

        Raises:
            OriginUnavailable: As :meth:`_await`.
        """
        if self._closed.is_set():
            raise OriginUnavailable("closed while publishing")
        waited_s = time.monotonic() - started_s
        cause = client.cause(self._topic)
        if cause and (
            client.fatal or (client.errors.are_of_credentials and waited_s >= RENEW_S)
        ):
            raise OriginUnavailable(cause)
        if cause and waited_s >= PATIENCE_S:
            self._causes.put(self._topic, cause)
        elif waited_s >= SILENCE_S:
            self._causes.put(
                self._topic, f"{self._topic} is not acknowledged: no broker answers"
            )

    def _drop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()
