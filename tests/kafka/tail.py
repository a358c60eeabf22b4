"""What lies in a topic, read by nothing of ours: confluent's consumer, from the beginning on."""

import contextlib
import time
from typing import Final, NamedTuple, Self, cast

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

TIMEOUT_S: Final = 10.0  # of one question to a broker that may be starting, and of one silence
POLL_S: Final = 0.1


class Taken(NamedTuple):
    """One record, where it lies.

    Attributes:
        partition: From 0.
        offset: From 0.
        key: As published.
        headers: Names and values.
        value: As published.
    """

    partition: int
    offset: int
    key: bytes
    headers: tuple[tuple[str, bytes], ...]
    value: bytes


class Tail:
    """One topic's records, in the order of each partition; a context manager.

    ::

        with Tail(broker.bootstrap, "edge.bet.v1") as tail:
            assert [taken.value for taken in tail.read()] == [b"..."]
    """

    def __init__(self, bootstrap: str, topic: str) -> None:
        self._topic = topic
        # A group's name is asked for, though nothing is ever committed to it.
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap, "group.id": "tail", "log_level": 0}
            | {"enable.auto.commit": False, "fetch.wait.max.ms": 10}
        )
        self._next: dict[int, int] = {}
        self._taken: list[Taken] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def read(self) -> list[Taken]:
        """Return all that is there now, from the topic's beginning.

        While the broker is away: what was known before.
        """
        end_s = time.monotonic() + TIMEOUT_S
        with contextlib.suppress(KafkaException):
            self._assign()
            ends = {partition: self._end(partition) for partition in self._next}
            while any(self._next[each] < end for each, end in ends.items()):
                if time.monotonic() > end_s:
                    break
                for message in self._consumer.consume(500, timeout=POLL_S):
                    self._take(message)
                    end_s = time.monotonic() + TIMEOUT_S
        return self._taken

    def _assign(self) -> None:
        if not self._next:
            topics = self._consumer.list_topics(self._topic, timeout=TIMEOUT_S).topics
            self._next = dict.fromkeys(topics[self._topic].partitions, 0)
            self._consumer.assign([TopicPartition(self._topic, p, 0) for p in self._next])

    def _end(self, partition: int) -> int:
        at = TopicPartition(self._topic, partition)
        return self._consumer.get_watermark_offsets(at, timeout=TIMEOUT_S)[1]

    def _take(self, message: Message) -> None:
        if message.error():
            return  # it passes, or the silence ends the reading
        headers = cast("list[tuple[str, bytes]]", message.headers() or [])
        taken = Taken(
            cast("int", message.partition()),
            cast("int", message.offset()),
            cast("bytes", message.key()),
            tuple(headers),
            cast("bytes", message.value()),
        )
        assert taken.offset == self._next[taken.partition], "a reader sees every record"
        self._next[taken.partition] += 1
        self._taken.append(taken)
