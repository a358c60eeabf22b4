"""The broker that tests are told about does what its methods say."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from tests.kafka.broker import Broker, wait_until
from tests.kafka.tail import Tail

pytestmark = pytest.mark.system

TOPIC = "edge.bet.v1"
TIMEOUT_S = 30.0
# In a thread that ends: the broker must not.
STARTER = """
import sys, threading, time
from pathlib import Path
from tests.kafka.broker import Broker

broker = Broker(Path(sys.argv[1]), sys.argv[2])
thread = threading.Thread(target=broker.start)
thread.start()
thread.join()
time.sleep(0.5)
assert broker._process.poll() is None
print(broker._process.pid, flush=True)
time.sleep(60)
"""


def produce(settings: dict[str, str], value: bytes, topic: str = TOPIC) -> str | None:
    """Send one record; return the name of what went wrong."""
    producer = Producer(
        settings
        | {
            "log_level": 0,
            "enable.idempotence": True,
            "message.timeout.ms": 20_000,
            "topic.metadata.propagation.max.ms": 500,
        }
    )
    failures: list[KafkaError | None] = []
    producer.produce(topic, value, on_delivery=lambda error, _: failures.append(error))
    producer.flush(TIMEOUT_S)
    (failure,) = failures
    return None if failure is None else failure.name()


def values(broker: Broker) -> list[bytes]:
    with Tail(broker.bootstrap, TOPIC) as tail:
        return [taken.value for taken in tail.read()]


def plain(broker: Broker) -> dict[str, str]:
    return {"bootstrap.servers": broker.bootstrap}


def secure(broker: Broker, user: str, password: str, authority: str) -> dict[str, str]:
    return {
        "bootstrap.servers": broker.tls_bootstrap,
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": user,
        "sasl.password": password,
        "ssl.ca.pem": authority,
    }


def test_a_new_topic_is_empty_and_open_whatever_it_was(broker: Broker) -> None:
    broker.create_topic(TOPIC, 1)
    assert produce(plain(broker), b"old") is None
    assert values(broker) == [b"old"]
    broker.deny(TOPIC)

    broker.create_topic(TOPIC, 1)

    assert values(broker) == []
    assert produce(plain(broker), b"new") is None
    assert values(broker) == [b"new"]


def test_a_denied_topic_takes_nothing_until_it_is_allowed(broker: Broker) -> None:
    broker.create_topic(TOPIC, 1)
    broker.deny(TOPIC)

    assert produce(plain(broker), b"denied") == "TOPIC_AUTHORIZATION_FAILED"

    assert values(broker) == []
    broker.allow(TOPIC)
    assert produce(plain(broker), b"allowed") is None


def test_a_wait_for_what_clients_are_not_told_ends_and_says_for_what() -> None:
    with pytest.raises(TimeoutError, match=f"not told that {TOPIC} is there"):
        wait_until(lambda: False, f"{TOPIC} is there", timeout_s=0.0)


def test_a_topic_has_the_limits_it_is_given(broker: Broker) -> None:
    broker.create_topic(TOPIC, 1, max_message_bytes=2000)
    assert produce(plain(broker), b"x" * 3000) == "MSG_SIZE_TOO_LARGE"

    broker.set_topic(TOPIC, max_message_bytes=4000)

    assert produce(plain(broker), b"x" * 3000) is None


def test_a_deleted_topic_is_not_made_by_writing_to_it(broker: Broker) -> None:
    broker.create_topic(TOPIC, 1)

    broker.delete_topic(TOPIC)

    failure = produce(plain(broker), b"x")
    assert failure in {"_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART"}


def test_only_the_right_password_and_authority_come_in(broker: Broker) -> None:
    broker.create_topic(TOPIC, 1)
    broker.set_password("edge", "right")
    authority = broker.certificates.authority

    assert produce(secure(broker, "edge", "right", authority), b"x") is None

    with pytest.raises(KafkaException) as refused:
        refusal_of(secure(broker, "edge", "wrong", authority))
    assert refused.value.args[0].code() == KafkaError._AUTHENTICATION


def refusal_of(settings: dict[str, str]) -> None:
    """Raise what a client is told that may not come in."""
    told: list[KafkaError] = []
    producer = Producer(settings | {"log_level": 0, "error_cb": told.append})
    while not told:
        producer.poll(0.1)
    raise KafkaException(told[0])


def test_a_broker_ends_with_whoever_started_it(class_path: str, tmp_path: Path) -> None:
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path), class_path],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert starter.stdout is not None
    broker = int(starter.stdout.readline())

    starter.kill()
    starter.communicate()

    end_s = time.monotonic() + TIMEOUT_S
    while is_running(broker):
        assert time.monotonic() < end_s
        time.sleep(0.05)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"  # dead, and not yet fetched by whoever inherited it
