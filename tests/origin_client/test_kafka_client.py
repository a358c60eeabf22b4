"""``origin_client.kafka_client``: what a producer says is kept, whichever way it says it."""

import itertools

import pytest
from confluent_kafka import KafkaException

from origin_client import kafka_client
from origin_client.kafka_client import Client
from origin_client.origin import OriginUnavailable
from tests.fakes_kafka import TOPIC, Cluster, kafka_error

HEADERS: list[tuple[str, str | bytes | None]] = [("content-type", b"x")]
GAPLESS = KafkaException(kafka_error("_GAPLESS_GUARANTEE", "stopped", fatal=True))


@pytest.fixture
def cluster() -> Cluster:
    """One where everything works."""
    return Cluster()


@pytest.fixture
def client(cluster: Cluster) -> Client:
    """A client of it."""
    return Client({}, cluster.connect)


def produce(client: Client, *values: bytes) -> None:
    for value in values:
        client.produce(TOPIC, value, b"key", headers=HEADERS)


def test_what_neither_failed_nor_waits_is_written(cluster: Cluster, client: Client) -> None:
    produce(client, b"1", b"2")

    assert client.flush(1)
    assert client.is_empty
    assert not client.has_failed
    assert cluster.written == [b"1", b"2"]


def test_a_failed_record_is_kept_and_so_is_what_was_raised(
    cluster: Cluster, client: Client
) -> None:
    cluster.faults[b"2"] = "MSG_SIZE_TOO_LARGE"
    produce(client, b"1", b"2", b"3")

    assert not client.flush(1)
    assert client.has_failed
    assert [message.value() for message in client.failures] == [b"2", b"3"]
    assert client.fatal == kafka_error("_GAPLESS_GUARANTEE")
    assert client.cause(TOPIC) == "the brokers fail: a record failed"
    assert client.settle()


def test_the_first_cause_that_says_something_stays(client: Client) -> None:
    client.stop(KafkaException(kafka_error("_FATAL")))
    assert client.fatal == kafka_error("_FATAL")
    client.stop(KafkaException(kafka_error("CLUSTER_AUTHORIZATION_FAILED")))
    client.stop(GAPLESS)

    assert client.fatal == kafka_error("CLUSTER_AUTHORIZATION_FAILED")


def test_a_fatal_error_that_python_reports_as_its_own_is_found(
    cluster: Cluster, client: Client
) -> None:
    """The binding calls back with an exception pending, which Python does not forgive."""
    broken = SystemError("returned a result with an exception set")
    broken.__cause__ = GAPLESS
    cluster.breaks = [broken]

    assert not client.flush(1)
    assert client.fatal == kafka_error("_GAPLESS_GUARANTEE")


def test_any_other_error_of_python_is_a_bug(cluster: Cluster, client: Client) -> None:
    cluster.breaks = [SystemError("bad call")]

    with pytest.raises(SystemError, match="bad call"):
        client.flush(1)


def test_a_topic_is_found_or_not_yet_or_told_to_be_missing(
    cluster: Cluster, client: Client
) -> None:
    assert client.finds(TOPIC, 1)
    cluster.missing = kafka_error("LEADER_NOT_AVAILABLE")
    assert client.finds(TOPIC, 1)
    cluster.is_silent = True
    cluster.says = [kafka_error("_SSL", "no authority")]
    assert not client.finds(TOPIC, 1)
    assert "no authority" in str(client.cause(TOPIC))
    cluster.is_silent = False
    cluster.missing = kafka_error("UNKNOWN_TOPIC_OR_PART")
    with pytest.raises(OriginUnavailable, match="does not exist"):
        client.finds(TOPIC, 1)


def test_what_brokers_do_not_answer_is_given_up_as_unknown(
    cluster: Cluster, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    produce(client, b"1")
    cluster.is_silent = True
    ticks = itertools.count()
    monkeypatch.setattr("time.monotonic", lambda: next(ticks) * kafka_client.SETTLE_S / 3)

    assert not client.settle()
    assert client.is_empty
    assert cluster.written == []


def test_closing_waits_for_nothing(cluster: Cluster, client: Client) -> None:
    produce(client, b"1")
    cluster.is_silent = True

    client.close()

    assert cluster.open == 0
