"""What every origin promises, whatever it is made of.

A new kind joins by a fixture that is named after it and one row of ``KINDS``, and when it can be
read back, of ``READABLE``.
"""

import threading
from collections.abc import Generator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Protocol

import msgspec
import pytest

from origin_client.log_layout import CONTENT_TYPE
from origin_client.open import Reader, open_origin, open_reader
from origin_client.origin import Origin, OriginUnavailable, Outgoing, Record
from tests.fakes_http_origin import Receiver, receiver
from tests.kafka.broker import Broker

TOPIC = "edge.bet.v1"
KEYS = ("player-0001", "player-0002", "spieler-ü-赌", "p" * 64, "0")
READABLE = ("log", "kafka")
KINDS = (*READABLE, "http")


class Rig(Protocol):
    """One kind of origin, with somewhere to keep its records."""

    @property
    def poison(self) -> bytes:
        """A value that it never takes."""
        ...

    def open(self) -> Origin:
        """Open it to publish; closed first if it was open."""
        ...

    def records(self, topic: str) -> list[Record]:
        """What it keeps, in order."""
        ...


class ReadableRig(Rig, Protocol):
    """One that shows what it keeps by itself."""

    def reader(self) -> Reader:
        """Open it to read."""
        ...


@dataclass
class LogRig:
    """``log:`` in a directory of the test's own."""

    path: Path
    poison: bytes = b"\xff"

    def open(self) -> Origin:
        """Open it to publish."""
        return open_origin(f"log:{self.path}", {})

    def reader(self) -> Reader:
        """Open it to read."""
        return open_reader(f"log:{self.path}", {})

    def records(self, topic: str) -> list[Record]:
        """Read all of it."""
        return read_all(self.reader(), topic)


class Keyed(msgspec.Struct):
    """What a receiver goes by that gets no key."""

    subject: str


@dataclass
class HttpRig:
    """``http:`` to a receiver of the test's own, which has one partition."""

    there: Receiver
    poison: bytes = b"\xff"

    def open(self) -> Origin:
        """Open it to publish."""
        return open_origin(self.there.url, {})

    def records(self, topic: str) -> list[Record]:
        """Look what the receiver keeps."""
        return [
            Record(
                topic=topic,
                partition=0,
                offset=offset,
                key=msgspec.json.decode(value, type=Keyed).subject,
                headers={},
                value=value,
            )
            for offset, value in enumerate(self.there.events[topic])
        ]


@dataclass
class KafkaRig:
    """``kafka:`` to the broker that all tests share, with a new topic."""

    broker: Broker
    poison: bytes = b"x" * 1_000_000  # with its key above what the client takes by default

    def open(self) -> Origin:
        """Open it to publish."""
        return open_origin(f"kafka://{self.broker.bootstrap}", {})

    def reader(self) -> Reader:
        """Open it to read."""
        return open_reader(f"kafka://{self.broker.bootstrap}", {})

    def records(self, topic: str) -> list[Record]:
        """Read all of it."""
        return read_all(self.reader(), topic)


def read_all(reader: Reader, topic: str) -> list[Record]:
    try:
        return list(reader.subscribe(topic, {}))
    finally:
        reader.close()


@pytest.fixture
def log(tmp_path: Path) -> LogRig:
    """The embedded log."""
    return LogRig(tmp_path / "origin")


@pytest.fixture
def http() -> Generator[HttpRig]:
    """A receiver behind HTTP."""
    with receiver() as there:
        yield HttpRig(there)


@pytest.fixture
def kafka(broker: Broker) -> KafkaRig:
    """A real broker."""
    broker.create_topic(TOPIC)
    return KafkaRig(broker)


@pytest.fixture(params=KINDS)
def rig(request: pytest.FixtureRequest) -> Rig:
    """Every kind, one after the other."""
    chosen: Rig = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture(params=READABLE)
def readable(request: pytest.FixtureRequest) -> ReadableRig:
    """Every kind that can be read back, one after the other."""
    chosen: ReadableRig = request.getfixturevalue(request.param)
    return chosen


def outgoing(number: int, key: str = KEYS[0]) -> Outgoing:
    event = {"specversion": "1.0", "subject": key, "edgeseq": str(number)}
    return Outgoing(key.encode(), msgspec.json.encode(event))


def spread(count: int) -> list[Outgoing]:
    return [outgoing(number, KEYS[number % len(KEYS)]) for number in range(count)]


def values(records: list[Record], key: str) -> list[bytes]:
    return [record.value for record in records if record.key == key]


def test_what_was_published_is_there_after_reopening(rig: Rig) -> None:
    origin = rig.open()
    assert origin.publish(TOPIC, spread(100)) == []
    origin.close()
    origin = rig.open()
    assert origin.publish(TOPIC, [outgoing(100)]) == []
    origin.close()

    assert sorted(record.value for record in rig.records(TOPIC)) == sorted(
        record.value for record in [*spread(100), outgoing(100)]
    )


def test_the_records_of_one_key_keep_their_order_and_their_partition(rig: Rig) -> None:
    origin = rig.open()
    for start in range(0, 300, 100):
        origin.publish(TOPIC, spread(300)[start : start + 100])
    origin.close()

    records = rig.records(TOPIC)

    for place, key in enumerate(KEYS):
        assert values(records, key) == [each.value for each in spread(300)[place :: len(KEYS)]]
        assert len({record.partition for record in records if record.key == key}) == 1


