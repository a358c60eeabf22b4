"""``origin_client.kafka_reader``: from a position on, nothing skipped, and an end to waiting."""

import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from origin_client import kafka_reader
from origin_client.kafka_causes import ERROR_AGE_MAX_S
from origin_client.kafka_options import Configuration, KafkaOptions
from origin_client.kafka_reader import KafkaReader
from origin_client.log_layout import CONTENT_TYPE
from origin_client.open import open_origin, open_reader
from origin_client.origin import (
    OriginError,
    OriginUnavailable,
    Outgoing,
    Record,
    Surveyable,
)
from tests.fakes_kafka import TOPIC, FakeMetadata, kafka_error, wait_until
from tests.fakes_kafka_mock import mock_cluster

NOWHERE = "kafka://127.0.0.1:1"  # nobody listens on port 1


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A cluster that keeps a hundred records of ten keys."""
    with mock_cluster(TOPIC) as url:
        origin = open_origin(url, {})
        origin.publish(TOPIC, [Outgoing(b"k%d" % (n % 10), b"%d" % n) for n in range(100)])
        origin.close()
        yield url


def test_all_there_is_is_read_in_the_order_of_each_partition(url: str) -> None:
    records = list(open_reader(url, {}).subscribe(TOPIC, {}))

    assert sorted(int(record.value) for record in records) == list(range(100))
    for number in {record.partition for record in records}:
        offsets = [record.offset for record in records if record.partition == number]
        assert offsets == list(range(len(offsets)))
    assert {(r.topic, *r.headers.items()) for r in records} == {
        (TOPIC, ("content-type", CONTENT_TYPE))
    }


@pytest.mark.parametrize(
    ("position", "complaint"),
    [
        ({4: 0}, "has no partition 4"),
        ({0: 1000}, "has no offset 1000 in partition 0"),
        ({0: -1}, "has no offset -1 in partition 0"),
    ],
)
def test_a_position_that_is_not_there_is_told(
    url: str, position: dict[int, int], complaint: str
) -> None:
    with pytest.raises(OriginError, match=complaint):
        list(open_reader(url, {}).subscribe(TOPIC, position))


def test_options_that_suit_no_reader_are_told_without_their_values(url: str) -> None:
    options = {"session.timeout.ms": 100_000, "max.poll.interval.ms": 90_000}

    with pytest.raises(OriginError, match=r"do not suit a reader: .*max\.poll\.interval\.ms"):
        list(open_reader(url, options).subscribe(TOPIC, {}))


def test_brokers_that_do_not_answer_are_told_with_their_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_reader, "ASK_S", 0.1)
    monkeypatch.setattr(kafka_reader, "SILENCE_MAX_S", 0.3)

    with pytest.raises(
        OriginUnavailable, match=r"a broker cannot be reached: 127\.0\.0\.1:1: "
    ):
        list(open_reader(NOWHERE, {}).subscribe(TOPIC, {}))


def test_closing_ends_a_reader_that_waits_for_brokers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_reader, "ASK_S", 0.1)
    reader = open_reader(NOWHERE, {})
    read: list[list[Record]] = []
    thread = threading.Thread(target=lambda: read.append(list(reader.subscribe(TOPIC, {}))))
    thread.start()

    reader.close()
    thread.join()

    assert read == [[]]


def test_an_unknown_topic_is_empty(url: str) -> None:
    assert list(open_reader(url, {}).subscribe("edge.nobody.v1", {})) == []


def test_it_can_be_surveyed() -> None:
    reader = open_reader(NOWHERE, {})

    assert isinstance(reader, Surveyable)
    with pytest.raises(OriginUnavailable, match="cannot be reached"):
        reader.survey([TOPIC], 0.5)


@dataclass
class FakeTopic:
    """What the brokers say of a topic."""

    error: KafkaError | None = None
    partitions: tuple[int, ...] = (0,)


@dataclass
class FakeConsumer:
    """Plays what it is told: one partition, offsets 0 to 2, unless said otherwise."""

    script: list[list[Message]] = field(default_factory=list[list[Message]])
    topics: list[FakeTopic] = field(default_factory=list[FakeTopic])
    assigned: list[TopicPartition] = field(default_factory=list[TopicPartition])
    is_closed: bool = False
    when_dry: Callable[[], None] = lambda: None
    says: list[KafkaError] = field(default_factory=list[KafkaError])
    configuration: Configuration = field(default_factory=dict[str, Any])

    def connect(self, configuration: Configuration) -> Consumer:
        """Be the client."""
        self.configuration = configuration
        return cast("Consumer", self)

    def reader(self) -> KafkaReader:
        """Read by this client."""
        return KafkaReader(KafkaOptions(NOWHERE, {}), self.connect)

    def list_topics(self, topic: str, timeout: float) -> FakeMetadata:
        """Tell of the topic, as of the next in the script."""
        assert timeout > 0
        found = self.topics.pop(0) if self.topics else FakeTopic()
        return FakeMetadata({topic: found})  # type: ignore[dict-item]  # with partitions

    def get_watermark_offsets(self, _: TopicPartition, timeout: float) -> tuple[int, int]:
        """Three records are there."""
        assert timeout > 0
        return 0, 3

    def assign(self, places: list[TopicPartition]) -> None:
        """Go there."""
        self.assigned = places

    def consume(self, count: int, timeout: float) -> list[Message]:
        """Return what is next in the script."""
        assert count > 0
        assert timeout > 0
        while self.says:
            self.configuration["error_cb"](self.says.pop())
        if not self.script:
            self.when_dry()
        return self.script.pop(0) if self.script else []

    def close(self) -> None:
        """Leave."""
        self.is_closed = True


def message(offset: int, value: bytes | None = b"{}", **members: object) -> Message:
    return Message(topic=TOPIC, partition=0, offset=offset, value=value, **members)  # type: ignore[arg-type]  # as the test needs them


def told(name: str, offset: int) -> Message:
    return message(offset, None, error=kafka_error(name))


def test_a_reader_that_does_not_follow_ends_where_the_partition_did() -> None:
    fake = FakeConsumer([[message(0), message(2), message(3), told("_PARTITION_EOF", 4)]])

    assert [record.offset for record in fake.reader().subscribe(TOPIC, {})] == [0, 2]
    assert fake.is_closed


def test_a_partition_whose_last_records_were_compacted_away_ends_too() -> None:
    fake = FakeConsumer([[message(0)], [told("_PARTITION_EOF", 3)]])

    assert [record.offset for record in fake.reader().subscribe(TOPIC, {})] == [0]


def test_whatever_others_wrote_is_shown() -> None:
    headers = {"a": b"\xff", "b": None, "c": "text"}
    fake = FakeConsumer(
        [[message(0, None, key=b"\xfe"), message(1, headers=headers), message(2)]]
    )

    first, second, third = fake.reader().subscribe(TOPIC, {})

    assert (first.key, first.value, first.headers) == ("\\xfe", b"", {})
    assert second.headers == {"a": "\\xff", "b": "", "c": "text"}
    assert (third.key, third.value) == ("", b"{}")


def test_an_offset_that_is_removed_meanwhile_is_told() -> None:
    fake = FakeConsumer([[message(0)], [told("_AUTO_OFFSET_RESET", 1)]])

    with pytest.raises(OriginError, match="has no offset 1 in partition 0 any more"):
        list(fake.reader().subscribe(TOPIC, {}))


@pytest.mark.parametrize(
    ("fake", "cause"),
    [
        (
            FakeConsumer(topics=[FakeTopic(kafka_error("TOPIC_AUTHORIZATION_FAILED"))]),
            "may not be used",
        ),
        (FakeConsumer([[told("UNKNOWN_TOPIC_OR_PART", 0)]]), "does not exist"),
    ],
    ids=["rights", "deleted"],
)
def test_a_topic_that_is_kept_from_us_is_told(fake: FakeConsumer, cause: str) -> None:
    with pytest.raises(OriginUnavailable, match=cause):
        list(fake.reader().subscribe(TOPIC, {}))


def test_silence_in_the_middle_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_reader, "SILENCE_MAX_S", 0.0)
    fake = FakeConsumer([[message(0)]])

    with pytest.raises(OriginUnavailable, match=f"{TOPIC}: no broker answers"):
        list(fake.reader().subscribe(TOPIC, {}))


def test_a_follower_has_patience_and_ends_when_it_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_reader, "SILENCE_MAX_S", 0.0)
    fake = FakeConsumer([[message(2)], [], [message(3)], []])
    reader = fake.reader()
    fake.when_dry = reader.close

    followed = reader.subscribe(TOPIC, {0: 2}, follow=True)

    assert [record.offset for record in followed] == [2, 3]
    assert [place.offset for place in fake.assigned] == [2]


def test_a_follower_waits_for_a_topic_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka_reader, "ASK_S", 0.001)
    missing = FakeTopic(kafka_error("UNKNOWN_TOPIC_OR_PART"))
    fake = FakeConsumer([[message(0)]], topics=[missing, missing, FakeTopic()])
    reader = fake.reader()
    fake.when_dry = reader.close

    followed = reader.subscribe(TOPIC, {}, follow=True)

    assert [record.offset for record in followed] == [0]


def told_of(caplog: pytest.LogCaptureFixture) -> list[tuple[str, object]]:
    return [(record.getMessage(), record.__dict__["cause"]) for record in caplog.records]


def test_a_follower_tells_once_that_brokers_left_and_once_that_they_are_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(kafka_reader, "SILENCE_MAX_S", -1.0)
    fake = FakeConsumer([[message(0)], [], [], [message(1)], []])
    reader = fake.reader()
    fake.when_dry = reader.close

    offsets: list[int] = []
    for record in reader.subscribe(TOPIC, {}, follow=True):
        offsets.append(record.offset)
        fake.says = [kafka_error("_TRANSPORT", "a:1/1: gone")] if record.offset == 0 else []

    cause = "a broker cannot be reached: a:1: gone"
    assert offsets == [0, 1]
    assert told_of(caplog) == [("origin unavailable", cause), ("origin works again", cause)]


def test_a_follower_of_a_quiet_topic_forgets_what_nobody_repeats(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(kafka_reader, "SILENCE_MAX_S", -1.0)
    fake = FakeConsumer([[], [], []], says=[kafka_error("_TRANSPORT", "a:1/1: gone")])
    reader = fake.reader()
    fake.when_dry = reader.close
    moments = itertools.count(0.0, ERROR_AGE_MAX_S / 3)
    monkeypatch.setattr("time.monotonic", lambda: next(moments))

    assert list(reader.subscribe(TOPIC, {}, follow=True)) == []
    assert [line for line, _ in told_of(caplog)] == ["origin unavailable", "origin works again"]


def test_a_follower_whose_login_is_refused_ends_for_a_new_client_reads_passwords_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_reader, "SILENCE_MAX_S", -1.0)
    fake = FakeConsumer([[], [message(0)]], says=[kafka_error("_AUTHENTICATION", "a:1/1: no")])

    with pytest.raises(OriginUnavailable, match=r"the login is refused; .*: a:1: no"):
        list(fake.reader().subscribe(TOPIC, {}, follow=True))
    assert fake.is_closed


def test_a_follower_waits_for_brokers_and_tells_what_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kafka_reader, "ASK_S", 0.05)
    monkeypatch.setattr(kafka_reader, "SILENCE_MAX_S", 0.1)
    reader = open_reader(NOWHERE, {})
    read: list[list[Record]] = []
    follower = threading.Thread(
        target=lambda: read.append(list(reader.subscribe(TOPIC, {}, follow=True)))
    )
    follower.start()
    wait_until(lambda: "origin unavailable" in caplog.text)
    reader.close()
    follower.join()

    assert read == [[]]
    (_, cause), *_ = told_of(caplog)
    assert str(cause).startswith("a broker cannot be reached: 127.0.0.1:1: ")


def test_the_end_is_told_of_each_partition(url: str) -> None:
    reader = open_reader(url, {})

    end = reader.end(TOPIC)

    last = {record.partition: record.offset for record in reader.subscribe(TOPIC, {})}
    assert {each: offset for each, offset in end.items() if offset} == {
        each: offset + 1 for each, offset in last.items()
    }
    assert reader.end("edge.nobody.v1") == {}


def test_whoever_asked_for_the_end_leaves_no_client_behind() -> None:
    fake = FakeConsumer(topics=[FakeTopic(partitions=(0, 1))])

    assert fake.reader().end(TOPIC) == {0: 3, 1: 3}
    assert fake.is_closed


def test_an_end_that_no_broker_tells_is_told_with_its_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_reader, "ASK_S", 0.1)
    monkeypatch.setattr(kafka_reader, "SILENCE_MAX_S", 0.3)

    with pytest.raises(OriginUnavailable, match="a broker cannot be reached"):
        open_reader(NOWHERE, {}).end(TOPIC)
