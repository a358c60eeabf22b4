"""An event loop whose time passes at once: what is to happen in a minute happens next."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from typing_extensions import override

from edge.core.instant import NS_PER_S
from tests.fakes import FakeClock

_T = TypeVar("_T")

FOREVER_S: Final = 10**6
"""A test that waits for longer waits for nothing."""


class SkippingSelector(selectors.DefaultSelector):
    """Lets the clock pass instead of waiting.

    Args:
        clock: Moved.
    """

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout != 0:
            assert timeout is not None, "nothing will ever happen again"
            assert timeout < FOREVER_S
            self._clock.advance(max(timeout, 1e-9))
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """Tells the time of *clock*."""

    def __init__(self, clock: FakeClock) -> None:
        self._skipped = clock
        super().__init__(SkippingSelector(clock))
        self._clock_resolution = 1e-9

    @override
    def time(self) -> float:
        return self._skipped.now().steady_ns / NS_PER_S


def play(clock: FakeClock, story: Coroutine[Any, Any, _T]) -> _T:
    """Run *story* to its end, in no time."""
    with asyncio.Runner(loop_factory=lambda: SkippingLoop(clock)) as runner:
        return runner.run(story)
