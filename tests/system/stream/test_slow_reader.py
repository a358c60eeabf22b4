"""Who does not read what it is told: threats.md row 50, in raw bytes."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fakes_frames import client_frame
from tests.system.stream.raw_socket import RawSocket
from tests.system.stream.sockets import ask, welcomed
from tests.system.world import World, world

pytestmark = pytest.mark.system

CUT_AFTER_S: Final = 10.0
"""Of :class:`edge.shell.stream.speaking.WireLimits`, written again: threats.md row 50."""

LATE_S: Final = 3.0
"""Far more than filling all buffers takes, far less than the bound."""

FRAMES: Final = 240  # no flood: it is five seconds' worth
EVENTS: Final = 200
BAD: Final = b'{"id":"0192f3c4-7a10-7c3e-8d52-6b1f0a9e4c00"}'  # named in its refusal
COSTLY: Final = client_frame(b'{"op":"events","events":[' + b",".join([BAD] * EVENTS) + b"]}")
"""To be told of all of them takes 6 MB, more than two kernels keep."""


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A gateway that hears as much as comes, and asks nobody whether he is there."""
    settings = {"stream": {"events_per_s": 1_000_000, "ping_s": 600, "pong_s": 600}}
    with world(tmp_path_factory.mktemp("patient"), settings) as built:
        built.gateway.start()
        built.wait_until_ready()
        yield built


def closed(here: World) -> float:
    """How many sockets were cut so far."""
    wanted = 'edge_stream_closed_total{code="1006"} '
    lines = here.gateway.metrics().splitlines()
    return sum(float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted))


def resident_kib(here: World) -> int:
    """How much memory the gateway's process has."""
    process = here.gateway.process
    assert process is not None
    status = Path(f"/proc/{process.pid}/status").read_text("ascii")
    return int(status.partition("VmRSS:")[2].split()[0])


def test_50_who_never_reads_is_cut_after_10_s_and_what_it_costs_is_bounded(
    patient: World,
) -> None:
    """Planted: cut after 5 s; never cut."""
    before, before_kib = closed(patient), resident_kib(patient)
    began_s = time.monotonic()
    with RawSocket(patient, receive_bytes=4_096) as raw:
        raw.shake(patient, patient.visit("deaf"))
        raw.stuff(COSTLY * FRAMES)
        with welcomed(patient, patient.visit("neighbour")) as found:
            assert ask(found)["refused"] == []
        patient.wait(lambda: closed(patient) == before + 1, "cut")
        assert time.monotonic() - began_s >= CUT_AFTER_S
        assert resident_kib(patient) - before_kib < 16 * 1024


def test_50_who_reads_late_but_in_time_is_told_everything(patient: World) -> None:
    """Planted: cut as soon as the buffer is full."""
    with RawSocket(patient, receive_bytes=4_096) as raw:
        raw.shake(patient, patient.visit("late"))
        unsent = raw.stuff(COSTLY * FRAMES)
        time.sleep(LATE_S)
        raw.widen()
        rest = threading.Thread(target=raw.send, args=(unsent,))
        rest.start()
        told = 0
        while told < FRAMES * EVENTS:
            assert raw.read(), f"cut, {told} told"
            told = sum(text.count(b'"frame":') for text in raw.frames.texts)
        rest.join()
        ends = {entry["frame"] for entry in raw.refused(raw.said[-1])}

    assert told == FRAMES * EVENTS
    assert max(int(str(each)) for each in ends) == FRAMES
    assert not raw.was_reset
