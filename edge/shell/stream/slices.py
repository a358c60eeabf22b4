"""A long job on the event loop in; slices of it out, so that nobody else waits for its end.

Theory of operation
-------------------
A job is a generator that yields what each of its steps cost. A slice is a turn's worth of
steps; behind each there is a rest, in which everything else that is ready has its turns. There
is a rest behind the last slice of a job as well: a job that is short and comes again and again
has no more of the loop than a long one.

Costs are estimates in ns of one core, and no time is read: which steps are one slice is the same
on each run. A slice is shorter than the shortest rest, by more than the largest step of whoever
uses this; so everything else has more than half of the loop, and about half on a core that is
twice as slow. Loop thread.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Final

from edge.core.instant import NS_PER_MS, NS_PER_S

log: Final = logging.getLogger("edge.stream")

SLICE_NS: Final = 800_000
"""What a slice may cost; its last step may cost more than is left."""

REST_NS_MIN: Final = NS_PER_MS
assert SLICE_NS < REST_NS_MIN, "else everything else has less than half of the loop"

REST_S: Final = 2 * REST_NS_MIN / NS_PER_S
"""uvloop counts whole milliseconds, and the one that has begun is one: a rest lasts between
``REST_NS_MIN`` and so long."""

RESTART_S: Final = 1.0  # a bug that fails at once must not spin


class Slices:
    """One job, done again whenever there is something to do.

    Args:
        job: Begins it: yields the cost of each step, ns, and ends when there is nothing left.
    """

    __slots__ = ("_is_resting", "_job", "_steps")

    def __init__(self, job: Callable[[], Iterator[int]]) -> None:
        self._job: Final = job
        self._steps: Iterator[int] | None = None  # of the job that is being done
        self._is_resting = False

    def begin(self) -> None:
        """Do it, from the next turn on or behind the rest; nothing if it is being done."""
        if self._steps is None:
            self._steps = self._job()
            if not self._is_resting:
                asyncio.get_running_loop().call_soon(self._slice)

    def _slice(self) -> None:
        rest_s = REST_S
        try:
            self._advance()
        except Exception:  # we supervise the job: a bug costs its step, and not what comes then
            log.exception("a step on the loop failed")
            self._steps = self._job()
            rest_s = RESTART_S
        self._is_resting = True
        asyncio.get_running_loop().call_later(rest_s, self._go_on)

    def _advance(self) -> None:
        assert self._steps is not None, "begin comes first"
        left_ns = SLICE_NS
        for cost_ns in self._steps:
            left_ns -= cost_ns
            if left_ns <= 0:
                return
        self._steps = None

    def _go_on(self) -> None:
        self._is_resting = False
        if self._steps is not None:
            self._slice()
