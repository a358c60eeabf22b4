"""Whatever is wrong with the broker: accepted is accepted, told, and delivered once mended.

Each trouble is told once: in ``/readyz``, which stays 200, in the metrics, and in one line of
the log. Nothing is restarted to mend it.
"""

import contextlib
import itertools
import json
import re
import string
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from edge.core.lane import Lane
from edge.demo.evening import drain
from edge.demo.ledger import Event
from edge.demo.payloads import Visit
from tests.kafka.broker import Broker
from tests.kafka.certificates import issue
from tests.kafka.tail import Tail
from tests.system.central import LANE, TOPIC, Central, distinct, orders
from tests.system.conftest import Build
from tests.system.test_keys import replace
from tests.system.world import TABLE

pytestmark = pytest.mark.system

PASSWORD: Final = "correct-horse-battery"  # long enough to be found if it were told
# One spin takes less than 500 bytes in zstd, and more than 900 with twice this as noise.
TOPIC_BYTES_MAX: Final = 750
NOISE_CHARS: Final = 240  # of one member of a tracestate: 256 at most
LARGE: Final = 7
TRACE: Final = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NO_OPTIONS: Final[Mapping[str, object]] = {}
OTHERS: Final = [lane.topic for lane in Lane if lane.topic != TOPIC]  # or they are told too
TROUBLE_S: Final = 2.5  # KafkaOrigin looks every 2 s whether it is over
FLOW_S: Final = 1.0
FREEZE_S: Final = 3.0
PULL_S: Final = 0.01
UNSHARED: Final = """\
#!/bin/sh
exec unshare --map-root-user --mount sh -c \
  'mount --bind {hosts} /etc/hosts && exec {python} "$@"' sh "$@"
"""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something is wrong, and how it is mended.

    Attributes:
        cause: What operators read; a regular expression.
        mend: Mends it.
        url: The origin's.
        options: The origin's.
    """

    cause: str
    mend: Callable[[], object]
    url: str
    options: dict[str, object] = field(default_factory=dict[str, object])


def denied(broker: Broker, _: Path) -> Trouble:
    broker.create_topic(TOPIC)
    broker.deny(TOPIC)
    return Trouble(f"{TOPIC} may not be", lambda: broker.allow(TOPIC), plain(broker))


def missing(broker: Broker, _: Path) -> Trouble:
    broker.delete_topic(TOPIC)
    return Trouble(f"{TOPIC} does not exist", lambda: broker.create_topic(TOPIC), plain(broker))


def another_password(broker: Broker, room: Path) -> Trouble:
    broker.create_topic(TOPIC)
    broker.set_password("edge", "something else")
    return Trouble(
        "login is refused",
        lambda: broker.set_password("edge", PASSWORD),
        secure(broker),
        login(room, PASSWORD) | {"ssl.ca.pem": broker.certificates.authority},
    )


def another_password_file(broker: Broker, room: Path) -> Trouble:
    broker.create_topic(TOPIC)
    broker.set_password("edge", PASSWORD)
    return Trouble(
        "login is refused",
        lambda: replace(room / "password", PASSWORD.encode()),
        secure(broker),
        login(room, "yesterday's") | {"ssl.ca.pem": broker.certificates.authority},
    )


def unknown_authority(broker: Broker, room: Path) -> Trouble:
    broker.create_topic(TOPIC)
    broker.set_password("edge", PASSWORD)
    authority = room / "ca.pem"
    authority.write_text(issue("somebody else").authority)
    return Trouble(
        "TLS fails",
        lambda: replace(authority, broker.certificates.authority.encode()),
        secure(broker),
        login(room, PASSWORD) | {"ssl.ca.location": str(authority)},
    )


def login(room: Path, password: str) -> dict[str, object]:
    """How a client shows who it is, the password being in a mounted file."""
    (room / "password").write_text(password)
    return {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "edge",
        "sasl.password_file": str(room / "password"),
    }


def plain(broker: Broker) -> str:
    return f"kafka://{broker.bootstrap}"


def secure(broker: Broker) -> str:
    return f"kafka://{broker.tls_bootstrap}"


@pytest.mark.parametrize(
    "begin", [denied, missing, another_password, another_password_file, unknown_authority]
)
def test_it_is_told_once_and_mended_without_a_restart(
    build: Build, broker: Broker, tmp_path: Path, begin: Callable[[Broker, Path], Trouble]
) -> None:
    trouble = begin(broker, tmp_path)
    with connected(build, broker, trouble.url, trouble.options) as central:
        mend(central, trouble, accept(central, trouble))


@contextlib.contextmanager
def connected(
    build: Build, broker: Broker, url: str, options: Mapping[str, object] = NO_OPTIONS
) -> Generator[Central]:
    """Start a gateway with that origin, beside someone who reads *broker* itself."""
    # librdkafka's names have dots, so TOML wants them quoted.
    quoted = {f'"{name}"': value for name, value in options.items()}
    for topic in OTHERS:
        broker.create_topic(topic, 1)
    here = build({"origin": {"url": url}, "origin.options": quoted})
    here.gateway.start()
    here.wait_until_ready()
    with Tail(broker.bootstrap, TOPIC) as tail:
        yield Central(here, tail)


def test_a_missing_topic_is_told_before_there_is_an_event(
    build: Build, broker: Broker, tmp_path: Path
) -> None:
    trouble = missing(broker, tmp_path)
    with connected(build, broker, trouble.url) as central:
        central.wait_until_told(trouble.cause)
        assert central.figure("edge_origin_up") == 0
        mend(central, trouble, [])


def accept(central: Central, trouble: Trouble) -> list[Event]:
    """Accept events in *trouble*, and see that operators are told."""
    here = central.here
    ada, bob = here.visit(), here.visit("bob")
    accepted = [central.spin(player, n) for n in range(1, 6) for player in (ada, bob)]
    central.wait_until_told(trouble.cause)
    time.sleep(TROUBLE_S)
    accepted.append(central.spin(ada, 6))
    assert central.arrived() == []
    assert central.figure("edge_spool_records") == len(accepted)
    assert central.figure("edge_origin_up") == 0
    return accepted


def mend(central: Central, trouble: Trouble, accepted: Sequence[Event]) -> None:
    """End *trouble*, and see that all is delivered, and that one line had told of it."""
    here = central.here
    trouble.mend()
    central.wait_until_arrived(*accepted)
    here.wait(lambda: central.cause() == "ok", "told that it is mended")
    assert central.figure("edge_origin_up") == 1
    assert orders(central.arrived()) == orders(accepted)
    assert drain(here.gateway) == []
    (complaint,) = central.complaints()
    assert re.search(trouble.cause, complaint)
    assert PASSWORD not in here.gateway.log.read_text()


def test_a_name_that_is_gone_is_found_again(
    build: Build, broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a mount namespace of its own the gateway has names of its own."""
    hosts, python = tmp_path / "hosts", tmp_path / "python"
    hosts.write_text("127.0.0.1 localhost\n")
    python.write_text(UNSHARED.format(hosts=hosts, python=sys.executable))
    python.chmod(0o700)
    tried = subprocess.run([python, "-c", ""], check=False, capture_output=True)
    can_mend = tried.returncode == 0
    if can_mend:
        monkeypatch.setattr(sys, "executable", str(python))
    broker.create_topic(TOPIC)
    port = broker.bootstrap.rpartition(":")[2]
    trouble = Trouble(
        "name has no address",
        lambda: hosts.write_text("127.0.0.1 localhost kafka.invalid\n"),
        f"kafka://kafka.invalid:{port}",
    )
    with connected(build, broker, trouble.url) as central:
        accepted = accept(central, trouble)
        if not can_mend:
            pytest.skip("told; to mend it this machine must allow mount namespaces (unshare)")
        mend(central, trouble, accepted)


