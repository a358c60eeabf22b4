"""Descriptors or memory run short: those who are in are served, newcomers are told, it heals."""

import contextlib
import json
import os
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import pytest

from edge.demo.ledger import Event
from edge.shell.acceptor import PAUSE_S
from edge.shell.resources import DESCRIPTORS_RESERVED, LOOK_S
from tests.faults import faults
from tests.system.conftest import Build
from tests.system.raw import Line
from tests.system.world import TABLE, World

if TYPE_CHECKING:
    from edge.demo.payloads import Payload

pytestmark = pytest.mark.system

# Far above what an idle gateway takes (0.01) and far below a loop that spins (0.9).
CPU_SHARE_MAX: Final = 0.4
GENEROUS: Final = {"quota": 1_000_000, "window_s": 60, "burst": 100_000}
ROOMY: Final = {"limits.player": GENEROUS, "limits.address": GENEROUS}
# Longer than a pause in accepting, so that one try is among it.
WHILE_S: Final = 1.2 * PAUSE_S
# Of the spool, unless somebody says otherwise.
SEGMENT_BYTES: Final = 8 << 20
TIME: Final = b"GET /v1/time HTTP/1.1\r\nhost: localhost\r\n\r\n"


def pid_of(world: World) -> int:
    """The gateway's process."""
    assert world.gateway.process is not None
    return world.gateway.process.pid


@contextlib.contextmanager
def few_descriptors(world: World, count: int) -> Generator[None]:
    """Let the running gateway have so many files open, and let it notice; then as before."""
    with faults.without_descriptors(pid_of(world), count):
        time.sleep(2 * LOOK_S)
        yield
    time.sleep(2 * LOOK_S)


def cpu_share(world: World, during_s: float) -> float:
    """How much of one processor the gateway takes for a while, in which nobody asks anything."""
    before = cpu_s(world), time.monotonic()
    time.sleep(during_s)
    return (cpu_s(world) - before[0]) / (time.monotonic() - before[1])


