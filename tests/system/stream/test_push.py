"""Published at the origin, a push is at the clients it is for; and no verdict waits for any.

A real process, real sockets of the ``websockets`` package, the embedded log and a real broker.
"""

import contextlib
import itertools
import json
import random
import re
import socket
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, cast

import pytest
from websockets.sync.client import ClientConnection, connect

from edge.core.push import PUSH_TOPIC
from edge.demo.payloads import Visit
from origin_client.open import open_origin
from origin_client.origin import Origin, Outgoing
from tests.fakes_push import TOPIC, push_value
from tests.kafka.broker import Broker
from tests.system.conftest import Build
from tests.system.world import TABLE, WAIT_S, World

pytestmark = pytest.mark.system

FENCE: Final = 10_000  # as a number: behind this nothing of the story comes
LARGE: Final = "x" * 30_000
SLOW_BYTES: Final = 8192  # of a slow reader's buffer in the kernel
PATIENT: Final = {"ping_s": 600, "silent_s": 600}  # with those who do not read for a while
Frame = Mapping[str, object]


@dataclass
class Ear:
    """A client that listens.

    Attributes:
        wire: Its socket.
        frames: What it heard beside pushes.
        numbers: The pushes it got, in order.
    """

    wire: ClientConnection
    frames: list[Frame] = field(default_factory=list[Frame])
    numbers: list[int] = field(default_factory=list[int])

    def hear(self, wait_s: float = WAIT_S) -> Frame:
        """Take in one frame."""
        frame: Frame = json.loads(self.wire.recv(timeout=wait_s))
        if frame["op"] == "push":
            self.numbers.append(
                cast("dict[str, dict[str, int]]", frame["event"])["data"]["number"]
            )
        else:
            self.frames.append(frame)
        return frame

    def hear_until(self, number: int) -> list[int]:
        """Return what came before push *number*."""
        while number not in self.numbers:
            self.hear()
        return self.numbers[: self.numbers.index(number)]

    def say(self, *events: Mapping[str, object]) -> Frame:
        """Send one frame; return its verdicts."""
        self.wire.send(json.dumps({"op": "events", "events": events}))
        while (frame := self.hear())["op"] != "verdicts":
            pass
        return frame


@contextlib.contextmanager
def listening(
    here: World,
    visit: Visit,
    topics: str = f"?topics={TOPIC}",
    *,
    scope: str = "events:write stream:read",
    buffer_bytes: int | None = None,
) -> Generator[Ear]:
    """Connect as *visit*; the caller is heard once this returns, and ``welcome`` has come."""
    host, port = here.gateway.public
    own = socket.socket()
    if buffer_bytes is not None:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    own.connect((host, port))
    bearer = f"bearer.{here.issuer.player(visit, scope=scope)}"
    with connect(
        f"ws://{host}:{port}/v1/stream{topics}",
        sock=own,
        subprotocols=["edge.v1.json", bearer],  # type: ignore[list-item]  # a NewType of str
        compression=None,
        ping_interval=None,
        max_queue=1,
    ) as wire:
        ear = Ear(wire)
        assert ear.hear()["op"] == "welcome"
        yield ear


def player(name: str, brand: str = "north") -> Visit:
    return Visit(f"player-{name}", brand, "MT", random.Random(name))  # noqa: S311  # no secret


@dataclass(frozen=True)
class Stage:
    """A running gateway, and someone who publishes pushes at its origin."""

    here: World
    origin: Origin

    def publish(self, *values: bytes) -> None:
        """Return when each is durable at the origin."""
        assert (
            self.origin.publish(PUSH_TOPIC, [Outgoing(b"one", each) for each in values]) == []
        )

    def figure(self, name: str) -> int:
        """What the metrics tell."""
        found = re.search(
            rf"^{re.escape(name)} (\d+)", self.here.gateway.metrics(), re.MULTILINE
        )
        assert found is not None, name
        return int(found[1])


@contextlib.contextmanager
def stage(here: World, url: str) -> Generator[Stage]:
    here.gateway.start()
    here.wait_until_ready()
    with contextlib.closing(open_origin(url, {})) as origin:
        yield Stage(here, origin)


@pytest.fixture
def log(build: Build) -> Iterator[Stage]:
    """With the embedded log."""
    here = build({"stream": PATIENT})
    with stage(here, f"log:{here.origin}") as running:
        yield running


@pytest.fixture
def kafka(build: Build, broker: Broker) -> Iterator[Stage]:
    """With a real broker."""
    url = f"kafka://{broker.bootstrap}"
    broker.create_topic(PUSH_TOPIC)
    with stage(build({"origin": {"url": url}}), url) as running:
        yield running


