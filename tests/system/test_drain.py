"""A spool whose gateway is gone is emptied by a command, or says what is left in it."""

import signal
import subprocess
import sys
from collections.abc import Iterator

import msgspec
import pytest

from edge.demo.ledger import Event
from tests.fakes_http_origin import TAKE, Receiver, Reply, Request, receiver as receiving
from tests.system.conftest import Build
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

TOPIC = "edge.game.v1"


@pytest.fixture(name="receiver")
def _receiver() -> Iterator[Receiver]:
    """An origin; ends with the test."""
    with receiving() as built:
        yield built


def drain(here: World, *arguments: str) -> "subprocess.Popen[str]":
    """Begin to empty the gateway's spool."""
    config = ("--config", str(here.room / "edge.toml"))
    return subprocess.Popen(
        [sys.executable, "-m", "edge", "spool", "drain", *config, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def leave_behind(here: World, receiver: Receiver, spins: int) -> list[Event]:
    """Accept *spins* while the origin is away, then die."""
    receiver.stop()
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    events = [TABLE.spin(ada, number) for number in range(1, spins + 1)]
    for event in events:
        assert here.say(ada, event).counts == (1, 0)
    return events


def test_what_a_killed_gateway_left_is_forwarded_in_order(
    build: Build, receiver: Receiver
) -> None:
    here = build({"origin": {"url": receiver.url}})
    events = leave_behind(here, receiver, 30)

    refused = drain(here)
    _, said = refused.communicate()
    assert refused.returncode == 1
    assert said.count("\n") == 1
    assert "another process owns" in said
    here.gateway.kill()

    impatient = drain(here, "--timeout-s", "1")
    _, said = impatient.communicate()
    assert impatient.returncode == 1
    assert said.endswith("edge: 0 forwarded, 30 left: game 30\n")

    receiver.start()
    done = drain(here)
    _, said = done.communicate()

    assert (done.returncode, said.splitlines()[-1]) == (0, "edge: 30 forwarded, 0 left")
    delivered = [msgspec.json.decode(each) for each in receiver.events[TOPIC]]
    assert [each["id"] for each in delivered] == [event["id"] for event in events]
    assert [each["edgeseq"] for each in delivered] == [str(n) for n in range(1, 31)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_says_what_is_left_and_loses_nothing(
    build: Build, receiver: Receiver, number: signal.Signals
) -> None:
    here = build({"origin": {"url": receiver.url}})
    leave_behind(here, receiver, 3)
    here.gateway.kill()
    stopped = drain(here)
    assert stopped.stderr is not None
    assert "forwarding waits" in stopped.stderr.readline()

    stopped.send_signal(number)
    _, said = stopped.communicate()

    assert stopped.returncode == 1
    assert said.endswith("edge: 0 forwarded, 3 left: game 3\n")
    receiver.start()
    last = drain(here)
    last.communicate()
    assert last.returncode == 0
    assert len(receiver.events[TOPIC]) == 3


def test_dead_letters_and_another_origin_are_what_they_are_for_a_gateway(
    build: Build, receiver: Receiver
) -> None:
    here = build({"origin": {"url": "http://127.0.0.1:9/in", "options": {}}})
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    good, bad = TABLE.spin(ada, 1), TABLE.spin(ada, 777)
    assert here.say(ada, bad, good).counts == (2, 0)
    here.gateway.kill()

    def refuse_the_stake(request: Request) -> Reply:
        is_bad = request.topic == TOPIC and any(b":777" in event for event in request.events)
        return Reply(422) if is_bad else TAKE

    receiver.script = refuse_the_stake

    done = drain(here, "--to", receiver.url)
    _, said = done.communicate()

    assert done.returncode == 0
    assert "edge: dead letters stay: game; edge spool redrive sends them\n" in said
    (delivered,) = (msgspec.json.decode(each) for each in receiver.events[TOPIC])
    (letter,) = (msgspec.json.decode(each) for each in receiver.events["edge.dead.v1"])
    assert (delivered["id"], letter["id"]) == (good["id"], bad["id"])
