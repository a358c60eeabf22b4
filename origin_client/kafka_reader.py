"""Reads Kafka's topics from where one wants, beside everybody else: no group, no commits.

In go a topic and a position; out come records in the order of their partition. An offset that
is not there is told, never skipped: whoever names one wants to know that something is missing.

Whether a topic can be read is told too, and known from the brokers alone: it can, when each of
its partitions has yielded something, be it only its end, since the last trouble. A topic that is
written to seldom would be silent for hours whatever becomes of it, and one that was deleted is
silent for ever, so that a follower asks the brokers in each longer silence. What it may not read
a fetch is told at once.
"""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeAlias, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from origin_client.kafka_causes import Causes, Errors, explain, is_of_topic
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
        self._causes = Causes()

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
        try:
            with self._subscribed(topic, follow=follow) as subscription:
                yield from subscription.records(position)
        except OriginUnavailable:
            if not self._closed.is_set():
                raise

    def end(self, topic: str) -> dict[int, int]:
        """Return the offset that comes next, by partition; an unknown topic has none.

        Raises:
            OriginError: The options do not suit a reader.
            OriginUnavailable: No broker answers, it refuses, or the reader was closed.
        """
        with self._subscribed(topic, follow=False) as subscription:
            return subscription.ends()

    def health(self, topic: str) -> str | None:
        """Name what keeps *topic* from being read; ``None`` when nothing is known to.

        A trouble is over when the whole topic is read again, not when somebody tries.
        """
        return self._causes.of(topic)

    def survey(self, topics: Sequence[str], timeout_s: float) -> list[str]:
        """Say which of *topics* do not exist, or may not be read.

        Raises:
            OriginUnavailable: No broker answers within *timeout_s*.
        """
        return survey(self._options, topics, timeout_s, right=Right.READ)

    def close(self) -> None:
        """End every subscription."""
        self._closed.set()

    @contextlib.contextmanager
    def _subscribed(self, topic: str, *, follow: bool) -> Generator["_Subscription"]:
        """Make a client, and leave none behind; remember what it fails by.

        Raises:
            OriginError: The options do not suit a reader.
        """
        try:
            subscription = _Subscription(
                self._open, topic, self._closed, self._causes, follow=follow
            )
            with contextlib.closing(subscription):
                yield subscription
        except (OriginError, OriginUnavailable) as error:
            if not self._closed.is_set():
                self._causes.keep(topic, str(error))
            raise

    def _open(self, errors: Errors) -> Consumer:
        """Make a client that tells *errors* what is wrong with its connections.

        Raises:
            OriginError: The options do not suit a reader.
        """
        configuration = self._options.consumer() | {"error_cb": errors.note}
        try:
            return self._connect(configuration)
        except KafkaException as error:
            said = redacted(error.args[0].str(), configuration)
            raise OriginError(f"the options do not suit a reader: {said}") from None


class _Subscription:
    """One consumer, from its making to its end; one thread.

    Raises:
        OriginError: It cannot be made.
    """

    def __init__(
        self,
        open_: Callable[[Errors], Consumer],
        topic: str,
        closed: threading.Event,
        causes: Causes,
        *,
        follow: bool,
    ) -> None:
        self._topic = topic
        self._closed = closed
        self._follow = follow
        self._errors = Errors()
        self._causes = causes
        self._unheard: set[int] = set()  # partitions that have yielded nothing, no end either
        self._consumer = open_(self._errors)

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
                self._unheard.discard(number)
                if message.error() is None and offset < ends.get(number, 0):
                    yield _record(message, number, offset)
                if offset + 1 >= ends.get(number, 0):
                    ends.pop(number, None)
            if messages:
                heard_s = self._hear()
            elif time.monotonic() - heard_s > SILENCE_MAX_S:
                heard_s = self._bear_silence()

    def ends(self) -> dict[int, int]:
        """Return where each partition ends now.

        Raises:
            OriginUnavailable: As :meth:`KafkaReader.end`.
        """
        return {number: self._watermarks(number)[1] for number in sorted(self._partitions())}

    def _hear(self) -> float:
        """Note that brokers answer, and when; the trouble is over if all of the topic is read."""
        self._errors.clear()
        if not self._unheard:
            self._causes.clear(self._topic)
        return time.monotonic()

    def _bear_silence(self) -> float:
        """Find out in a silence whether only nothing is written; return since when it lasts.

        Raises:
            OriginUnavailable: As :meth:`_bear`; or the topic is gone, or not for us.
        """
        is_patient = self._follow and not self._errors.are_of_credentials
        lack = self._doubt() if is_patient else self._silence
        if lack is None:
            return self._hear()
        self._bear(self._errors.cause(self._topic) or lack)
        return time.monotonic() - SILENCE_MAX_S + ASK_S  # so late it is asked again

    def _doubt(self) -> str | None:
        """Ask whether the topic can be read; return why not.

        Raises:
            OriginUnavailable: It is gone, or not for us.
        """
        try:
            found: Any = self._consumer.list_topics(self._topic, ASK_S)
        except KafkaException:
            return self._silence
        topic = found.topics[self._topic]
        if topic.error is not None:
            raise OriginUnavailable(explain(topic.error, self._topic))
        without = [n for n, each in topic.partitions.items() if each.error is not None]
        lost = min([*without, *self._unheard], default=None)
        return None if lost is None else f"{self._topic}: partition {lost} cannot be read"

    def _bear(self, cause: str) -> None:
        """Tell that no broker has answered for long, and wait for one.

        Raises:
            OriginUnavailable: This is no follower; or only a new client would read the
                password and certificates again.
        """
        if not self._follow or self._errors.are_of_credentials:
            raise OriginUnavailable(cause)
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
        self._unheard = set(ends)
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
            self._causes.put(self._topic, explain(topic.error, self._topic))
            self._closed.wait(ASK_S)

    def _ask(self, question: Callable[[float], AnswerT]) -> AnswerT:
        """Ask until a broker answers."""
        asked_s = time.monotonic()
        while True:
            self._check_open()
            try:
                answer = question(ASK_S)
            except KafkaException as failure:
                self._consumer.poll(0)  # what is wrong with the connections is told there
                if time.monotonic() - asked_s > SILENCE_MAX_S:
                    self._bear(self._cause(failure.args[0]))
            else:
                self._errors.clear()
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

    def _cause(self, fault: KafkaError) -> str:
        """Say why a question was not answered: a topic that is gone has no leader to ask."""
        if is_of_topic(fault):
            return explain(fault, self._topic)
        return self._errors.cause(self._topic) or self._silence

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
