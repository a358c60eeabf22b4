"""Dead letters: copied to the origin, sent again beside a running gateway, and never lost."""

import random
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from edge.demo.audit import read_log
from edge.shell import dead
from edge.shell.dead import DeadLetters, letter_files
from edge.shell.spool.disk import OsDisk
from edge.shell.spool.lane_spool import Stored
from tests.fakes_http_origin import TAKE, Receiver, Reply, Request, receiver as receiving, take
from tests.system.conftest import Build
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

TOPIC: Final = "edge.game.v1"
STAKE: Final = 777
"""By this the receiver knows what it will not take."""
LETTERS: Final = 3_000
KILLS: Final = 4
SEED: Final = 20_261_122
EDGESPOOL: Final = "0198c0de-0000-7000-8000-00000000beef"


@pytest.fixture(name="receiver")
def _receiver() -> Iterator[Receiver]:
    """An origin; ends with the test."""
    with receiving() as built:
        yield built


def refuse_the_stake(request: Request) -> Reply:
    """Object to a body of the lane's own topic with the one bad event in it."""
    is_bad = any(b'"amount_minor":%d' % STAKE in event for event in request.events)
    return Reply(422) if is_bad and request.topic == TOPIC else TAKE


def take_slowly(_: Request) -> Reply:
    """Take everything, and leave time to be killed in."""
    time.sleep(0.02)
    return TAKE


def redrive(*arguments: str) -> "subprocess.Popen[str]":
    """Begin to send dead letters again."""
    return subprocess.Popen(
        [sys.executable, "-m", "edge", "spool", "redrive", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def figure(here: World, sample: str) -> float:
    """One sample of the metrics."""
    (line,) = (each for each in here.gateway.metrics().splitlines() if each.startswith(sample))
    return float(line.split()[-1])


def read(events: list[bytes]) -> list[Mapping[str, Any]]:
    """What an origin's reader sees."""
    return [msgspec.json.decode(event) for event in events]


def test_what_the_origin_refused_is_told_mended_and_delivered_under_its_number(
    build: Build, receiver: Receiver
) -> None:
    here = build({"origin": {"url": receiver.url}})
    receiver.script = refuse_the_stake
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    events = [TABLE.spin(ada, stake) for stake in (100, STAKE, 200)]
    assert here.say(ada, *events).counts == (3, 0)
    here.wait(lambda: bool(receiver.events["edge.dead.v1"]), "a copy")
    (letter,) = read(receiver.events["edge.dead.v1"])
    here.wait(lambda: figure(here, 'edge_dead_total{lane="game"}') == 1, "dead")
    assert (letter["id"], "deadreason" in letter) == (events[1]["id"], True)
    assert [each["id"] for each in read(receiver.events[TOPIC])] == [
        events[0]["id"],
        events[2]["id"],
    ]
    assert figure(here, 'edge_dead_copies_total{outcome="published"}') == 1

    still = redrive("--config", str(here.room / "edge.toml"))
    printed, _ = still.communicate()
    assert (still.returncode, printed) == (
        1,
        "game: 0 redriven, 1 refused, 0 damaged, 0 quarantined\n",
    )

    receiver.script = take
    mended = redrive("--config", str(here.room / "edge.toml"), "--lane", "game")
    printed, said = mended.communicate()

    assert (mended.returncode, said) == (0, "")
    assert printed == "game: 1 redriven, 0 refused, 0 damaged, 0 quarantined\n"
    delivered = read(receiver.events[TOPIC])
    assert delivered[-1] == {k: v for k, v in letter.items() if k != "deadreason"}
    assert len({(each["edgespool"], each["edgeseq"]) for each in delivered}) == 3
    here.wait(lambda: figure(here, 'edge_redriven_total{lane="game"}') == 1, "counted")
    dead_bytes = 'edge_spool_bytes{lane="game",state="dead"}'
    here.wait(lambda: figure(here, dead_bytes) == 0, "no letter takes room")
    assert figure(here, 'edge_redriven_total{lane="bet"}') == 0


def bury(directory: Path, count: int = LETTERS) -> None:
    """Fill a lane's ``dead/`` as a forwarder does."""
    letters = DeadLetters(OsDisk(), directory, bytes_max=64 << 20)
    for first in range(1, count, 500):
        letters.bury(
            [
                dead.refused(
                    Stored(
                        EDGESPOOL,
                        number,
                        b"player-%d" % (number % 7),
                        0,
                        b'{"edgespool":"%s","edgeseq":"%d","id":"a letter","data":"%s"}'
                        % (EDGESPOOL.encode(), number, b"x" * 1000),
                    ),
                    "too large",
                    dead_ms=0,
                )
                for number in range(first, first + 500)
            ]
        )


def test_a_redrive_that_is_killed_anywhere_loses_no_letter(
    tmp_path: Path, receiver: Receiver
) -> None:
    rng = random.Random(SEED)  # noqa: S311  # a seed replays
    directory = tmp_path / "0/game/dead"
    bury(directory)
    receiver.script = take_slowly
    arguments = ("--path", str(tmp_path), "--to", receiver.url)
    for _ in range(KILLS):
        if not letter_files(OsDisk(), directory):
            break
        receiver.reached.clear()
        victim = redrive(*arguments)
        assert receiver.reached.wait(30)
        time.sleep(rng.uniform(0, 0.1))
        victim.kill()
        victim.communicate()

    last = redrive(*arguments)
    _, said = last.communicate()

    assert (last.returncode, said) == (0, "")
    assert letter_files(OsDisk(), directory) == {}
    delivered = [int(each["edgeseq"]) for each in read(receiver.events[TOPIC])]
    assert set(delivered) == set(range(1, LETTERS + 1))
    tally = dead.read_tally(OsDisk(), directory)
    assert tally is not None
    assert LETTERS <= tally <= len(delivered)


def test_redrive_and_gateway_write_one_embedded_log_and_neither_loses(build: Build) -> None:
    here = build({"limits.player": {"quota": 1_000_000, "window_s": 60, "burst": 100_000}})
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    bury(here.spool / "0/game/dead", 500)
    beside = redrive("--config", str(here.room / "edge.toml"))
    events: list[dict[str, object]] = []
    while beside.poll() is None or len(events) < 5:
        events.append(TABLE.spin(ada, 100))
        assert here.say(ada, events[-1]).counts == (1, 0)
    printed, said = beside.communicate()
    here.wait_until_forwarded(*events)

    assert (beside.returncode, said) == (0, "")
    assert printed == "game: 500 redriven, 0 refused, 0 damaged, 0 quarantined\n"
    lines = list(read_log(here.origin))
    numbers = [(each.envelope["edgespool"], each.envelope["edgeseq"]) for each in lines]
    assert len(numbers) == len(set(numbers)) == 500 + len(events)
    for partition in {line.partition for line in lines}:
        offsets = [line.offset for line in lines if line.partition == partition]
        assert offsets == list(range(len(offsets)))
