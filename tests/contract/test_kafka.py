"""What a real broker does to the Kafka origin, without the gateway: rights, sizes, logins, ends.

The gateway's own stories with it: ``tests/system``.
"""

import contextlib
import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from origin_client import kafka_reader, kafka_sender
from origin_client.open import open_origin, open_reader
from origin_client.origin import (
    Options,
    Origin,
    OriginError,
    OriginUnavailable,
    Outgoing,
    Refusal,
    Surveyable,
    Telling,
    Watchful,
)
from tests.fakes_kafka import wait_until
from tests.kafka.broker import Broker
from tests.kafka.certificates import issue

TOPIC = "edge.bet.v1"
OTHER = "edge.game.v1"
TOO_LARGE = "larger than max.message.bytes of the topic"
LIMIT = 4000
RECORDS = 600
BATCH = 200


def record(number: int, size: int = 100) -> Outgoing:
    """Record *number* of its key: what stands in it cannot be compressed."""
    return Outgoing(b"player-%d" % (number % 20), b"%d " % number + os.urandom(size))


def numbers(broker: Broker, topic: str = TOPIC) -> dict[str, list[int]]:
    """What the topic holds, by key, in order."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    reader = open_reader(f"kafka://{broker.bootstrap}", {})
    for each in reader.subscribe(topic, {}):
        found[each.key].append(int(each.value.split(b" ", 1)[0]))
    reader.close()
    return found


def forward(origin: Origin, records: Sequence[Outgoing]) -> set[int]:
    """Publish as a forwarder does, the refused again alone; return the dead."""
    dead: set[int] = set()
    for start in range(0, len(records), BATCH):
        batch = records[start : start + BATCH]
        for refusal in origin.publish(TOPIC, batch):
            if origin.publish(TOPIC, [batch[refusal.index]]):
                dead.add(start + refusal.index)
    return dead


def test_refused_records_cost_no_other_its_place(broker: Broker) -> None:
    """In four partitions, with five requests under way in each, and nothing twice."""
    broker.create_topic(TOPIC, max_message_bytes=LIMIT)
    oversized = {0, 333, 334, 599}
    records = [record(n, 2 * LIMIT if n in oversized else 100) for n in range(RECORDS)]
    origin = open_origin(f"kafka://{broker.bootstrap}", {"batch.size": LIMIT // 2})

    dead = forward(origin, records)
    origin.close()

    assert dead == oversized
    written = numbers(broker)
    assert sum(len(values) for values in written.values()) == RECORDS - len(oversized)
    for values in written.values():
        assert values == sorted(values)


def test_a_record_above_the_topics_limit_is_refused_when_it_is_alone(broker: Broker) -> None:
    broker.create_topic(TOPIC, max_message_bytes=LIMIT)
    origin = open_origin(f"kafka://{broker.bootstrap}", {})

    assert origin.publish(TOPIC, [record(1, 2 * LIMIT)]) == [Refusal(0, TOO_LARGE)]
    assert origin.publish(TOPIC, [record(2)]) == []
    assert origin.health() is None
    origin.close()


def test_topics_that_are_watched_are_named_before_anything_is_published(
    broker: Broker,
) -> None:
    broker.create_topic(TOPIC)
    broker.delete_topic(OTHER)
    broker.hide(TOPIC)
    origin = open_origin(f"kafka://{broker.bootstrap}", {})
    assert isinstance(origin, Watchful)

    origin.watch([TOPIC, OTHER])
    wait_until(lambda: origin.health(TOPIC) is not None and origin.health(OTHER) is not None)
    assert str(origin.health(TOPIC)).startswith(f"{TOPIC} may not be used")
    assert str(origin.health(OTHER)).startswith(f"{OTHER} does not exist")

    broker.allow(TOPIC)
    broker.create_topic(OTHER)
    wait_until(lambda: origin.health() is None)
    origin.close()


def test_a_topic_that_may_not_be_written_is_named_until_it_may(broker: Broker) -> None:
    broker.create_topic(TOPIC)
    broker.create_topic(OTHER)
    broker.deny(TOPIC)
    origin = open_origin(f"kafka://{broker.bootstrap}", {})

    with pytest.raises(OriginUnavailable, match=f"{TOPIC} may not be used"):
        origin.publish(TOPIC, [record(1)])
    assert origin.publish(OTHER, [record(1)]) == []
    assert f"{TOPIC} may not be used" in str(origin.health())

    broker.allow(TOPIC)
    wait_until(lambda: is_published(origin))
    assert origin.health() is None
    origin.close()


def is_published(origin: Origin) -> bool:
    try:
        return origin.publish(TOPIC, [record(1)]) == []
    except OriginUnavailable:
        return False


def test_a_topic_that_is_deleted_and_made_anew_is_found_again(broker: Broker) -> None:
    broker.create_topic(TOPIC)
    origin = open_origin(f"kafka://{broker.bootstrap}", {})
    origin.publish(TOPIC, [record(1)])
    broker.delete_topic(TOPIC)

    with pytest.raises(OriginUnavailable, match=TOPIC):
        origin.publish(TOPIC, [record(2)])
    with pytest.raises(OriginUnavailable, match=f"{TOPIC} does not exist"):
        origin.publish(TOPIC, [record(2)])

    broker.create_topic(TOPIC)
    assert origin.publish(TOPIC, [record(2)]) == []
    origin.close()


def test_what_topics_lack_is_told_before_anything_is_published(broker: Broker) -> None:
    broker.create_topic(TOPIC)
    broker.create_topic(OTHER)
    broker.deny(OTHER)
    origin = open_origin(f"kafka://{broker.bootstrap}", {})
    assert isinstance(origin, Surveyable)

    lacks = origin.survey([TOPIC, OTHER, "edge.nobody.v1"], 30)

    assert lacks == [
        f"{OTHER} may not be written; allow this user to",
        "edge.nobody.v1 does not exist; create it, the gateway never does",
    ]
    broker.allow(OTHER)
    origin.close()


def test_what_topics_lack_is_told_before_anything_is_read(broker: Broker) -> None:
    broker.create_topic(TOPIC)
    broker.create_topic(OTHER)
    broker.deny(TOPIC)
    broker.deny(OTHER, "READ")
    reader = open_reader(f"kafka://{broker.bootstrap}", {})
    assert isinstance(reader, Surveyable)

    lacks = reader.survey([TOPIC, OTHER, "edge.nobody.v1"], 30)

    broker.allow(TOPIC)
    broker.allow(OTHER)
    reader.close()
    assert lacks == [
        f"{OTHER} may not be read; allow this user to",
        "edge.nobody.v1 does not exist; create it, the gateway never does",
    ]


@contextlib.contextmanager
def following(broker: Broker) -> Generator[tuple[Telling, list[bytes]]]:
    """Follow a topic from its beginning, anew after each failure; yield who does, and what came."""
    reader, closed = open_reader(f"kafka://{broker.bootstrap}", {}), threading.Event()
    values: list[bytes] = []

    def follow() -> None:
        while not closed.wait(0.01):
            with contextlib.suppress(OriginError, OriginUnavailable):
                values.extend(each.value for each in reader.subscribe(TOPIC, {}, follow=True))

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        assert isinstance(reader, Telling)
        yield reader, values
    finally:
        closed.set()
        reader.close()
        follower.join()


def publish(broker: Broker, number: int) -> None:
    with contextlib.closing(open_origin(f"kafka://{broker.bootstrap}", {})) as origin:
        assert origin.publish(TOPIC, [record(number)]) == []


def test_what_keeps_a_follower_from_a_topic_is_told_until_it_is_over(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing, made, deleted, made anew, denied, hidden: each time found out without a restart."""
    monkeypatch.setattr(kafka_reader, "SILENCE_MAX_S", 0.3)
    broker.delete_topic(TOPIC)
    missing = f"{TOPIC} (does not exist|was deleted); create it, the gateway never does"
    barred = f"{TOPIC} may not be used; allow this user to"
    with following(broker) as (reader, values):

        def wait_until_told(cause: str) -> None:
            wait_until(lambda: re.fullmatch(cause, str(reader.health(TOPIC))) is not None)

        wait_until_told(missing)
        broker.create_topic(TOPIC)
        wait_until_told("None")
        publish(broker, 1)
        broker.delete_topic(TOPIC)
        wait_until_told(missing)
        broker.create_topic(TOPIC)
        wait_until_told("None")
        for bar in (partial(broker.deny, operation="READ"), broker.hide):
            bar(TOPIC)
            wait_until_told(barred)
            broker.allow(TOPIC)
            wait_until_told("None")
        publish(broker, 2)
        wait_until(lambda: values[-1:] != [] and values[-1].startswith(b"2 "))


