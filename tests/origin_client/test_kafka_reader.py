"""``origin_client.kafka_reader``: from a position on, nothing skipped, and an end to waiting."""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from origin_client import kafka_reader
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
class FakePartition:
    """What the brokers say of a partition."""

    error: KafkaError | None = None


@dataclass
class FakeTopic:
    """What the brokers say of a topic."""

    error: KafkaError | None = None
    partitions: dict[int, FakePartition] = field(default_factory=lambda: {0: FakePartition()})


BROKER_AWAY = KafkaException(kafka_error("_TRANSPORT"))
MISSING = FakeTopic(kafka_error("UNKNOWN_TOPIC_OR_PART"))
LEADERLESS = FakeTopic(partitions={0: FakePartition(kafka_error("LEADER_NOT_AVAILABLE"))})
TWO = {0: FakePartition(), 1: FakePartition()}


@dataclass
class FakeConsumer:
    """Plays what it is told: one partition, offsets 0 to 2, unless said otherwise.

    Attributes:
        script: What each ``consume`` returns; then nothing.
        topics: What each ``list_topics`` tells, or raises; then that all is well.
        assigned: Where it reads.
        is_closed: Whether it is.
        when_dry: Called when the script is at its end.
        says: Errors of connections, told at the next ``consume``.
        watermarks: Raised by each question for them, one after the other.
        asked: How often the topic was asked for.
        slept: Called with the time that each ``consume`` takes.
    """

    script: list[list[Message]] = field(default_factory=list[list[Message]])
    topics: list[FakeTopic | KafkaException] = field(
        default_factory=list[FakeTopic | KafkaException]
    )
    assigned: list[TopicPartition] = field(default_factory=list[TopicPartition])
    is_closed: bool = False
    when_dry: Callable[[], None] = lambda: None
    says: list[KafkaError] = field(default_factory=list[KafkaError])
    watermarks: list[KafkaException] = field(default_factory=list[KafkaException])
    asked: int = 0
    slept: Callable[[float], None] = lambda _: None
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
        self.asked += 1
        found = self.topics.pop(0) if self.topics else FakeTopic()
        if isinstance(found, KafkaException):
            raise found
        return FakeMetadata({topic: found})  # type: ignore[dict-item]  # with partitions

    def get_watermark_offsets(self, _: TopicPartition, timeout: float) -> tuple[int, int]:
        """Three records are there."""
        assert timeout > 0
        if self.watermarks:
            raise self.watermarks.pop(0)
        return 0, 3

    def poll(self, timeout: float) -> None:
        """Tell nothing of connections."""
        assert timeout == 0

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
        self.slept(timeout)
        return self.script.pop(0) if self.script else []

    def close(self) -> None:
        """Leave."""
        self.is_closed = True


def message(
    offset: int, value: bytes | None = b"{}", partition: int = 0, **members: object
) -> Message:
    return Message(topic=TOPIC, partition=partition, offset=offset, value=value, **members)  # type: ignore[arg-type]  # as the test needs them


def told(name: str, offset: int, partition: int = 0) -> Message:
    return message(offset, None, partition, error=kafka_error(name))


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
    fake = FakeConsumer([[message(0)]], topics=[MISSING, MISSING, FakeTopic()])
    reader = fake.reader()
    fake.when_dry = reader.close

    followed = reader.subscribe(TOPIC, {}, follow=True)

    assert [record.offset for record in followed] == [0]


def told_of(caplog: pytest.LogCaptureFixture) -> list[tuple[str, object]]:
    return [(record.getMessage(), record.__dict__["cause"]) for record in caplog.records]


QUIET: list[list[Message]] = [[]] * 60
"""Twelve seconds."""
GONE = kafka_error("_TRANSPORT", "a:1/1: gone")


def follow(fake: FakeConsumer, *offsets: int) -> KafkaReader:
    """Follow until the script is at its end; these records must come."""
    reader = fake.reader()
    fake.when_dry = reader.close
    records = reader.subscribe(TOPIC, {}, follow=True)
    assert tuple(record.offset for record in records) == offsets
    return reader