def test_a_partition_counts_its_records_from_0_without_a_gap(rig: Rig) -> None:
    origin = rig.open()
    origin.publish(TOPIC, spread(50))
    origin.publish(TOPIC, spread(50))
    origin.close()

    records = rig.records(TOPIC)

    for number in {record.partition for record in records}:
        offsets = [record.offset for record in records if record.partition == number]
        assert offsets == list(range(len(offsets)))


def test_a_record_says_what_its_value_is(readable: ReadableRig) -> None:
    origin = readable.open()
    sent = outgoing(1, KEYS[2])
    origin.publish(TOPIC, [sent])
    origin.close()

    (record,) = readable.records(TOPIC)

    assert (record.topic, record.key, record.value) == (TOPIC, KEYS[2], sent.value)
    assert record.headers == {"content-type": CONTENT_TYPE}


def test_a_refused_record_is_named_by_its_place_and_its_neighbours_are_kept(rig: Rig) -> None:
    origin = rig.open()
    batch = spread(10)
    batch[3] = Outgoing(b"player-0001", rig.poison)

    (refusal,) = origin.publish(TOPIC, batch)
    origin.close()

    assert refusal.index == 3
    assert refusal.reason
    assert len(rig.records(TOPIC)) == 9


def test_a_topic_nobody_wrote_to_is_empty(rig: Rig) -> None:
    rig.open().close()

    assert rig.records("edge.nobody.v1") == []


def test_reading_begins_where_it_is_told_to(readable: ReadableRig) -> None:
    origin = readable.open()
    origin.publish(TOPIC, spread(100))
    origin.close()
    read = readable.records(TOPIC)
    position = {record.partition: record.offset for record in read}  # the last of each

    reader = readable.reader()
    again = list(reader.subscribe(TOPIC, position))
    beyond = list(
        reader.subscribe(TOPIC, {each: offset + 1 for each, offset in position.items()})
    )
    reader.close()

    assert {(record.partition, record.offset) for record in again} == set(position.items())
    assert beyond == []


def test_the_end_is_behind_the_last_record_of_each_partition(readable: ReadableRig) -> None:
    origin = readable.open()
    origin.publish(TOPIC, spread(100))
    origin.close()

    reader = readable.reader()
    end = reader.end(TOPIC)
    beyond = list(reader.subscribe(TOPIC, end))
    reader.close()

    last = {record.partition: record.offset for record in readable.records(TOPIC)}
    assert {each: offset for each, offset in end.items() if offset} == {
        each: offset + 1 for each, offset in last.items()
    }
    assert beyond == []


def test_a_follower_from_the_end_sees_only_what_is_published_after_it(
    readable: ReadableRig,
) -> None:
    origin = readable.open()
    origin.publish(TOPIC, spread(100))
    reader = readable.reader()
    followed = reader.subscribe(TOPIC, reader.end(TOPIC), follow=True)
    origin.publish(TOPIC, [outgoing(100), outgoing(101)])

    seen = list(islice(followed, 2))

    reader.close()
    origin.close()
    assert [record.value for record in seen] == [outgoing(n).value for n in (100, 101)]
    assert list(followed) == []


def test_a_topic_nobody_wrote_to_ends_where_it_begins(readable: ReadableRig) -> None:
    readable.open().close()
    reader = readable.reader()

    end = reader.end("edge.nobody.v1")

    reader.close()
    assert not any(end.values())


def test_a_closed_reader_finds_no_end(readable: ReadableRig) -> None:
    readable.open().close()
    reader = readable.reader()
    reader.close()

    with pytest.raises(OriginUnavailable):
        reader.end(TOPIC)


def test_a_follower_sees_what_is_published_later(readable: ReadableRig) -> None:
    origin = readable.open()
    origin.publish(TOPIC, [outgoing(1)])
    reader = readable.reader()
    followed = reader.subscribe(TOPIC, {}, follow=True)
    first = next(followed)
    late = threading.Timer(0.05, origin.publish, (TOPIC, [outgoing(2), outgoing(3)]))
    late.start()

    rest = list(islice(followed, 2))

    late.join()
    reader.close()
    assert [record.value for record in (first, *rest)] == [outgoing(n).value for n in (1, 2, 3)]
    assert list(followed) == []
    origin.close()


def test_closing_ends_a_publish_in_another_thread(rig: Rig) -> None:
    origin = rig.open()
    publishes = threading.Event()
    ended: list[OriginUnavailable] = []

    def publish_for_ever() -> None:
        try:
            while True:
                origin.publish(TOPIC, spread(100))
                publishes.set()
        except OriginUnavailable as error:
            ended.append(error)

    publisher = threading.Thread(target=publish_for_ever, daemon=True)
    publisher.start()
    publishes.wait()

    origin.close()
    publisher.join()

    assert len(ended) == 1
    assert origin.health() is not None


def test_a_closed_origin_takes_nothing_and_may_be_closed_again(rig: Rig) -> None:
    origin = rig.open()
    assert origin.health() is None
    origin.close()
    origin.close()

    with pytest.raises(OriginUnavailable):
        origin.publish(TOPIC, [outgoing(1)])
    assert rig.records(TOPIC) == []
