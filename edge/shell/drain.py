"""A spool that nobody owns, emptied into the origin: ``edge spool drain``.

In comes what a gateway would run, opened and not started: the same recovery, forwarders, order
and dead letters; only nobody accepts anything. Nothing is lost however it ends: what has not
been forwarded waits for the next drain, or the next gateway.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from edge.core.instant import NS_PER_S
from edge.core.lane import Lane
from edge.shell.clock import Clock
from edge.shell.forward import Statistics
from edge.shell.server import Carrier, finish
from edge.shell.spool.bulkhead import LaneStatistics

log: Final = logging.getLogger("edge.drain")

LOOK_S: Final = 0.1  # how late it notices that all is done, or that it should stop
PROGRESS_S: Final = 5  # people who wait look about so often


@dataclass(frozen=True, slots=True)
class Drained:
    """What a drain did, and what it leaves.

    Attributes:
        forwarded: Records that the origin has taken, of all lanes.
        left: Records that wait still, by lane; no lane without any.
        dead: Lanes that have dead letters, from now or from before.
    """

    forwarded: int
    left: Mapping[Lane, int]
    dead: Sequence[Lane]


class Forwarder(Carrier, Protocol):
    """Carries one lane, and says how far it came, and what keeps it from more."""

    def health(self) -> str | None:
        """Name the cause when it is not forwarding."""
        ...

    def statistics(self) -> Statistics:
        """Tell what it has done."""
        ...


class Spool(Protocol):
    """Every lane's files; nobody appends."""

    def statistics(self) -> Mapping[Lane, LaneStatistics]:
        """Tell every figure, by lane."""
        ...


class DeadLetters(Protocol):
    """One lane's dead letters."""

    def bytes_used(self) -> int:
        """Return what they take up on disk."""
        ...


class Drain:
    """Empties one spool.

    Args:
        spool: Open, recovered.
        forwarders: By lane, not started.
        dead_letters: By lane.
        couriers: What they carry may be lost; not started.
        clock: Both clocks.
    """

    def __init__(
        self,
        spool: Spool,
        forwarders: Mapping[Lane, Forwarder],
        dead_letters: Mapping[Lane, DeadLetters],
        couriers: Sequence[Carrier],
        clock: Clock,
    ) -> None:
        self._spool = spool
        self._forwarders = forwarders
        self._dead_letters = dead_letters
        self._couriers = couriers
        self._clock = clock

    def run(self, stop: threading.Event, timeout_s: float | None) -> Drained:
        """Forward until nothing waits, or until told to stop; then nothing runs any more.

        Args:
            stop: Set from outside: end now.
            timeout_s: End after so long; ``None``: when all is done.
        """
        forwarders = list(self._forwarders.values())
        try:
            for carrier in (*forwarders, *self._couriers):
                carrier.start()
            for forwarder in forwarders:
                forwarder.begin_drain()
            self._watch(stop, timeout_s)
        finally:
            finish(forwarders, self._couriers, self._steady_ns(), self._clock)
        buried = [lane for lane, letters in self._dead_letters.items() if letters.bytes_used()]
        forwarded = sum(each.statistics().forwarded for each in forwarders)
        return Drained(forwarded, self._left(), buried)

    def _watch(self, stop: threading.Event, timeout_s: float | None) -> None:
        """Return when every forwarder has ended, or nobody wants to wait any longer."""
        began_ns = told_ns = self._steady_ns()
        while not all(each.join(self._steady_ns()) for each in self._forwarders.values()):
            now_ns = self._steady_ns()
            if timeout_s is not None and now_ns - began_ns >= timeout_s * NS_PER_S:
                return
            if now_ns - told_ns >= PROGRESS_S * NS_PER_S:
                told_ns = now_ns
                self._tell()
            if stop.wait(LOOK_S):
                return

    def _tell(self) -> None:
        for lane, records in self._left().items():
            cause = self._forwarders[lane].health() or "none"
            log.info("draining", extra={"lane": lane.value, "left": records, "cause": cause})

    def _left(self) -> dict[Lane, int]:
        waiting = {
            lane: figures.holdings.records_waiting
            for lane, figures in self._spool.statistics().items()
        }
        return {lane: records for lane, records in waiting.items() if records}

    def _steady_ns(self) -> int:
        return self._clock.now().steady_ns
