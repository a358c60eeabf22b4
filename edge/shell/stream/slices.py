"""A long job on the event loop, done in slices, so that nobody else waits for its end.

In goes a generator that yields what each of its steps cost; after a slice's worth there is a
rest, in which everything else that is ready has its turn. Loop thread.

With thousands of sockets a push is thousands of writes. uvloop collects what is written and
hands it to the kernel when the turn ends, so a slice is measured by what it writes and not by
the clock: a send costs 5 µs there and here together, a slice 0.6 ms.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Final

log: Final = logging.getLogger("edge.stream")

STEP: Final = 1  # to look at one socket: 0.1 µs, but nobody should do that a million times
SEND: Final = 8  # to write to one
SLICE: Final = 1024
"""What a slice may cost: 128 sends."""

REST_S: Final = 0.001
"""Longer than a slice, so that what else there is to do has more than half of the time. Two
thousand sockets have a push within 30 ms."""

RESTART_S: Final = 1.0  # a bug that fails at once must not spin


class Slices:
    """One job, done again whenever there is something to do.

    Args:
        job: Begins it: yields the cost of each step, and ends when there is nothing left.
    """

    __slots__ = ("_is_busy", "_job", "_steps")

    def __init__(self, job: Callable[[], Iterator[int]]) -> None:
        self._job: Final = job
        self._steps: Iterator[int] = iter(())
        self._is_busy = False

    def begin(self) -> None:
        """Do it, from the next turn of the loop on; nothing if it is being done."""
        if not self._is_busy:
            self._is_busy = True
            self._steps = self._job()
            asyncio.get_running_loop().call_soon(self._slice)

    def _slice(self) -> None:
        left = SLICE
        try:
            for cost in self._steps:
                left -= cost
                if left <= 0:
                    asyncio.get_running_loop().call_later(REST_S, self._slice)
                    return
        except Exception:  # a bug costs the step it is in, and not what comes then
            log.exception("a step on the loop failed")
            self._steps = self._job()
            asyncio.get_running_loop().call_later(RESTART_S, self._slice)
            return
        self._is_busy = False
