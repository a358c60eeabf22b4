"""Pushes in, as the origin publishes them; out to sockets, once somebody wants them.

It owns the way between: a feed that reads them in a thread of its own
(:mod:`edge.shell.stream.feed`), a handover to the loop (:mod:`edge.shell.stream.handover`), and
their delivery there (:mod:`edge.shell.stream.delivery`).

Nothing is read before somebody wants it: who uses no pushes needs no topic for them. From then
on every node reads all of them, and forgets those for nobody here.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edge.core.push import Fault
from edge.shell.forward import Timing
from edge.shell.stream.delivery import Delivery, Sockets
from edge.shell.stream.feed import Feed
from edge.shell.stream.handover import Handover
from origin_client.open import Reader

STAND_S: Final = 1.0
"""How long the first who want pushes are kept waiting: a broker answers in half of that."""


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """What became of the pushes read so far.

    Attributes:
        received: Records by outcome: ``routed`` (to at least one socket), ``unwanted`` (nobody
            here listens), ``superseded`` (by a newer one, before it was routed), ``malformed``,
            ``too_large``.
        sent: Frames written to sockets.
        conflated: Frames that a newer one replaced, at sockets that were too slow.
        dropped: Frames there was no room for, or whose socket went, met a bug, or may not have
            them any more.
    """

    received: Mapping[str, int]
    sent: int
    conflated: int
    dropped: int


class Hub:
    """Gives out pushes. Loop thread, unless said otherwise.

    Args:
        reader: Of the origin, the hub's alone; ``None``: there are no pushes.
        sockets: The open ones.
        timing: Clocks, dice and waits.
    """

    def __init__(self, reader: Reader | None, sockets: Sockets, timing: Timing) -> None:
        self._handover: Final = Handover(self._wake)
        self._delivery: Final = Delivery(self._handover.take, sockets)
        self._feed: Final = None if reader is None else self._following(reader, timing)
        self._loop: asyncio.AbstractEventLoop | None = None  # this and the next, once wanted
        self._stands: asyncio.Event | None = None

    @property
    def are_wanted(self) -> bool:
        """Whether anybody ever wanted pushes; before, none are read."""
        return self._stands is not None

    async def want(self) -> None:
        """Return when what is published from now on is read; or soon, if it cannot be.

        Whoever is the first to want pushes has them read from then on. Cancelled, nothing of
        that is undone.
        """
        self.begin()
        if self._stands is not None:
            await self._stands.wait()

    def begin(self) -> None:
        """Have pushes read from now on; nothing if they are, or cannot be."""
        if self._feed is not None and self._stands is None:
            self._stands = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            self._loop.call_later(STAND_S, self._stands.set)
            self._feed.start()

    def close(self) -> None:
        """Read no more; blocking, any thread."""
        self._handover.close()
        if self._feed is not None:
            self._feed.close()

    def health(self) -> str | None:
        """Name the cause when no pushes are read now; ``None`` when they are. Any thread."""
        return None if self._feed is None else self._feed.health()

    def statistics(self) -> HubStatistics:
        """Return what has been done so far. Any thread."""
        given = self._delivery
        received = dict(given.routed)
        received["superseded"] = self._handover.superseded
        faults: Mapping[Fault, int] = {} if self._feed is None else self._feed.faults
        received |= {fault.value: faults.get(fault, 0) for fault in Fault}
        return HubStatistics(received, given.sent, given.conflated, given.dropped)

    def _following(self, reader: Reader, timing: Timing) -> Feed:
        return Feed(reader, self._handover.give, self._stand, timing)

    def _stand(self) -> None:
        """Let those in who wait for the feed; its thread."""
        assert self._loop is not None, "nothing is read before it is wanted"
        assert self._stands is not None, "as above"
        self._loop.call_soon_threadsafe(self._stands.set)

    def _wake(self) -> None:
        """Have the loop look at the handover; the feed's thread."""
        assert self._loop is not None, "nothing is read before it is wanted"
        self._loop.call_soon_threadsafe(self._delivery.begin)
