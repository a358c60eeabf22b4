"""Time that moves when told, and a loop that calls back when it is asked to."""

import heapq
import itertools
from collections import deque
from collections.abc import Callable

from edge.core.instant import NS_PER_S, Instant
from tests.fakes import NOW


class SimClock:
    """Both clocks. The steady one only goes on; the other may be set."""

    def __init__(self) -> None:
        self._unix_ns = NOW.unix_ns
        self._steady_ns = NOW.steady_ns

    def now(self) -> Instant:
        """Read both."""
        return Instant(self._unix_ns, self._steady_ns)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        step_ns = int(seconds * NS_PER_S)
        self._unix_ns += step_ns
        self._steady_ns += step_ns

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock forward or back."""
        self._unix_ns += int(seconds * NS_PER_S)


class SimLoop:
    """What a process's event loop would call, until somebody lets it."""

    def __init__(self, clock: SimClock) -> None:
        self._clock = clock
        self._soon: deque[Callable[[], object]] = deque()
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()

    def time(self) -> float:
        """The steady clock, s."""
        return self._clock.now().steady_ns / NS_PER_S

    def call_at(self, when: float, callback: Callable[[], object], /) -> object:
        """Call when it is time, and the loop is let."""
        heapq.heappush(self._timers, (when, next(self._order), callback))
        return None

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> object:
        """Call when the loop is let."""
        self._soon.append(callback)
        return None

    def turn(self) -> None:
        """Call what is due."""
        while self._timers and self._timers[0][0] <= self.time():
            self._soon.append(heapq.heappop(self._timers)[2])
        for _ in range(len(self._soon)):
            self._soon.popleft()()