def test_a_record_too_large_for_its_topic_is_dead_and_its_neighbours_pass(
    build: Build, broker: Broker
) -> None:
    broker.create_topic(TOPIC, max_message_bytes=TOPIC_BYTES_MAX)
    with connected(build, broker, plain(broker)) as central:
        ada = central.here.visit()
        noises = ("".join(ada.rng.choices(string.ascii_letters, k=NOISE_CHARS)) for _ in "ab")
        trace = {"traceparent": TRACE, "tracestate": "a={},b={}".format(*noises)}
        events = [TABLE.spin(ada, n) | (trace if n == LARGE else {}) for n in range(1, 21)]
        assert central.here.say(ada, *events).counts == (20, 0)
        neighbours = [event for n, event in enumerate(events, 1) if n != LARGE]
        central.wait_until_arrived(*neighbours)
        assert drain(central.here.gateway) == []
        arrived = central.arrived()

    assert orders(distinct(arrived)) == orders(neighbours)
    (letter,) = (
        json.loads(line)
        for file in central.here.spool.glob(f"*/{LANE}/dead/*.jsonl")
        for line in file.read_text().splitlines()
    )
    assert letter["value"]["id"] == events[LARGE - 1]["id"]
    assert letter["reason"] == "larger than max.message.bytes of the topic"


@pytest.mark.timeout(120)  # four starts of a broker on a busy machine
def test_a_broker_that_crashes_hangs_and_restarts_loses_and_inverts_nothing(
    build: Build, own_broker: Broker
) -> None:
    own_broker.create_topic(TOPIC)
    with connected(build, own_broker, plain(own_broker)) as central:
        players = [central.here.visit(name) for name in ("ada", "bob", "eve")]
        accepted: list[Event] = []
        with speaking(central, players, accepted):
            time.sleep(FLOW_S)
            own_broker.kill()
            time.sleep(FLOW_S)
            own_broker.start()
            time.sleep(FLOW_S)
            own_broker.pause()
            time.sleep(FREEZE_S)
            own_broker.resume()
            time.sleep(FLOW_S)
            own_broker.restart()
            time.sleep(FLOW_S)
        central.wait_until_arrived(*accepted)
        arrived = central.arrived()

        assert orders(distinct(arrived)) == orders(accepted)
        assert len(accepted) > 100
        assert drain(central.here.gateway) == []


@contextlib.contextmanager
def speaking(
    central: Central, players: Sequence[Visit], accepted: list[Event]
) -> Generator[None]:
    """Have *players* pull one after the other, in a thread, for as long as this lasts."""
    enough = threading.Event()

    def speak() -> None:
        for player in itertools.cycle(players):
            if enough.wait(PULL_S):
                return
            accepted.append(central.spin(player, 1))

    with ThreadPoolExecutor(1) as pool:
        spoken = pool.submit(speak)
        try:
            yield
        finally:
            enough.set()
        spoken.result()
