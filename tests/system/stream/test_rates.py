"""One socket that says all it can, beside one that plays: threats.md row 49, events for frames.

Planted: ``Timetable.rest_ns`` returns 0.
"""

import json
import threading
import time
from typing import Final

import pytest
from typing_extensions import override

from tests.fakes_frames import client_frame
from tests.system.conftest import Build
from tests.system.stream.raw_socket import RawSocket
from tests.system.stream.sockets import ask, codes, hear, say, welcomed
from tests.system.world import TABLE

pytestmark = pytest.mark.system

RATE: Final = 1_000
BURST_S: Final = 5  # of :mod:`edge.core.ops`, written again
EVENTS: Final = 200  # of one frame: as many as it may have
HEARD: Final = 9_000
PLAYED: Final = 60
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
