"""``origin_client.kafka_sender``: one topic, in order, whatever its producers go through."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from origin_client import give_way, kafka_sender
from origin_client.kafka_causes import Causes
from origin_client.kafka_options import KafkaOptions
from origin_client.kafka_sender import Sender
from origin_client.origin import OriginUnavailable, Outgoing, Refusal
from tests.fakes_kafka import TOPIC, Cluster, kafka_error


@dataclass
class World:
    """A sender, and everything around it."""

    options: KafkaOptions = field(default_factory=lambda: KafkaOptions("kafka://here", {}))
    cluster: Cluster = field(default_factory=Cluster)
    causes: Causes = field(default_factory=Causes)
    closed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.sender = Sender(
            TOPIC, self.options, self.causes, self.closed, self.cluster.connect
        )

    def publish(self, *values: bytes) -> list[Refusal]:
        """Publish *values* under one key."""
        return self.sender.publish([Outgoing(b"key", value) for value in values])

    def heal(self) -> None:
        """Let brokers answer again."""
        self.cluster.is_silent = False

    def after(self, waits: int, act: Callable[[], None]) -> None:
        """Do *act* when somebody has waited so often."""
        left = iter(range(waits - 1))

        def wait() -> None:
            if next(left, None) is None:
                act()

        self.cluster.is_silent = True
        self.cluster.while_waiting = wait


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """One where everything works, and nobody has patience."""
    for name in ("PATIENCE_S", "SILENCE_S", "RENEW_S"):
        monkeypatch.setattr(kafka_sender, name, 0.0)
    world = World()
    yield world
    world.sender.leave()
    assert world.cluster.open == 0


def test_a_batch_is_written_in_order_by_one_producer(world: World) -> None:
    assert world.publish(b"1", b"2") == []
    assert world.publish(b"3") == []

    assert world.cluster.written == [b"1", b"2", b"3"]
    assert len(world.cluster.made) == 1


def test_a_large_batch_leaves_other_threads_their_turn(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[float] = []
    monkeypatch.setattr(give_way, "TURN_RECORDS", 3)
    monkeypatch.setattr(give_way, "HURRY", give_way.Hurry())
    monkeypatch.setattr(time, "sleep", turns.append)

    assert world.publish(*(b"%d" % number for number in range(7))) == []

    assert len(world.cluster.written) == 7
    assert turns == [give_way.TURN_S] * 2


def test_a_record_too_large_for_the_client_costs_its_neighbours_nothing(world: World) -> None:
    world.cluster.refused_here[b"large"] = "MSG_SIZE_TOO_LARGE"

    refused = world.publish(b"1", b"large", b"2")

    assert refused == [Refusal(1, "larger than message.max.bytes of the options")]
    assert world.cluster.written == [b"1", b"2"]
    assert len(world.cluster.made) == 1


def test_what_lies_behind_a_bad_record_is_refused_and_taken_by_a_new_producer(
    world: World,
) -> None:
    world.cluster.faults[b"bad"] = "MSG_SIZE_TOO_LARGE"

    refused = world.publish(b"1", b"bad", b"2")
    alone = [world.publish(value) for value in (b"bad", b"2")]

    reason = "larger than max.message.bytes of the topic"
    assert refused == [Refusal(1, reason), Refusal(2, reason)]
    assert alone == [[Refusal(0, reason)], []]
    assert world.cluster.written == [b"1", b"2"]
    assert world.causes.of(TOPIC) is None
    assert len(world.cluster.made) == 3


def test_a_full_queue_is_waited_for(world: World) -> None:
    world.cluster.room = 2
    values = [b"%d" % number for number in range(7)]

    assert world.publish(*values) == []
    assert world.cluster.written == values


def test_a_failure_is_noticed_while_the_queue_is_full(world: World) -> None:
    world.cluster.room = 2
    world.cluster.faults[b"1"] = "INVALID_RECORD"

    refused = world.publish(b"0", b"1", b"2", b"3")

    assert [refusal.index for refusal in refused] == [1, 2, 3]
    assert world.cluster.written == [b"0"]


def test_a_record_that_no_queue_holds_is_refused(world: World) -> None:
    world.cluster.room = 0

    assert [refusal.index for refusal in world.publish(b"1")] == [0]


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("UNKNOWN_TOPIC_OR_PART", f"{TOPIC} does not exist"),
        ("TOPIC_AUTHORIZATION_FAILED", f"{TOPIC} may not be used"),
        ("NOT_ENOUGH_REPLICAS", f"{TOPIC} has too few replicas"),
    ],
)
def test_whatever_else_fails_is_an_outage_that_a_new_producer_ends(
    world: World, fault: str, cause: str
) -> None:
    for faults in (world.cluster.faults, world.cluster.refused_here):
        faults[b"2"] = fault
        with pytest.raises(OriginUnavailable, match=cause) as outage:
            world.publish(b"1", b"2", b"3")
        assert outage.value.is_told
        assert str(world.causes.of(TOPIC)).startswith(cause)
        faults.clear()

    assert world.publish(b"1", b"2", b"3") == []
    assert world.cluster.written[-3:] == [b"1", b"2", b"3"]
    assert world.causes.of(TOPIC) is None
    assert len(world.cluster.made) == 3


def test_a_missing_topic_is_named_before_anything_is_sent(world: World) -> None:
    world.cluster.missing = kafka_error("UNKNOWN_TOPIC_OR_PART")

    with pytest.raises(OriginUnavailable, match=f"{TOPIC} does not exist"):
        world.publish(b"1")

    world.cluster.missing = None
    assert world.publish(b"1") == []


def test_an_outage_is_waited_out_and_its_cause_is_told_meanwhile(world: World) -> None:
    told: list[str | None] = []

    def look_and_heal() -> None:
        told.append(world.causes.of(TOPIC))
        world.heal()

    world.publish(b"1")
    world.cluster.says = [kafka_error("_TRANSPORT", "a:1/1: refused")]
    world.after(3, look_and_heal)

    assert world.publish(b"2") == []
    assert told == ["a broker cannot be reached: a:1: refused"]
    assert world.causes.of(TOPIC) is None
    assert len(world.cluster.made) == 1


def test_a_silent_outage_is_told_too(world: World) -> None:
    told: list[str | None] = []

    def look_and_heal() -> None:
        told.append(world.causes.of(TOPIC))
        world.heal()

    world.after(3, look_and_heal)

    assert world.publish(b"1") == []
    assert told == [f"{TOPIC} is not acknowledged: no broker answers"]


def test_a_short_wait_is_no_outage(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PATIENCE_S", "SILENCE_S", "RENEW_S"):
        monkeypatch.setattr(kafka_sender, name, 60.0)
    told: list[str | None] = []

    def look_and_heal() -> None:
        told.append(world.causes.of(TOPIC))
        world.heal()

    world.cluster.says = [kafka_error("_AUTHENTICATION", "a:1/1: wrong")]
    world.after(3, look_and_heal)

    assert world.publish(b"1") == []
    assert told == [None]


def test_a_refused_login_is_tried_again_with_what_the_file_holds_then(
    world: World, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text("old")
    options = KafkaOptions("kafka://here", {"sasl.password_file": str(password)})
    other = World(options)
    other.cluster.is_silent = True
    other.cluster.says = [kafka_error("_AUTHENTICATION", "a:1/1: wrong")]
    with pytest.raises(OriginUnavailable, match="the login is refused"):
        other.publish(b"1")
    password.write_text("new")
    other.heal()

    assert other.publish(b"1") == []
    assert [made["sasl.password"] for made in other.cluster.made] == ["old", "new"]
    other.sender.leave()
    world.publish()


def test_a_file_that_is_gone_is_an_outage(world: World, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("old")
    options = KafkaOptions("kafka://here", {"sasl.password_file": str(password)})
    other = World(options)
    password.unlink()

    with pytest.raises(OriginUnavailable, match=r"sasl\.password_file"):
        other.publish(b"1")
    world.publish()


def test_options_that_do_not_work_any_more_are_an_outage_that_shows_no_secret(
    world: World,
) -> None:
    def refuse(_: object) -> None:
        raise KafkaException(kafka_error("_INVALID_ARG", "geheim is no password"))

    options = KafkaOptions("kafka://here", {"sasl.password": "geheim"})
    world.sender = Sender(TOPIC, options, world.causes, world.closed, refuse)  # type: ignore[arg-type]  # makes nothing

    with pytest.raises(OriginUnavailable, match="… is no password"):
        world.publish(b"1")


def test_what_stops_a_producer_before_it_sends_is_told(world: World) -> None:
    world.cluster.is_silent = True
    world.cluster.breaks = [
        KafkaException(kafka_error("CLUSTER_AUTHORIZATION_FAILED", "x", fatal=True))
    ]

    with pytest.raises(OriginUnavailable, match="IDEMPOTENT_WRITE"):
        world.publish(b"1")


def test_what_was_written_when_nobody_answers_is_not_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("origin_client.kafka_client.SETTLE_S", 0.0)
    world.cluster.faults[b"1"] = "MSG_SIZE_TOO_LARGE"

    with pytest.raises(OriginUnavailable, match="what was written is not known"):
        world.publish(b"1")


def test_closing_ends_a_wait_and_is_no_cause(world: World) -> None:
    world.publish(b"1")
    world.after(2, world.closed.set)

    with pytest.raises(OriginUnavailable, match="closed"):
        world.publish(b"2")
    with pytest.raises(OriginUnavailable, match="closed"):
        world.publish(b"3")

    assert world.cluster.open == 0


def test_a_bug_costs_the_producer_and_nothing_is_left_in_it(world: World) -> None:
    world.cluster.breaks = [SystemError("bad call")]

    with pytest.raises(SystemError):
        world.publish(b"1")

    assert world.cluster.open == 0
    assert world.publish(b"1") == []


def test_an_idle_topic_tells_that_its_brokers_left_and_that_they_are_back(
    world: World,
) -> None:
    world.publish(b"1")
    world.sender.look_after()
    assert world.causes.of(TOPIC) is None

    world.cluster.is_silent = True
    world.cluster.says = [kafka_error("_TRANSPORT", "a:1/1: refused")]
    world.sender.look_after()
    assert world.causes.of(TOPIC) == "a broker cannot be reached: a:1: refused"

    world.heal()
    world.sender.look_after()
    assert world.causes.of(TOPIC) is None
    assert len(world.cluster.made) == 1


def test_one_broker_of_several_may_leave_an_idle_topic(world: World) -> None:
    world.publish(b"1")
    world.cluster.says = [kafka_error("_TRANSPORT", "a:1/1: refused")]

    world.sender.look_after()

    assert world.causes.of(TOPIC) is None


def test_an_idle_topic_tries_a_refused_login_again_with_a_new_producer(world: World) -> None:
    world.publish(b"1")
    world.cluster.is_silent = True
    world.cluster.says = [kafka_error("_AUTHENTICATION", "a:1/1: wrong")]
    world.sender.look_after()
    world.sender.look_after()
    assert "the login is refused" in str(world.causes.of(TOPIC))

    world.heal()
    world.sender.look_after()

    assert world.causes.of(TOPIC) is None
    assert len(world.cluster.made) == 2


def test_an_idle_topic_that_was_deleted_is_named(world: World) -> None:
    world.publish(b"1")
    world.cluster.says = [kafka_error("_TRANSPORT", "a:1/1: refused")]
    world.cluster.missing = kafka_error("UNKNOWN_TOPIC_OR_PART")

    world.sender.look_after()

    assert "does not exist" in str(world.causes.of(TOPIC))


def test_what_a_publish_met_is_left_to_the_next_publish(world: World) -> None:
    """Rights to look a topic up are not rights to write it."""
    world.cluster.faults[b"1"] = "TOPIC_AUTHORIZATION_FAILED"
    with pytest.raises(OriginUnavailable):
        world.publish(b"1")

    world.sender.look_after()

    assert "may not be used" in str(world.causes.of(TOPIC))


def test_nobody_looks_after_a_topic_while_it_is_published_to(world: World) -> None:
    def look_and_heal() -> None:
        world.sender.look_after()
        world.heal()

    world.publish(b"1")
    world.after(1, look_and_heal)

    assert world.publish(b"2") == []


def test_a_new_outage_is_told_by_its_own_cause(world: World) -> None:
    """What was wrong before something worked is over, however lately it was told."""
    told: list[str | None] = []

    def look_and_heal() -> None:
        told.append(world.causes.of(TOPIC))
        world.heal()

    for number, name in enumerate(("_RESOLVE", "_TRANSPORT")):
        world.cluster.says = [kafka_error(name, "a:1/1: x")]
        world.after(3, look_and_heal)
        world.publish(b"%d" % number)
    world.cluster.is_silent = True
    for name in ("_RESOLVE", "_TRANSPORT"):
        world.cluster.says = [kafka_error(name, "a:1/1: x")]
        world.cluster.is_silent = True
        world.cluster.while_waiting = lambda: None
        world.sender.look_after()
        told.append(world.causes.of(TOPIC))
        world.heal()
        world.sender.look_after()

    resolve, reach = "a broker's name has no address; check DNS", "a broker cannot be reached"
    assert told == [f"{words}: a:1: x" for words in (resolve, reach, resolve, reach)]


def test_a_topic_nobody_published_to_is_named_until_it_comes_by_one_producer(
    world: World,
) -> None:
    world.cluster.missing = kafka_error("UNKNOWN_TOPIC_OR_PART")
    for _ in range(3):
        world.sender.look_after()
    told = world.causes.of(TOPIC)
    world.cluster.missing = None
    world.sender.look_after()

    assert told == f"{TOPIC} does not exist; create it, the gateway never does"
    assert world.causes.of(TOPIC) is None
    assert len(world.cluster.made) == 1


def test_a_producer_that_has_not_found_its_topic_looks_before_it_sends(world: World) -> None:
    world.cluster.missing = kafka_error("UNKNOWN_TOPIC_OR_PART")
    world.sender.look_after()

    with pytest.raises(OriginUnavailable, match=f"{TOPIC} does not exist"):
        world.publish(b"1")

    assert world.cluster.written == []
    world.cluster.missing = None
    world.sender.look_after()
    assert world.causes.of(TOPIC) is not None
    assert world.publish(b"1") == []


def test_nobody_looks_after_a_topic_once_the_origin_is_closed(world: World) -> None:
    world.closed.set()

    world.sender.look_after()

    assert world.cluster.made == []
