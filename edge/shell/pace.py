"""How fast what has waited goes to the origin while others send: all lanes of a process together.

In: how many records of a backlog went, and how many events have come in so far; out: how long
to rest before the next ones.

Theory of operation
-------------------
A backlog drained as fast as the origin takes it (40,000 records/s) shares interpreter, processor
and disk with those who wait for a verdict: at 2,000 events/s their p99 trebled. A drain has no
hurry that would be worth it, so it has a rate: a multiple of the rate at which events come in,
never below a least one. Each record of a backlog uses up its share of a second, and publishing
counts as part of it: who is ahead of that rests, who is late does not, and saves nothing up.
Nobody sends anything: nobody is disturbed, and there is no rest.

What comes in is measured between two calls that lie far enough apart, so the rate follows with
that delay. A lane without a backlog does not ask.

Source: ITU-T I.371, generic cell rate algorithm (virtual scheduling), without its tolerance.
"""

import math
import threading
from collections.abc import Callable
from typing import Final

from edge.core.instant import NS_PER_S
from edge.shell.clock import Clock

MULTIPLE: Final = 4
"""Of the events that come in; three are promised to whoever waits for the end of a backlog."""

RECORDS_PER_S_MIN: Final = 8_000
"""Half an hour at 2,000 events/s is gone in ten minutes."""

MEASURED_NS: Final = NS_PER_S // 2  # long against a batch, short against an outage
REST_MAX_S: Final = 1.0
"""A batch of 1,500 at the least rate rests 0.19 s, six lanes together 1.1."""


class Pace:
    """Keeps the lanes of one process, together, to a rate; any thread.

    Args:
        received: Tells how many events have come in so far.
        clock: The steady one counts.
    """

    def __init__(self, received: Callable[[], int], clock: Clock) -> None:
        self._received = received
        self._clock = clock
        self._lock = threading.Lock()  # over what follows
        self._measured_ns = clock.now().steady_ns
        self._measured = received()
        self._received_per_s = 0
        self._due_ns = 0

    def rest_s(self, records: int) -> float:
        """Return how long to rest after *records* of a backlog, s."""
        now_ns = self._clock.now().steady_ns
        with self._lock:
            self._measure(now_ns)
            if not self._received_per_s:
                return 0.0
            per_s = max(RECORDS_PER_S_MIN, MULTIPLE * self._received_per_s)
            self._due_ns = max(self._due_ns + records * NS_PER_S // per_s, now_ns)
            return min((self._due_ns - now_ns) / NS_PER_S, REST_MAX_S)

    def _measure(self, now_ns: int) -> None:
        span_ns = now_ns - self._measured_ns
        if span_ns < MEASURED_NS:
            return
        received = self._received()
        # Rounded up: who sends one event in a long while is not nobody.
        self._received_per_s = math.ceil((received - self._measured) * NS_PER_S / span_ns)
        self._measured_ns, self._measured = now_ns, received