@pytest.fixture(params=["log", "kafka"])
def either(request: pytest.FixtureRequest) -> Stage:
    """Each kind of origin that can be read."""
    chosen: Stage = request.getfixturevalue(request.param)
    return chosen


def test_a_push_arrives_at_those_it_is_for_and_at_nobody_else(either: Stage) -> None:
    here, ada, bob = either.here, player("ada"), player("bob", "south")
    with contextlib.ExitStack() as stack:
        enter = stack.enter_context
        at_ada, at_bob = enter(listening(here, ada)), enter(listening(here, bob))
        elsewhere = enter(listening(here, player("cleo"), "?topics=weather,leaderboards"))
        deaf = enter(listening(here, player("dan"), ""))
        barred = enter(listening(here, player("eve"), scope="events:write"))
        either.publish(
            push_value(1, "all"),
            push_value(2, f"player:{ada.subject}"),
            push_value(3, f"session:{bob.session}"),
            push_value(4, "brand:north"),
            push_value(5, "brand:south"),
            push_value(6, f"player:{ada.subject}", pushtopic="weather"),
            push_value(7, "all", pushtopic="leaderboards"),
            push_value(FENCE, "all"),
            push_value(FENCE, "all", pushtopic="weather"),
        )

        assert at_ada.hear_until(FENCE) == [1, 2, 4]
        assert at_bob.hear_until(FENCE) == [1, 3, 5]
        assert elsewhere.hear_until(FENCE) == [7]
        for silent in (deaf, barred):
            silent.say()
            assert silent.numbers == []

    assert either.figure('edge_push_received_total{outcome="routed"}') == 8
    assert either.figure('edge_push_received_total{outcome="unwanted"}') == 1
    assert either.figure("edge_push_sent_total") == 10


def renew(ear: Ear, here: World, visit: Visit, scope: str) -> None:
    """Go on under a newer token of *scope*."""
    ear.wire.send(json.dumps({"op": "token", "token": here.issuer.player(visit, scope=scope)}))
    while ear.hear()["op"] != "renewed":
        pass


def hear_one_of_many(log: Stage, ear: Ear) -> None:
    """Publish until one arrives: the first who may listen has the topic read from then on."""
    for number in itertools.takewhile(lambda _: not ear.numbers, itertools.count()):
        log.publish(push_value(number))
        with contextlib.suppress(TimeoutError):
            ear.hear(0.1)


def test_pushes_begin_and_end_with_what_newer_tokens_allow(log: Stage) -> None:
    """On the same socket, with the topics it named when it came; nothing is read before."""
    ada = player("ada")
    with listening(log.here, ada, scope="events:write") as ear:
        log.publish(push_value(FENCE))
        assert ear.say(TABLE.spin(ada, 1))["refused"] == []

        renew(ear, log.here, ada, "events:write stream:read")
        hear_one_of_many(log, ear)
        log.publish(push_value(FENCE + 1))
        assert FENCE not in ear.hear_until(FENCE + 1)

        renew(ear, log.here, ada, "events:write")
        with listening(log.here, player("bob")) as witness:
            log.publish(push_value(FENCE + 2))
            assert witness.hear_until(FENCE + 2) == []
            assert ear.say(TABLE.spin(ada, 1))["refused"] == []
    assert max(ear.numbers) == FENCE + 1
    assert log.figure('edge_push_received_total{outcome="unwanted"}') == 0


def test_a_push_is_the_event_as_it_was_published(log: Stage) -> None:
    value = push_value(1, "all", subject="the pot", data={"number": 1, "text": "Ü 赌 \n"})
    with listening(log.here, player("ada")) as ear:
        log.publish(value)

        assert ear.hear() == {"op": "push", "event": json.loads(value)}


def test_what_is_no_push_is_counted_and_told_once_without_its_content(log: Stage) -> None:
    with listening(log.here, player("ada")) as ear:
        log.publish(
            b'{"a":"secret"}',
            push_value(1, "somebody"),
            push_value(2, data=LARGE + "secret" * 1000),
            push_value(FENCE),
        )
        assert ear.hear_until(FENCE) == []

    assert log.figure('edge_push_received_total{outcome="malformed"}') == 2
    assert log.figure('edge_push_received_total{outcome="too_large"}') == 1
    complaints = [str(line) for line in log.here.log_lines() if line["level"] != "info"]
    assert len(complaints) == 1
    assert "secret" not in log.here.gateway.log.read_text()


