"""``origin_client.kafka``: many topics, many threads, one end; on librdkafka's mock of a cluster.

What a real broker does to it: ``tests/contract``.
"""

import atexit
import contextlib
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from origin_client import kafka, kafka_sender
from origin_client.kafka import KafkaOrigin
from origin_client.kafka_options import KafkaOptions
from origin_client.open import open_origin
from origin_client.origin import OriginUnavailable, Outgoing, Surveyable, Watchful
from tests.fakes_kafka import TOPIC, Cluster, kafka_error, wait_until
from tests.fakes_kafka_mock import mock_cluster

OTHER = "edge.game.v1"
NOWHERE = "kafka://127.0.0.1:1"  # nobody listens on port 1


def records(count: int) -> list[Outgoing]:
    return [Outgoing(b"player-%d" % (n % 7), b'{"n":%d}' % n) for n in range(count)]


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate()}


@pytest.fixture
def url() -> Iterator[str]:
    """A cluster that works."""
    with mock_cluster(TOPIC, OTHER) as url:
        yield url


@pytest.fixture
def cluster() -> Cluster:
    """One that is told what to do."""
    return Cluster()


@pytest.fixture
def origin(cluster: Cluster) -> Iterator[KafkaOrigin]:
    """An origin of it."""
    origin = KafkaOrigin(KafkaOptions(NOWHERE, {}), cluster.connect)
    yield origin
    origin.close()
    assert cluster.open == 0