def cpu_s(world: World) -> float:
    """Processor time of the gateway so far. Source: proc(5), ``/proc/pid/stat``."""
    fields = Path(f"/proc/{pid_of(world)}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tell(world: World, line: Line, *events: Event, name: str = "ada") -> object:
    """Send a player's *events* over a connection that is there; return what was accepted."""
    line.post(json.dumps(events).encode(), world.headers(world.visit(name)))
    answer = line.answer()
    return answer.counts[0]


def metric(world: World, name: str) -> float:
    """Read one sample."""
    found = [row for row in world.gateway.metrics().splitlines() if row.startswith(f"{name} ")]
    return float(found[0].split()[1])


def half_a_request(world: World) -> bytes:
    """All of a large body but its end."""
    headers = world.headers(world.visit()) | {"host": "x", "content-length": "250000"}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(["POST /v1/events HTTP/1.1", *lines, "", ""]).encode() + b" " * 220_000


def memory_probe(world: World) -> str:
    """What readiness says of memory."""
    probes = cast("dict[str, str]", world.ask("/readyz").json["probes"])
    return probes["memory"]


@pytest.fixture
def lines() -> Iterator[ExitStack]:
    """Connections that end with the test."""
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def lasting() -> Iterator[ExitStack]:
    """What lasts as long as the test."""
    with ExitStack() as entered:
        yield entered


def test_when_descriptors_are_used_up_newcomers_are_told_and_all_others_served(
    build: Build, lines: ExitStack, lasting: ExitStack
) -> None:
    here = build(ROOMY)
    here.gateway.start()
    here.wait_until_ready()
    ada, first = here.visit(), lines.enter_context(here.line())
    spin = TABLE.spin(ada, 1)
    assert tell(here, first, spin) == 1
    before = [event for n in range(35) for event in ada_kept(here, first, n)]
    assert len(before) == 35 * 28
    assert size(before) < SEGMENT_BYTES

    lasting.enter_context(few_descriptors(here, DESCRIPTORS_RESERVED + 20))
    crowd = [lines.enter_context(here.line()) for _ in range(60)]
    here.wait(lambda: metric(here, "edge_connections") == 20, "as many as there is room for")
    turned_away = crowd[19:]

    answers = [line.wait_for_end() for line in turned_away]
    assert {answer.split(b"\r\n")[0] for answer in answers} == {
        b"HTTP/1.1 503 Service Unavailable"
    }
    assert cpu_share(here, WHILE_S) < CPU_SHARE_MAX
    assert metric(here, 'edge_pressure{cause="descriptors"}') == 1
    another = TABLE.spin(ada, 1)
    assert tell(here, first, another) == 1
    # Over the end of a segment: the spool must open the next one, and the origin its files.
    since = [event for n in range(35, 150) for event in ada_kept(here, first, n)]
    assert 0 < len(since) < 115 * 28
    assert size(before + since) > SEGMENT_BYTES
    here.wait(lambda: metric(here, 'edge_spool_records{lane="telemetry"}') == 0, "forwarded")
    here.wait_until_forwarded(spin, another, *before, *since)

    lines.close()
    here.wait(lambda: metric(here, "edge_connections") == 0, "nobody connected")
    with here.line() as newcomer:
        assert tell(here, newcomer, TABLE.spin(here.visit("bob"), 1), name="bob") == 1
    assert metric(here, 'edge_pressure{cause="descriptors"}') == 0


def size(events: list[Event]) -> int:
    """Bytes of *events* as they are kept, at the least."""
    return sum(len(json.dumps(event, separators=(",", ":"))) for event in events)


def ada_kept(world: World, line: Line, number: int) -> list[Event]:
    """Send a batch of her reports; return what was not shed of it."""
    batch = ada_points(world, number)
    line.post(json.dumps(batch).encode(), world.headers(world.visit()))
    answer = line.answer()
    refused = answer.refusals
    assert {code for _, code, _ in refused} <= {"lane_shed"}
    shed = {index for index, _, _ in refused}
    kept = [event for index, event in enumerate(batch) if index not in shed]
    assert answer.counts == (len(kept), 0)
    return kept


def ada_points(world: World, number: int) -> list[Event]:
    """Reports of her pointer, as long as they may be: 240 KB together."""
    ada = world.visit()
    ada.seq = 10 + number * 28
    ada.rng.seed(number)
    data: Payload = {
        "t0_ms": 1_770_000_000_000,
        "viewport": {"w": 9_999, "h": 9_999},
        "samples": [[59_999, "nav", 9_999, 9_999, 7, 7]] * 256,
        "target": "x" * 32,
    }
    return [ada.says("telemetry.interaction.batch", data) for _ in range(28)]


def test_when_not_one_descriptor_is_left_nothing_spins_and_all_heals(
    build: Build, lines: ExitStack
) -> None:
    """Below what is open already: libuv's spare one, with which it would drop them, is lost."""
    here = build(ROOMY)
    here.gateway.start()
    here.wait_until_ready()
    ada, first = here.visit(), lines.enter_context(here.line())
    assert tell(here, first, TABLE.spin(ada, 1)) == 1

    with few_descriptors(here, 10):
        waiting = lines.enter_context(here.line())
        waiting.send(TIME)
        share = cpu_share(here, WHILE_S)
        events = [TABLE.spin(ada, 1) for _ in range(5)]
        assert tell(here, first, *events) == len(events)

    assert share < CPU_SHARE_MAX
    assert waiting.answer().status == 200
    here.wait_until_forwarded(*events)
    assert here.ask("/readyz").status == 200


def test_above_the_watermark_newcomers_are_told_telemetry_is_shed_and_it_heals(
    build: Build, lines: ExitStack
) -> None:
    """A crowd that sends its requests half makes it grow, as nothing else can."""
    small = {"dedupe_entries_max": 1000, "sessions_max": 1000}
    here = build({**ROOMY, "node": {"memory_max": "140MiB"}, "spool": small})
    here.gateway.start()
    here.wait_until_ready()
    first = lines.enter_context(here.line())
    with ExitStack() as crowd:
        while memory_probe(here) == "ok":
            for _ in range(20):
                with contextlib.suppress(OSError):  # it was turned away meanwhile
                    crowd.enter_context(here.line()).send(half_a_request(here))
        ready = here.ask("/readyz")
        with here.line() as newcomer:
            refused = newcomer.wait_for_end()
        first.post(json.dumps(ada_points(here, 0)).encode(), here.headers(here.visit()))
        told = first.answer()
        spins = tell(here, first, TABLE.spin(here.visit("bob"), 1), name="bob")

    assert ready.status == 200
    assert refused.startswith(b"HTTP/1.1 503 ")
    assert (told.status, {code for _, code, _ in told.refusals}) == (202, {"lane_shed"})
    assert spins == 1
    here.wait(lambda: memory_probe(here) == "ok", "normal again")
    with here.line() as newcomer:
        assert tell(here, newcomer, TABLE.spin(here.visit("cy"), 1), name="cy") == 1
