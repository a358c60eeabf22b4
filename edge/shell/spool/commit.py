"""One group commit: what many requests wait for together, and what each of them learns."""

import asyncio
import enum
from typing import TYPE_CHECKING, Final, TypeAlias

from edge.core.lane import Lane
from origin_client.give_way import HURRY

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.core.record import Record


class Synced(enum.Enum):
    """What one waiting event learns."""

    HELD = enum.auto()
    FAILED = enum.auto()
    FULL = enum.auto()
    OVERDUE = enum.auto()


Listener: TypeAlias = "Callable[[Commit, Synced], object]"
"""Is told of a commit, on the loop. It must not raise: others are told behind it."""


class Commit:
    """The records of one lane that one sync makes durable, or not; implements the core's.

    It fills on the loop, is written by the lane's writer, and is settled on the loop. Until then
    whoever works through a backlog gives way.

    Attributes:
        lane: Whose file is synced.
        records: In the order of acceptance.
        size_bytes: Of their frames.
        spare_bytes: Of the budget, taken for records still to come.
        overdue_at_s: When its waiters are told that it takes too long; the loop's clock.
        outcome: ``None`` until one is known; ``OVERDUE`` may still become another.
    """

    __slots__ = (
        "_listeners",
        "_waiters",
        "lane",
        "outcome",
        "overdue_at_s",
        "records",
        "size_bytes",
        "spare_bytes",
    )

    def __init__(self, lane: Lane, overdue_at_s: float) -> None:
        self.lane: Final = lane
        self.overdue_at_s: Final = overdue_at_s
        self.records: list[Record] = []
        self.size_bytes = 0
        self.spare_bytes = 0
        self.outcome: Synced | None = None
        self._waiters: list[asyncio.Future[Synced]] = []
        self._listeners: list[Listener] = []
        HURRY.begin()

    @property
    def count(self) -> int:
        """How many records it holds."""
        return len(self.records)

    def synced(self) -> asyncio.Future[Synced]:
        """Return a future of the first outcome from now on; any number of tasks may ask.

        Each has a future of its own, so a cancelled one takes nobody with it. Who waits for
        several commits asks all of them first: what one learns must not depend on how long it
        waited for another. On the loop only.
        """
        waiter: asyncio.Future[Synced] = asyncio.get_running_loop().create_future()
        if self.outcome is None:
            self._waiters.append(waiter)
        else:
            waiter.set_result(self.outcome)
        return waiter

    def tell(self, listener: Listener) -> None:
        """Call *listener* once, with the first outcome from now on; never before this returns.

        It costs no future and no turn of the loop, where a socket waits for thousands of
        commits one after the other. On the loop only.
        """
        if self.outcome is None:
            self._listeners.append(listener)
        else:
            asyncio.get_running_loop().call_soon(listener, self, self.outcome)

    def settle(self, outcome: Synced) -> None:
        """Wake everybody with *outcome*; who asks later learns it at once."""
        if self.outcome is None:
            HURRY.end()
        self.outcome = outcome
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener(self, outcome)
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(outcome)