def in_thread(act: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_topics_have_a_producer_each_and_work_at_the_same_time(url: str) -> None:
    origin = open_origin(url, {})
    refused: list[object] = []

    def publish(topic: str) -> None:
        refused.append(origin.publish(topic, records(500)))

    publishers = [in_thread(partial(publish, topic)) for topic in (TOPIC, OTHER, TOPIC)]
    for publisher in publishers:
        publisher.join()

    assert refused == [[], [], []]
    assert origin.health() is None
    origin.close()
    assert "kafka" not in threads()


def test_a_missing_topic_is_told_and_hinders_no_other(url: str) -> None:
    origin = open_origin(url, {})
    with pytest.raises(OriginUnavailable, match=r"edge\.none\.v1 does not exist"):
        origin.publish("edge.none.v1", records(3))

    assert origin.publish(TOPIC, records(3)) == []
    assert (origin.health(TOPIC), origin.health(OTHER)) == (None, None)
    assert origin.health("edge.none.v1") == origin.health()
    assert "does not exist" in str(origin.health())
    origin.close()


def test_closing_ends_a_publish_to_brokers_that_are_away() -> None:
    origin = open_origin(NOWHERE, {})
    ended: list[str] = []

    def publish() -> None:
        try:
            origin.publish(TOPIC, records(3))
        except OriginUnavailable as error:
            ended.append(str(error))

    publisher = in_thread(publish)
    wait_until(lambda: "kafka" in threads())
    origin.close()
    publisher.join()

    assert ended in (["closed while publishing"], ["closed"])
    assert origin.health() == "closed"
    wait_until(lambda: "kafka" not in threads())


def test_closing_ends_a_producer_that_is_idle(origin: KafkaOrigin, cluster: Cluster) -> None:
    origin.publish(TOPIC, records(1))
    assert cluster.open == 1

    origin.close()
    origin.close()

    assert cluster.open == 0
    with pytest.raises(OriginUnavailable, match="closed"):
        origin.publish(TOPIC, records(1))
    with pytest.raises(OriginUnavailable, match="closed"):
        origin.publish(OTHER, records(1))


def test_idle_topics_are_looked_after(
    origin: KafkaOrigin, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "KEEP_S", 0.001)
    origin.publish(TOPIC, records(1))
    cluster.is_silent = True
    cluster.says = [kafka_error("_TRANSPORT", "a:1/1: refused")]
    wait_until(lambda: origin.health(TOPIC) is not None)
    cluster.is_silent = False
    wait_until(lambda: origin.health(TOPIC) is None)


def test_a_bug_in_looking_after_is_logged_and_it_goes_on(
    origin: KafkaOrigin,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(kafka, "KEEP_S", 0.001)
    origin.publish(TOPIC, records(1))
    cluster.breaks = [SystemError("bad call")]
    wait_until(lambda: "looking after a topic failed" in caplog.text)

    assert origin.publish(TOPIC, records(1)) == []


def test_a_topic_that_is_watched_is_told_before_anything_is_published(
    origin: KafkaOrigin, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "KEEP_S", 0.001)
    cluster.missing = kafka_error("UNKNOWN_TOPIC_OR_PART")
    origin.watch([TOPIC, OTHER])
    wait_until(lambda: origin.health(TOPIC) is not None and origin.health(OTHER) is not None)
    cluster.missing = None
    wait_until(lambda: origin.health() is None)

    assert isinstance(origin, Watchful)
    assert len(cluster.made) == 2


def test_whoever_watches_need_not_wait_for_brokers() -> None:
    origin = open_origin(NOWHERE, {})
    assert isinstance(origin, Watchful)

    origin.watch([TOPIC, OTHER])
    wait_until(lambda: "cannot be reached" in str(origin.health(OTHER)))

    assert origin.health(TOPIC) == origin.health(OTHER)
    origin.close()
    with pytest.raises(OriginUnavailable, match="closed"):
        origin.watch([TOPIC])


def test_an_origin_that_has_ended_need_not_be_closed_when_the_process_ends(
    origin: KafkaOrigin, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs must: a client that outlives the interpreter may crash it."""
    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    monkeypatch.setattr(atexit, "unregister", at_exit.remove)
    monkeypatch.setattr(kafka, "CLOSE_S", 0.01)
    waits, goes_on = threading.Event(), threading.Event()
    origin.publish(TOPIC, records(1))

    def hang() -> None:
        waits.set()
        goes_on.wait()

    def publish() -> None:
        with contextlib.suppress(OriginUnavailable):
            origin.publish(TOPIC, records(1))

    cluster.is_silent, cluster.while_waiting = True, hang
    publisher = in_thread(publish)
    waits.wait()
    origin.close()
    while_it_hung = [*at_exit]
    goes_on.set()
    publisher.join()
    monkeypatch.setattr(kafka, "CLOSE_S", 10.0)
    origin.close()

    assert (while_it_hung, at_exit) == ([origin.close], [])


def test_two_first_publishes_to_a_topic_share_a_producer(
    origin: KafkaOrigin, cluster: Cluster
) -> None:
    publishers = [in_thread(lambda: origin.publish(TOPIC, records(1))) for _ in range(8)]
    for publisher in publishers:
        publisher.join()

    assert len(cluster.made) == 1


def test_it_can_be_surveyed(origin: KafkaOrigin) -> None:
    assert isinstance(origin, Surveyable)
    with pytest.raises(OriginUnavailable, match="cannot be reached"):
        origin.survey([TOPIC], 0.5)


LEFT_OPEN = """
import threading
from origin_client.open import open_origin
from origin_client.origin import Outgoing
origin = open_origin({url!r}, {{}})
publish = lambda: origin.publish("edge.bet.v1", [Outgoing(b"k", b"v")])
threading.Thread(target=publish, daemon=True).start()
while not any(thread.name == "kafka" for thread in threading.enumerate()):
    pass
"""


def test_a_process_ends_well_though_nobody_closed_its_origin() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LEFT_OPEN.format(url=NOWHERE)],
        check=False,
        capture_output=True,
        timeout=30,
    )

    assert (ended.returncode, ended.stdout) == (0, b"")
    assert b"Fatal" not in ended.stderr


def test_a_publish_gives_up_well_before_closing_does() -> None:
    assert kafka_sender.SLICE_S * 4 < kafka.CLOSE_S
