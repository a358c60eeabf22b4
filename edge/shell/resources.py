"""What the machine gives this process: its memory and its descriptors, looked at again and again.

In come the limits (a setting, and what the system allows); out comes whether more connections,
and more telemetry, would be too much. Loop thread.

Theory of operation
-------------------
Memory has two edges: at the watermark the node begins to save, and below 95 % of it all is
normal, so that it does not change its mind with every request. What makes it grow without end
is connections, each with a request half read, so new ones are what is refused.

What was freed is not given back to the system by itself: between two things that are still in
use, glibc keeps it, and a crowd that came once would be seen for ever (400 half requests: 52 MB
before, 180 with them, 172 after). So at the watermark it is told to give back what it can, before
anything is refused, and again and again while memory is high. That takes its time, so a thread
does it.

Descriptors are counted by connections, the only ones that come in numbers. What the house needs
for itself is set aside: a spool that cannot begin its next segment accepts nothing more, however
many connections it has.

Source: proc(5), ``/proc/pid/statm``; getrlimit(2); malloc_trim(3).
"""

import asyncio
import contextlib
import ctypes
import logging
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Final

log: Final = logging.getLogger("edge.resources")

LOOK_S: Final = 0.25
"""Between two looks, 30 µs each: a node that takes 20 MB/s from its senders, and lets them all
wait, is 5 MB beyond the watermark when it notices."""

NORMAL_AGAIN: Final = 0.95
"""Of the watermark: more than what comes and goes with one request after the other."""

LOOKS_PER_TRIM: Final = 8
"""At the watermark what is free is given back, never sooner than 2 s after the last time, however
memory swings about it: it takes up to 0.25 ms for each MB."""

DESCRIPTORS_RESERVED: Final = 256
"""For the house: an idle one has 23; under load each lane has a segment, its successor, a cursor, a
reader and its way to the origin open at once, 60 together; the admin port, key sources and
brokers take what people give them. A fourth of what systems allow at the least (1,024)."""

_STATM: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


def raise_descriptors() -> None:
    """Take as many descriptors as the system gives us for the asking.

    The lower, soft limit (often 1,024) is there for programs that use ``select``; no part of this
    one does.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # not ours to raise: then it stays
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def trim() -> None:
    """Give the system back what is free, where the C library can."""
    with contextlib.suppress(AttributeError):  # musl keeps nothing
        ctypes.CDLL(None).malloc_trim(0)


class Resources:
    """Memory and descriptors of this process, as of the last look.

    Args:
        memory_max: The watermark, bytes.
        statm: Where the system tells what we take.
        give_back: Called while memory is high, at first here and then in a thread.

    Attributes:
        memory_bytes: Resident.
        memory_max: The watermark, bytes.
        is_memory_high: It was reached, and memory has not been below 95 % of it since.
        connections_max: How many connections there are descriptors for.
    """

    def __init__(
        self, memory_max: int, statm: Path = _STATM, give_back: Callable[[], None] = trim
    ) -> None:
        self.memory_max: Final = memory_max
        self.memory_bytes = 0
        self.is_memory_high = False
        self.connections_max = 0
        self._statm: Final = statm
        self._give_back: Final = give_back
        self._looks_since_trim = LOOKS_PER_TRIM
        self._measure()
        if self._is_trim_due():
            self._looks_since_trim = 0
            self._give_back()
            self._measure()
        self._judge()

    def is_full(self, connections: int) -> bool:
        """Tell whether there is no room for one more connection than those."""
        return self.is_memory_high or self.has_no_descriptor(connections)

    def has_no_descriptor(self, connections: int) -> bool:
        """Tell whether descriptors are used up by so many connections."""
        return connections >= self.connections_max

    async def look(self) -> None:
        """Look once; a change for better or worse is logged."""
        self._looks_since_trim += 1
        self._measure()
        if self._is_trim_due():
            self._looks_since_trim = 0
            await asyncio.to_thread(self._give_back)
            self._measure()
        self._judge()

    def _is_trim_due(self) -> bool:
        return not self._is_within_bound() and self._looks_since_trim >= LOOKS_PER_TRIM

    def _is_within_bound(self) -> bool:
        bound = self.memory_max * (NORMAL_AGAIN if self.is_memory_high else 1)
        return self.memory_bytes < bound

    def _judge(self) -> None:
        is_high = not self._is_within_bound()
        if is_high != self.is_memory_high:
            self.is_memory_high = is_high
            said = {"bytes": self.memory_bytes, "memory_max": self.memory_max}
            if is_high:
                log.warning("memory above node.memory_max", extra=said)
            else:
                log.info("memory below node.memory_max again", extra=said)

    def _measure(self) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.connections_max = max(0, soft - DESCRIPTORS_RESERVED)
        with contextlib.suppress(OSError):  # no descriptor left: what was last seen is believed
            self.memory_bytes = int(self._statm.read_bytes().split()[1]) * _PAGE_BYTES