def test_a_follower_tells_once_that_brokers_left_and_once_that_they_are_back(
    later: Callable[[float], None], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fake = FakeConsumer([[message(0)], *QUIET, [message(1)], []], slept=later)
    reader = fake.reader()
    fake.when_dry = reader.close

    told_at: list[str | None] = []
    for record in reader.subscribe(TOPIC, {}, follow=True):
        told_at.append(reader.health(TOPIC))
        if record.offset == 0:
            fake.says, fake.topics = [GONE], [BROKER_AWAY] * 9

    cause = "a broker cannot be reached: a:1: gone"
    assert told_at == [None, cause]
    assert reader.health(TOPIC) is None
    assert told_of(caplog) == [("origin unavailable", cause), ("origin works again", cause)]


@pytest.mark.parametrize(
    ("found", "cause"),
    [
        (BROKER_AWAY, f"{TOPIC}: no broker answers"),
        (LEADERLESS, f"{TOPIC}: partition 0 cannot be read"),
    ],
    ids=["away", "leaderless"],
)
def test_a_follower_of_a_quiet_topic_asks_whether_it_can_be_read(
    later: Callable[[float], None], found: FakeTopic | KafkaException, cause: str
) -> None:
    fake = FakeConsumer([[told("_PARTITION_EOF", 3)]], [FakeTopic(), *[found] * 9], slept=later)
    fake.script += QUIET
    assert follow(fake).health(TOPIC) == cause

    fake = FakeConsumer([[told("_PARTITION_EOF", 3)]], [FakeTopic(), found], slept=later)
    fake.script += QUIET
    assert follow(fake).health(TOPIC) is None


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("UNKNOWN_TOPIC_OR_PART", "does not exist; create it"),
        ("TOPIC_AUTHORIZATION_FAILED", "may not be used; allow this user to"),
    ],
)
def test_a_quiet_topic_that_is_taken_away_is_told(
    later: Callable[[float], None], fault: str, cause: str
) -> None:
    gone = FakeTopic(kafka_error(fault))
    fake = FakeConsumer([[told("_PARTITION_EOF", 3)]], [FakeTopic(), gone], slept=later)
    reader = fake.reader()

    with pytest.raises(OriginUnavailable, match=cause):
        list(reader.subscribe(TOPIC, {}, follow=True))

    assert cause in str(reader.health(TOPIC))
    assert fake.is_closed


@pytest.mark.parametrize(("found", "pause_s"), [(FakeTopic(), 10), (BROKER_AWAY, 1)])
def test_brokers_are_asked_seldom_and_only_in_a_silence(
    later: Callable[[float], None], found: FakeTopic | KafkaException, pause_s: int
) -> None:
    """Every ten seconds, or every second while something is wrong."""
    fake = FakeConsumer(
        [[told("_PARTITION_EOF", 3)]], [FakeTopic(), *[found] * 99], slept=later
    )
    fake.script += [[]] * 250

    follow(fake)

    assert 0 < fake.asked - 1 <= 50 / pause_s
    busy = FakeConsumer([[message(n)] for n in range(250)], slept=later)
    busy.script.append([])
    follow(busy, *range(250))
    assert busy.asked == 1


def test_a_missing_topic_is_told_until_all_of_it_is_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """That it is there is not enough, nor that a part of it can be read."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(kafka_reader, "ASK_S", 0.001)
    eof = told("_PARTITION_EOF", 3)
    fake = FakeConsumer(
        [[message(0)], [], [eof], [told("_PARTITION_EOF", 3, 1), message(4)], []],
        topics=[MISSING, MISSING, FakeTopic(partitions=TWO)],
    )
    reader = fake.reader()
    fake.when_dry = reader.close

    told_at = [reader.health(TOPIC) for _ in reader.subscribe(TOPIC, {}, follow=True)]

    cause = f"{TOPIC} does not exist; create it, the gateway never does"
    assert told_at == [cause, cause]
    assert reader.health(TOPIC) is None
    assert told_of(caplog) == [("origin unavailable", cause), ("origin works again", cause)]


def test_what_a_reader_ends_by_is_told_until_the_topic_is_read_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The brokers tell all of the topic to who may not read it; and whoever is raised to logs."""
    fake = FakeConsumer([[told("TOPIC_AUTHORIZATION_FAILED", 0)], [told("_PARTITION_EOF", 3)]])
    fake.script.append([])
    reader = fake.reader()
    fake.when_dry = reader.close

    with pytest.raises(OriginUnavailable):
        list(reader.subscribe(TOPIC, {}, follow=True))
    lines = told_of(caplog)
    assert reader.end(TOPIC) == {0: 3}
    ended_by = reader.health(TOPIC)
    records = list(reader.subscribe(TOPIC, {}, follow=True))

    assert (lines, records) == ([], [])
    assert ended_by == f"{TOPIC} may not be used; allow this user to"
    assert reader.health(TOPIC) is None
    assert reader.health("edge.nobody.v1") is None


def test_a_place_that_is_gone_is_told_until_another_is_read() -> None:
    fake = FakeConsumer([[told("_PARTITION_EOF", 3)], []])
    reader = fake.reader()
    fake.when_dry = reader.close

    with pytest.raises(OriginError):
        list(reader.subscribe(TOPIC, {0: 9}, follow=True))
    assert "has no offset 9" in str(reader.health(TOPIC))
    assert list(reader.subscribe(TOPIC, {0: 3}, follow=True)) == []

    assert reader.health(TOPIC) is None


def test_a_topic_that_goes_while_its_place_is_sought_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_reader, "SILENCE_MAX_S", -1.0)
    unknown = KafkaException(kafka_error("UNKNOWN_TOPIC_OR_PART"))
    fake = FakeConsumer(watermarks=[unknown])

    with pytest.raises(OriginUnavailable, match="does not exist; create it"):
        fake.reader().end(TOPIC)


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
    fake = FakeConsumer(topics=[FakeTopic(partitions=TWO)])

    assert fake.reader().end(TOPIC) == {0: 3, 1: 3}
    assert fake.is_closed


def test_an_end_that_no_broker_tells_is_told_with_its_cause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_reader, "ASK_S", 0.1)
    monkeypatch.setattr(kafka_reader, "SILENCE_MAX_S", 0.3)

    with pytest.raises(OriginUnavailable, match="a broker cannot be reached"):
        open_reader(NOWHERE, {}).end(TOPIC)