def test_a_follower_of_a_topic_that_nobody_writes_to_tells_of_no_trouble(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though in each silence it asks the brokers."""
    monkeypatch.setattr(kafka_reader, "SILENCE_MAX_S", 0.0)
    broker.create_topic(TOPIC)
    with following(broker) as (reader, values):
        publish(broker, 1)
        wait_until(lambda: len(values) == 1)
        told: set[str | None] = set()
        for _ in range(50):
            time.sleep(0.02)
            told.add(reader.health(TOPIC))

    assert told == {None}


@dataclass
class Login:
    """A user of SASL_SSL with SCRAM, whose secrets are in files."""

    broker: Broker
    folder: Path
    user: str = "edge"
    options: dict[str, str | int | float | bool] = field(
        default_factory=dict[str, str | int | float | bool]
    )

    def __post_init__(self) -> None:
        self.trust(self.broker.certificates.authority)
        self.use("right")
        self.broker.set_password(self.user, "right")
        self.options = {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": self.user,
            "sasl.password_file": str(self.folder / "password"),
            "ssl.ca.location": str(self.folder / "authority.pem"),
        }

    def use(self, password: str) -> None:
        """Put *password* where the origin reads it."""
        (self.folder / "password").write_text(password + "\n")

    def trust(self, authority: str) -> None:
        """Believe that authority, PEM, and no other."""
        (self.folder / "authority.pem").write_text(authority)

    def open(self, **options: str) -> Origin:
        """Open the origin."""
        given: Options = self.options | options
        return open_origin(f"kafka://{self.broker.tls_bootstrap}", given)


@pytest.fixture
def login(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Login:
    """One that works, to a topic that is there, and is tried again at once when it does not."""
    monkeypatch.setattr(kafka_sender, "PATIENCE_S", 0.0)
    monkeypatch.setattr(kafka_sender, "RENEW_S", 0.0)
    broker.create_topic(TOPIC)
    return Login(broker, tmp_path)


def test_a_user_logs_in_over_tls(login: Login) -> None:
    origin = login.open()

    assert origin.publish(TOPIC, [record(1)]) == []
    reader = open_reader(f"kafka://{login.broker.tls_bootstrap}", login.options)
    assert len(list(reader.subscribe(TOPIC, {}))) == 1
    origin.close()


def break_password(login: Login) -> Callable[[], None]:
    login.use("geheim-but-wrong")
    return lambda: login.use("right")


def break_authority(login: Login) -> Callable[[], None]:
    login.trust(issue("somebody else's authority").authority)
    return lambda: login.trust(login.broker.certificates.authority)


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (break_password, "the login is refused; check the options sasl.*"),
        (break_authority, "TLS fails; check the options ssl.*"),
    ],
    ids=["password", "authority"],
)
def test_a_file_that_is_mended_is_taken_up_without_a_restart(
    login: Login,
    caplog: pytest.LogCaptureFixture,
    spoil: Callable[[Login], Callable[[], None]],
    cause: str,
) -> None:
    mend = spoil(login)

    with contextlib.closing(login.open()) as origin:
        for _ in range(3):
            with pytest.raises(OriginUnavailable) as raised:
                origin.publish(TOPIC, [record(1)])
            assert str(raised.value).startswith(cause)
            assert origin.health(TOPIC) == str(raised.value)
            assert "geheim" not in str(raised.value)
        assert {each.getMessage() for each in caplog.records} == {"origin unavailable"}
        # One cause is told once; brokers that are slow may first be named by another address.
        told = [vars(each)["cause"] for each in caplog.records]
        assert all(before != after for before, after in pairwise(told))

        mend()
        assert origin.publish(TOPIC, [record(1)]) == []
        assert origin.health() is None


def test_closing_ends_a_publish_to_a_broker_that_hangs(
    own_broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka_sender, "SILENCE_S", 0.5)
    own_broker.create_topic(TOPIC)
    origin = open_origin(f"kafka://{own_broker.bootstrap}", {})
    origin.publish(TOPIC, [record(1)])
    ended: list[str] = []

    def publish() -> None:
        try:
            origin.publish(TOPIC, [record(2)])
        except OriginUnavailable as error:
            ended.append(str(error))

    own_broker.pause()
    publisher = threading.Thread(target=publish)
    publisher.start()
    wait_until(lambda: "no broker answers" in str(origin.health(TOPIC)))
    origin.close()
    publisher.join()

    assert ended == ["closed while publishing"]
    assert "kafka" not in {thread.name for thread in threading.enumerate()}
