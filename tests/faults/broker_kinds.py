"""Every kind of trouble that a broker, or the way to it, can be in: one function each.

Each does its harm to a stage while all is well, says what readiness must tell meanwhile, mends
it and returns; the campaign then waits until the gateway has recovered.
"""

import contextlib
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

from edge.core.lane import Lane
from tests.faults import faults
from tests.faults.broker_probe import check_mute, check_slow
from tests.faults.broker_stage import (
    ALL,
    APART,
    BROKER_LIMIT_BYTES,
    LARGE_LANE,
    LARGE_LIMIT_BYTES,
    LOOK_S,
    TOLD_S,
    Stage,
)

Kind: TypeAlias = Callable[[Stage], None]

SILENT: Final = "no broker answers"
AWAY: Final = "reached|no broker answers"
CUTS: Final = 4  # in a row, each of the connections that the last one made
CUT_S: Final = 0.3  # by then a new connection has said something
TOGGLES: Final = 10
ALLOWED_MAX_S: Final = 0.15  # a backlog's first requests are written by then, its last are not
LATENCY_S: Final = 0.15  # each way; more than an idle broker's answer takes both ways
NARROW_BYTES_PER_S: Final = 20_000
PADDING_BYTES: Final = 6000  # of a question that takes 0.3 s through there
DENIED_LANES: Final = (Lane.BET, Lane.WALLET, Lane.GAME)


def crash(stage: Stage) -> None:
    """SIGKILL, and a start on the same records."""
    with faults.crashed(stage.broker):
        stage.last(stage.rng.uniform(0, 2), AWAY)


def restart(stage: Stage) -> None:
    """An orderly stop, and a start."""
    faults.restart(stage.broker)


def hang_5_s(stage: Stage) -> None:
    """SIGSTOP for 5 s."""
    with faults.hung(stage.broker), check_mute(stage):
        stage.last(5)


def hang_12_s(stage: Stage) -> None:
    """SIGSTOP for 12 s: longer than the broker's own sessions."""
    with faults.hung(stage.broker):
        stage.last(12, SILENT)


def stutter(stage: Stage) -> None:
    """SIGSTOP and SIGCONT by turns."""
    for _ in range(5):
        with faults.hung(stage.broker), check_mute(stage):
            stage.last(stage.rng.uniform(0.1, 0.8))
        time.sleep(stage.rng.uniform(0.05, 0.4))


def flap(stage: Stage) -> None:
    """Away and there again, six times."""
    draw = stage.rng.uniform
    faults.flap(stage.proxy, [(draw(0.1, 0.6), draw(0.1, 0.6)) for _ in range(6)])


def deny(stage: Stage) -> None:
    """No right to write to one topic: refused at once; while it drains, now and then again."""
    lane = stage.rng.choice(DENIED_LANES)
    with faults.denied(stage.broker, lane.topic):
        stage.last(2, f"{lane.topic} may not be used", lanes={lane})
    for _ in range(TOGGLES):
        time.sleep(stage.rng.uniform(0, ALLOWED_MAX_S))
        with faults.denied(stage.broker, lane.topic):
            pass


def lose_directory(stage: Stage) -> None:
    """A log directory is renamed away: the records of its topics wait, the others' go on."""
    second = stage.broker.second_directory
    lanes = {lane for lane in Lane if (second / f"{lane.topic}-0").exists()}
    with faults.without_second_directory(stage.broker):
        stage.last(3, f"{APART.topic} is not acknowledged", lanes=lanes)


def too_large(stage: Stage) -> None:
    """One record, or three in a row, larger than the topic takes: they are dead, and alone."""
    before = len(stage.letters())
    with faults.limited(stage.broker, LARGE_LANE.topic, LARGE_LIMIT_BYTES, BROKER_LIMIT_BYTES):
        count = stage.rng.choice((1, 3))
        for _ in range(count):
            stage.say_too_large()
        end_s = time.monotonic() + TOLD_S
        while len(stage.letters()) < before + count:
            stage.last(LOOK_S, lanes={LARGE_LANE})
            if time.monotonic() > end_s:
                stage.faults.append("a record too large is not dead")
                return


def delete(stage: Stage) -> None:
    """A topic is deleted, and stays away for a while."""
    lane = stage.rng.choice(DENIED_LANES)
    with contextlib.ExitStack() as away:
        with faults.black_hole(stage.proxy.up):
            stage.keep(lane.topic)
            away.enter_context(faults.without_topic(stage.broker, lane.topic))
        stage.let_others_recover(lane)
        stage.last(2, f"{lane.topic} (does not exist|was deleted)", lanes={lane})


