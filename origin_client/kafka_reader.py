"""Reads Kafka's topics from where one wants, beside everybody else: no group, no commits.

In go a topic and a position; out come records in the order of their partition. An offset that
is not there is told, never skipped: whoever names one wants to know that something is missing.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from origin_client.kafka_causes import Causes, Errors, explain
from origin_client.kafka_options import Configuration, KafkaOptions, redacted
from origin_client.kafka_survey import Right, survey
from origin_client.origin import OriginError, OriginUnavailable, Record

SLICE_S: Final = 0.2  # how late a reader that waits notices that it was closed
ASK_S: Final = 1.0  # for one answer: brokers answer in milliseconds
SILENCE_MAX_S: Final = 10.0  # brokers that start or change leaders are back by then
RECORDS_MAX: Final = 500  # per call: the call is then a small part of the cost

Connect: TypeAlias = Callable[[Configuration], Consumer]
AnswerT = TypeVar("AnswerT")


class KafkaReader:
    """A Kafka, to be read.

    Args:
        options: Where and how.
        connect: Makes the consumers.
    """

    def __init__(self, options: KafkaOptions, connect: Connect = Consumer) -> None:
        self._options = options
        self._connect = connect
        self._closed = threading.Event()

    def subscribe(
        self, topic: str, position: Mapping[int, int], *, follow: bool = False
    ) -> Iterator[Record]:
        """Yield what is there from *position* on; then return, or wait for more.

        Args:
            topic: One topic; an unknown one yields nothing.
            position: Next offset by partition; one not named starts at its oldest record.
            follow: Wait for records to come; ends when the reader is closed. Partitions that
                are added meanwhile are not seen. Brokers that are away are waited for, and
                told in the log; those that refuse the login are not.

        Raises:
            OriginError: *position* names what is not there (any more), or the options do not
                suit a reader.
            OriginUnavailable: No broker answers a reader that does not follow, or it refuses.
        """
        subscription = _Subscription(
            self._options, topic, self._closed, self._connect, follow=follow
        )
        try:
            yield from subscription.records(position)
        except OriginUnavailable:
            if not self._closed.is_set():
                raise
        finally:
            subscription.close()

    def end(self, topic: str) -> dict[int, int]:
        """Return the offset that comes next, by partition; an unknown topic has none.

        Raises:
            OriginError: The options do not suit a reader.
            OriginUnavailable: No broker answers, it refuses, or the reader was closed.
        """
        subscription = _Subscription(
            self._options, topic, self._closed, self._connect, follow=False
        )
        try:
            return subscription.ends()
        finally:
            subscription.close()

    def survey(self, topics: Sequence[str], timeout_s: float) -> list[str]:
        """Say which of *topics* do not exist, or may not be read.

        Raises:
            OriginUnavailable: No broker answers within *timeout_s*.
        """
        return survey(self._options, topics, timeout_s, right=Right.READ)

    def close(self) -> None:
        """End every subscription."""
        self._closed.set()


class _Subscription:
    """One consumer, from its making to its end; one thread."""

    def __init__(
        self,
        options: KafkaOptions,
        topic: str,
        closed: threading.Event,
        connect: Connect,
        *,
        follow: bool,
    ) -> None:
        self._topic = topic
        self._closed = closed
        self._follow = follow
        self._errors = Errors()
        self._causes = Causes()
        configuration = options.consumer() | {"error_cb": self._errors.note}
        try:
            self._consumer = connect(configuration)
        except KafkaException as error:
            said = redacted(error.args[0].str(), configuration)
            raise OriginError(f"the options do not suit a reader: {said}") from None

    def close(self) -> None:
        """End the client's threads."""
        self._consumer.close()

    def records(self, position: Mapping[int, int]) -> Iterator[Record]:
        """Yield as :meth:`KafkaReader.subscribe`.

        Raises:
            OriginError: As there.
            OriginUnavailable: As there; or closed.
        """
        ends = self._begin(position)
        heard_s = time.monotonic()
        while ends:
            self._check_open()
            messages = self._consumer.consume(RECORDS_MAX, SLICE_S)
            for message in messages:
                number, offset = self._place(message)
                if message.error() is None and offset < ends.get(number, 0):
                    yield _record(message, number, offset)
                if offset + 1 >= ends.get(number, 0):
                    ends.pop(number, None)
            if messages:
                heard_s = self._hear()
            elif time.monotonic() - heard_s > SILENCE_MAX_S:
                self._bear(self._errors.cause(self._topic))

    def ends(self) -> dict[int, int]:
        """Return where each partition ends now.

        Raises:
            OriginUnavailable: As :meth:`KafkaReader.end`.
        """
        return {number: self._watermarks(number)[1] for number in sorted(self._partitions())}

    def _hear(self) -> float:
        """Note that brokers answer, and when."""
        self._errors.clear()
        self._causes.clear(self._topic)
        return time.monotonic()

    def _bear(self, cause: str | None) -> None:
        """Note a long silence; for a follower it may only be that nothing is written.

        Raises:
            OriginUnavailable: This is no follower; or only a new client would read the
                password and certificates again.
        """
        if not self._follow or self._errors.are_of_credentials:
            raise OriginUnavailable(cause or self._silence)
        if cause is None:
            self._causes.clear(self._topic)
        else:
            self._causes.put(self._topic, cause)

    def _begin(self, position: Mapping[int, int]) -> dict[int, int]:
        """Go to *position*; return, of each partition with something to come, where it ends."""
        partitions = self._partitions()
        if strange := position.keys() - partitions:
            raise OriginError(f"{self._topic} has no partition {min(strange)}")
        ends: dict[int, int] = {}
        places: list[TopicPartition] = []
        for number in sorted(partitions):
            place = TopicPartition(self._topic, number)
            oldest, end = self._watermarks(number)
            place.offset = position.get(number, oldest)
            if not oldest <= place.offset <= end:
                raise OriginError(
                    f"{self._topic} has no offset {place.offset} in partition {number}: "
                    f"it holds {oldest} to {end - 1}"
                )
            if self._follow or place.offset < end:
                ends[number] = sys.maxsize if self._follow else end
                places.append(place)
        self._consumer.assign(places)
        return ends

    def _watermarks(self, number: int) -> tuple[int, int]:
        """Return a partition's oldest offset, and the one that comes next."""
        place = TopicPartition(self._topic, number)
        return self._ask(partial(self._consumer.get_watermark_offsets, place))

    def _partitions(self) -> set[int]:
        """Return the topic's partitions; a follower waits until there are some."""
        while True:
            found: Any = self._ask(partial(self._consumer.list_topics, self._topic))
            topic = found.topics[self._topic]
            if topic.error is None:
                return set(topic.partitions)
            if topic.error.name() != "UNKNOWN_TOPIC_OR_PART":
                raise OriginUnavailable(explain(topic.error, self._topic))
            if not self._follow:
                return set()
            self._closed.wait(ASK_S)

    def _ask(self, question: Callable[[float], AnswerT]) -> AnswerT:
        """Ask until a broker answers."""
        asked_s = time.monotonic()
        while True:
            self._check_open()
            try:
                answer = question(ASK_S)
            except KafkaException:
                self._consumer.poll(0)  # what is wrong with the connections is told there
                if time.monotonic() - asked_s > SILENCE_MAX_S:
                    self._bear(self._errors.cause(self._topic) or self._silence)
            else:
                self._hear()
                return answer

    def _place(self, message: Message) -> tuple[int, int]:
        """Return where *message* stands, be it a record or the end of a partition.

        Raises:
            OriginError: The offset to read next is gone.
            OriginUnavailable: The topic is gone, or not for us.
        """
        error, number, offset = message.error(), message.partition(), message.offset()
        assert number is not None, "a consumer's message has a partition"
        assert offset is not None, "a consumer's message has an offset"
        if error is None or error.name() == "_PARTITION_EOF":
            return number, offset
        if error.name() == "_AUTO_OFFSET_RESET":
            raise OriginError(
                f"{self._topic} has no offset {offset} in partition {number} any more"
            )
        raise OriginUnavailable(explain(error, self._topic))

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise OriginUnavailable("closed while reading")

    @property
    def _silence(self) -> str:
        return f"{self._topic}: no broker answers"


def _record(message: Message, partition: int, offset: int) -> Record:
    return Record(
        topic=message.topic() or "",
        partition=partition,
        offset=offset,
        key=_text(message.key()),
        headers={name: _text(value) for name, value in _pairs(message)},
        value=message.value() or b"",
    )


def _pairs(message: Message) -> list[tuple[str, str | bytes | None]]:
    headers = message.headers() or []
    return list(headers.items()) if isinstance(headers, dict) else headers


def _text(value: str | bytes | None) -> str:
    """Show *value*, whoever wrote it and whatever it is."""
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value or ""
