"""How much one socket may say: frames, events, and bytes without a verdict; threats.md row 49.

Nobody beside it has less for that.
"""

import itertools
import json
import threading
import time
from typing import Final

import pytest
from typing_extensions import override

from tests.fakes_frames import PING, client_frame
from tests.faults.launcher import launcher
from tests.system.conftest import Build
from tests.system.stream.raw_socket import RawSocket, events
from tests.system.stream.sockets import ask, codes, hear, say, welcomed
from tests.system.world import TABLE

pytestmark = pytest.mark.system

RATE: Final = 1_000
BURST_S: Final = 5  # of :mod:`edge.core.ops`, written again
EVENTS: Final = 200  # of one frame: as many as it may have
HEARD: Final = 9_000
PLAYED: Final = 60

TEXTS_PER_S: Final = 4
PINGS_PER_S: Final = 2
TEXTS: Final = 200  # far more than a burst of these rates, far less than one of the defaults
PINGS: Final = 40  # as well

LARGE_BYTES: Final = 40_000  # two are above the 64 KiB that may be in flight
LARGES: Final = 10
WRITE_MS: Final = 50  # far more than it takes to judge all of them
FULL: Final = client_frame(json.dumps({"op": "events", "events": [{}] * EVENTS}).encode())


class Flood(threading.Thread):
    """Says frames of events that nobody can read, as fast as they are taken.

    Attributes:
        is_over: Set to end it.
    """

    def __init__(self, raw: RawSocket) -> None:
        super().__init__()
        self.is_over = threading.Event()
        self._raw = raw

    @override
    def run(self) -> None:
        """Say as much as is taken."""
        rest = b""
        while not (self.is_over.is_set() or self._raw.was_reset):
            rest = self._raw.stuff(rest or FULL)


def entries(raw: RawSocket, seen: int) -> tuple[int, int]:
    """Count the refusals in the texts from *seen* on; and the texts."""
    texts = raw.frames.texts
    return sum(text.count(b'"schema_violation"') for text in texts[seen:]), len(texts)


def test_49_a_flood_of_events_is_read_at_its_rate_and_its_neighbour_is_served(
    build: Build,
) -> None:
    """Planted: ``Timetable.rest_ns`` returns 0."""
    here = build({"stream": {"events_per_s": RATE}})
    here.gateway.start()
    here.wait_until_ready()
    ada, bob = here.visit("ada"), here.visit("bob")
    with RawSocket(here) as raw, welcomed(here, bob) as neighbour:
        raw.shake(here, ada)
        flood, begun_s = Flood(raw), time.monotonic()
        flood.start()
        try:
            heard, seen, played = 0, 0, 0
            while heard < HEARD or played < PLAYED:
                if heard < HEARD:
                    assert raw.read(), "it is not closed for it"
                more, seen = entries(raw, seen)
                heard += more
                if played < PLAYED:
                    assert codes(ask(neighbour, TABLE.spin(bob, 100))) == []
                    played += 1
            took_s = time.monotonic() - begun_s
        finally:
            flood.is_over.set()
            flood.join()

        assert raw.frames.close is None
        # No clock of ours measures the gateway's speed: sooner than this it may not be.
        assert took_s >= (HEARD - EVENTS) / RATE - BURST_S
        say(neighbour)
        assert hear(neighbour)["op"] == "verdicts"


def test_49_how_many_frames_are_a_flood_is_a_setting(build: Build) -> None:
    """Planted: both rates are the defaults, whatever is set."""
    rates = {"frames_per_s": TEXTS_PER_S, "control_frames_per_s": PINGS_PER_S}
    here = build({"stream": rates})
    here.gateway.start()
    here.wait_until_ready()
    with RawSocket(here) as texts, RawSocket(here) as pings:
        texts.shake(here, here.visit("ada"))
        pings.shake(here, here.visit("bob"))
        texts.send(events() * TEXTS)
        pings.send(client_frame(b"", PING) * PINGS)

        assert texts.end() == (4429, "flood")
        assert pings.end() == (1008, "too many control frames")
        assert len(pings.frames.pongs) >= PINGS_PER_S * BURST_S


def test_no_more_is_judged_than_may_be_without_a_verdict_and_then_all_of_it(
    build: Build,
) -> None:
    """So a step from verdict to verdict is no more than two frames.

    Planted: any number of bytes may be in flight; the default's, whatever is set.
    """
    here = build({"stream": {"in_flight_bytes": "64KiB"}})
    here.gateway.command = launcher(write_ms=WRITE_MS)
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    spins = [TABLE.spin(ada, 100) for _ in range(LARGES)]
    texts = [json.dumps({"op": "events", "events": [spin]}).encode() for spin in spins]
    settled = [0]
    with RawSocket(here) as raw:
        raw.shake(here, ada)
        raw.send(b"".join(client_frame(text.ljust(LARGE_BYTES)) for text in texts))
        while settled[-1] < LARGES:
            raw.hear(len(raw.frames.texts) + 1)
            settled = [0, *(int(str(told["settled"])) for told in raw.said[1:])]

    assert max(after - before for before, after in itertools.pairwise(settled)) <= 2
    assert [told["refused"] for told in raw.said[1:]] == [[]] * (len(settled) - 1)
    here.wait_until_forwarded(*spins)