def make_anew(stage: Stage) -> None:
    """A topic is deleted and made anew behind the producer's back."""
    lane = stage.rng.choice(DENIED_LANES)
    with faults.black_hole(stage.proxy.up):
        stage.keep(lane.topic)
        faults.make_topic_anew(stage.broker, lane.topic)
    stage.let_others_recover(lane)
    stage.last(1, lanes={lane})


def fail_what_is_written(stage: Stage) -> None:
    """A record is reported failed that is in the log all the same.

    The broker has answered that it is written, but nobody heard; the producer asks again, and
    is denied. So it must be sent again, and lies there twice.
    """
    lane = stage.rng.choice(DENIED_LANES)

    def still() -> int:
        before = stage.written(lane.topic)
        stage.last(LOOK_S)  # what was answered is heard
        return before

    def until_more(before: int) -> None:
        stage.last(1)
        stage.wait_until_written(lane.topic, before + 1)

    with faults.failed_yet_written(stage.broker, stage.proxy, lane.topic, still, until_more):
        stage.last(1, f"{lane.topic} may not be used", lanes=ALL)


def cut_answers(stage: Stage) -> None:
    """Connections are reset when the broker answers: what was asked is done, unheard."""
    for _ in range(CUTS):
        faults.cut_before_answer(stage.proxy)
        time.sleep(CUT_S)


def be_late(stage: Stage) -> None:
    """Latency of 150 to 300 ms each way."""
    ways = (stage.proxy.up, stage.proxy.down)
    with faults.late(*ways, latency_s=LATENCY_S, jitter_s=LATENCY_S):
        check_slow(stage, len(ways) * LATENCY_S)
        stage.last(3)


def be_narrow(stage: Stage) -> None:
    """Less passes than comes in."""
    with faults.narrow(stage.proxy.up, bytes_per_s=NARROW_BYTES_PER_S):
        check_slow(stage, PADDING_BYTES / NARROW_BYTES_PER_S, PADDING_BYTES)
        stage.last(3)


def swallow_requests(stage: Stage) -> None:
    """A black hole on the way to the broker."""
    with faults.black_hole(stage.proxy.up):
        stage.last(5, SILENT)


def swallow_answers(stage: Stage) -> None:
    """A black hole on the way back."""
    with faults.black_hole(stage.proxy.down):
        stage.last(5, SILENT)


def swallow_all(stage: Stage) -> None:
    """A black hole both ways, at whose end all connections are reset."""
    with faults.black_hole(stage.proxy.up, stage.proxy.down):
        stage.last(5, SILENT)
        faults.reset(stage.proxy)


def reset(stage: Stage) -> None:
    """RST on all connections, again and again."""
    for _ in range(8):
        faults.reset(stage.proxy)
        time.sleep(stage.rng.uniform(0.02, 0.4))


def half_close(stage: Stage) -> None:
    """FIN one way."""
    for way in (stage.proxy.up, stage.proxy.down):
        faults.half_close(stage.proxy, way)
        stage.last(0.5)


def refuse(stage: Stage) -> None:
    """Nobody listens."""
    with faults.refused(stage.proxy):
        stage.last(2, AWAY)


CUTTING: Final = frozenset(
    {
        crash,
        restart,
        flap,
        fail_what_is_written,
        cut_answers,
        swallow_all,
        reset,
        half_close,
        refuse,
    }
)
"""After these the gateway must have made new connections, or nothing was done to it."""

SHARED: Final[Mapping[Kind, int]] = MappingProxyType(
    {too_large: 1, deny: 1, make_anew: 1, fail_what_is_written: 1, cut_answers: 1, flap: 1}
)
"""Each once, in this order: none of them ends or freezes the broker."""

SHARES: Final[Mapping[Kind, int]] = MappingProxyType(
    {
        crash: 14,
        restart: 6,
        hang_5_s: 10,
        hang_12_s: 8,
        stutter: 10,
        flap: 12,
        deny: 14,
        lose_directory: 6,
        too_large: 10,
        delete: 10,
        make_anew: 10,
        fail_what_is_written: 14,
        cut_answers: 14,
        be_late: 10,
        be_narrow: 6,
        swallow_requests: 8,
        swallow_answers: 8,
        swallow_all: 8,
        reset: 8,
        half_close: 8,
        refuse: 6,
    }
)
"""How many of each make 200."""