def test_a_slow_reader_gets_the_latest_of_each_key_while_verdicts_flow(log: Stage) -> None:
    ada, bob = player("ada"), player("bob")
    with (
        listening(log.here, ada, buffer_bytes=SLOW_BYTES) as slow,
        listening(log.here, bob) as quick,
    ):
        count = 0
        while not log.figure("edge_push_conflated_total") or count < 50:
            values = [
                push_value(count + n, key="ab"[n % 2], data={"number": count + n, "x": LARGE})
                for n in range(10)
            ]
            log.publish(*values)
            count += len(values)
            assert quick.say(TABLE.spin(bob, 1))["refused"] == []
        assert quick.say(TABLE.spin(bob, 1))["settled"] == bob.seq
        log.publish(push_value(FENCE))
        assert quick.hear_until(FENCE) == list(range(count))
        got = slow.hear_until(FENCE)

    assert got[-2:] == [count - 2, count - 1]
    assert got == sorted(set(got))
    conflated = log.figure("edge_push_conflated_total")
    assert conflated > 0
    assert len(got) == count - conflated
    assert log.figure("edge_push_dropped_total") == 0


@contextlib.contextmanager
def broken_log(log: Stage) -> Generator[None]:
    """Have the topic's directory be something else for a while."""
    topic = log.here.origin / PUSH_TOPIC
    aside = topic.rename(topic.with_name("aside"))
    topic.write_bytes(b"")
    yield
    topic.unlink()
    aside.rename(topic)


def test_an_outage_of_the_topic_costs_its_pushes_time_and_verdicts_nothing(log: Stage) -> None:
    ada = player("ada")
    with listening(log.here, ada) as ear:
        log.publish(push_value(1))
        assert ear.hear_until(1) == []
        with broken_log(log):
            log.here.wait(lambda: told(log) != [], "told")
            for _ in range(20):
                assert ear.say(TABLE.spin(ada, 1))["refused"] == []
            log.here.wait_until_ready()
        log.publish(push_value(2), push_value(3))

        assert ear.hear_until(3) == [1, 2]
    assert len(told(log)) == 1


def test_a_topic_that_is_kept_from_us_costs_verdicts_nothing_and_pushes_come_later(
    kafka: Stage, broker: Broker
) -> None:
    ada = player("ada")
    with listening(kafka.here, ada) as ear:
        kafka.publish(push_value(1))
        assert ear.hear_until(1) == []
        broker.hide(PUSH_TOPIC)
        kafka.here.wait(lambda: told(kafka) != [], "told")
        for _ in range(20):
            assert ear.say(TABLE.spin(ada, 1))["refused"] == []
        broker.allow(PUSH_TOPIC)
        kafka.publish(push_value(2), push_value(3))

        assert ear.hear_until(3) == [1, 2]


def test_a_topic_that_is_missing_or_denied_is_told_by_readiness_until_it_is_not(
    build: Build, broker: Broker
) -> None:
    """The node stays ready, events have their verdicts, and nobody restarts anything."""
    url, ada = f"kafka://{broker.bootstrap}", player("ada")
    broker.delete_topic(PUSH_TOPIC)
    here = build({"origin": {"url": url}})
    with stage(here, url), listening(here, ada) as ear:

        def wait_until_told(cause: str) -> None:
            here.wait(lambda: re.fullmatch(cause, pushes(here)) is not None, cause)
            assert ear.say(TABLE.spin(ada, 1))["refused"] == []

        def mended(number: int) -> None:
            wait_until_told("ok")
            with contextlib.closing(open_origin(url, {})) as origin:
                Stage(here, origin).publish(push_value(number))
            ear.hear_until(number)

        missing = f"{PUSH_TOPIC} (does not exist|was deleted); create it.*"
        wait_until_told(missing)
        broker.create_topic(PUSH_TOPIC)
        mended(1)
        broker.deny(PUSH_TOPIC, "READ")
        wait_until_told(f"{PUSH_TOPIC} may not be used; allow this user to")
        broker.allow(PUSH_TOPIC)
        mended(2)
        broker.delete_topic(PUSH_TOPIC)
        wait_until_told(missing)
        broker.create_topic(PUSH_TOPIC)
        mended(3)

    assert ear.numbers == [1, 2, 3]


def pushes(here: World) -> str:
    """What a node that is ready tells of pushes."""
    answer = here.ask("/readyz")
    assert (answer.status, answer.json["ready"]) == (200, True)
    return cast("dict[str, str]", answer.json["probes"])["pushes"]


def told(on: Stage) -> list[object]:
    """What operators are told of pushes."""
    return [line for line in on.here.log_lines() if line["logger"] == "edge.push"]
