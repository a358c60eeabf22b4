"""The life of the process, from its first socket to its last record."""

import asyncio
import logging
import signal
import socket
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import orjson
from starlette.types import ASGIApp

from edge.config import Node
from edge.core.instant import NS_PER_S
from edge.core.lane import Lane
from edge.core.recall import Recall
from edge.shell.clock import Clock
from edge.shell.courier import FLUSH_S
from edge.shell.doorkeeper import Doorkeeper
from edge.shell.forward import STOP_S
from edge.shell.governor import Governor
from edge.shell.life import Life
from edge.shell.listen import Server, address
from edge.shell.meters import Histogram
from edge.shell.resources import LOOK_S, Resources
from edge.shell.spool.commit import Commit
from edge.shell.spool.process import Spool
from origin_client.origin import Origin

log: Final = logging.getLogger("edge.server")

LAG_INTERVAL_S: Final = 0.1
"""How often the loop's lag is measured: ten samples a second cost nothing and miss no stall
that a client would notice."""

RESTART_S: Final = 1.0
"""Before background work that failed begins again: a bug that fails at once must not spin."""

RETENTION_INTERVAL_S: Final = 1.0
"""How often recall learns what retention deleted: the reach is told in seconds."""

LETTERS_INTERVAL_S: Final = 2.0
"""How often dead letters are measured, since a redrive takes some out: people look no faster."""


ADMIN_CONNECTIONS_MAX: Final = 64
"""A scraper or two, probes, and people who look: each asks and goes. They count to what is set
aside for the house (:mod:`edge.shell.resources`)."""


class Carrier(Protocol):
    """Carries records to the origin, in a thread of its own."""

    def start(self) -> None:
        """Begin."""
        ...

    def begin_drain(self) -> None:
        """Have it end once nothing waits; never waits itself."""
        ...

    def join(self, deadline_steady_ns: int) -> bool:
        """Wait until it has ended, or the steady clock shows that; return whether it has."""
        ...

    def abandon(self) -> None:
        """Have it end now, whatever waits; never waits."""
        ...


class DeadLetters(Protocol):
    """What a lane's origin will never take."""

    def measure(self) -> None:
        """Look at what is there now; blocking."""
        ...


class Keyring(Protocol):
    """Keeps the issuers' keys fresh."""

    async def start(self) -> None:
        """Try every source once."""
        ...

    async def run(self) -> None:
        """Refresh for ever."""
        ...

    def reload(self) -> None:
        """Read every source again now."""
        ...


class Pushes(Protocol):
    """Events for players."""

    def close(self) -> None:
        """Read no more; blocking."""
        ...


class Directives(Protocol):
    """Follows what the origin directs."""

    async def start(self) -> None:
        """Know what is known already."""
        ...

    async def run(self) -> None:
        """Follow for ever."""
        ...


@dataclass(frozen=True, slots=True)
class Gateway:
    """One process, wired and not yet running.

    Attributes:
        node: How it leaves.
        front: The public application.
        admin: The operators' application.
        spool: Open, recovered, its writers not started.
        recall: Rebuilt from the spool.
        forwarders: One per lane, not started.
        couriers: What they carry may be lost; not started.
        dead_letters: Measured, by others changed.
        origin: Where they forward to.
        keyring: Nothing fetched yet.
        directives: Nothing read yet.
        pushes: Read when the first socket wants them.
        life: Told when the process leaves.
        doorkeeper: Of the public port.
        governor: Of the public port.
        resources: Looked at as long as it lives.
        loop_lag: Where the loop's lag is counted.
        clock: Both clocks.
    """

    node: Node
    front: ASGIApp
    admin: ASGIApp
    spool: Spool
    recall: Recall
    forwarders: Sequence[Carrier]
    couriers: Sequence[Carrier]
    dead_letters: Sequence[DeadLetters]
    origin: Origin
    keyring: Keyring
    directives: Directives
    pushes: Pushes
    life: Life
    doorkeeper: Doorkeeper
    governor: Governor
    resources: Resources
    loop_lag: Histogram
    clock: Clock

    async def live(self, public: socket.socket, private: socket.socket) -> None:
        """Serve until SIGTERM or SIGINT, then leave in order.

        On return nothing accepted is lost: it is forwarded, or safe in the spool.

        Args:
            public: Listening, for game clients and services.
            private: Listening, for operators.
        """
        leave = self._watch_signals()
        self.spool.start(asyncio.get_running_loop(), self._settle)
        for carrier in (*self.forwarders, *self.couriers):
            carrier.start()
        front = Server(self.front, self.doorkeeper, self.governor, grace_s=self.node.drain_s)
        admin = Server(self.admin, Doorkeeper(_is_admin_full, Counter()), grace_s=1)
        await self.directives.start()
        await self.keyring.start()
        async with asyncio.TaskGroup() as tasks:
            background = [
                tasks.create_task(supervise(work))
                for work in (
                    self.keyring.run,
                    self.directives.run,
                    self._measure_lag,
                    self._follow_resources,
                    self._follow_retention,
                    self._follow_letters,
                )
            ]
            served = tasks.create_task(front.serve([public]))
            administered = tasks.create_task(admin.serve([private]))
            announce(public, private)
            told = tasks.create_task(leave.wait())
            await asyncio.wait((told, served), return_when=asyncio.FIRST_COMPLETED)
            await self._leave(front, served)
            for task in (told, *background):
                task.cancel()
            admin.should_exit = True
            await administered

    async def _leave(self, front: Server, served: Awaitable[None]) -> None:
        log.info("leaving")
        self.life.leave()
        await asyncio.sleep(self.node.settle_s)
        deadline_ns = self.clock.now().steady_ns + self.node.drain_s * NS_PER_S
        self.life.drain()
        front.should_exit = True
        await served
        await asyncio.to_thread(self.pushes.close)
        await asyncio.to_thread(self.spool.flush)
        await asyncio.to_thread(finish, self.forwarders, self.couriers, deadline_ns, self.clock)
        await asyncio.to_thread(self.origin.close)
        waiting = sum(
            lane.holdings.records_waiting for lane in self.spool.statistics().values()
        )
        await asyncio.to_thread(self.spool.close)
        log.info("left", extra={"records_waiting": waiting})

    def _settle(self, commit: Commit, held: bool) -> None:  # noqa: FBT001  # the spool's callback
        self.recall.settle(commit, held=held)

    def _watch_signals(self) -> asyncio.Event:
        loop, leave = asyncio.get_running_loop(), asyncio.Event()
        actions: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGTERM: leave.set,
            signal.SIGINT: leave.set,
            signal.SIGHUP: self.keyring.reload,
        }
        for number, action in actions.items():
            loop.add_signal_handler(number, action)
        return leave

    async def _measure_lag(self) -> None:
        while True:
            before_ns = self.clock.now().steady_ns
            await asyncio.sleep(LAG_INTERVAL_S)
            late_ns = self.clock.now().steady_ns - before_ns - round(LAG_INTERVAL_S * NS_PER_S)
            self.loop_lag.observe(max(0, late_ns))

    async def _follow_resources(self) -> None:
        while True:
            await self.resources.look()
            await asyncio.sleep(LOOK_S)

    async def _follow_retention(self) -> None:
        while True:
            for lane in Lane:
                forgotten_ms = self.spool.lane(lane).forgotten_ms()
                if forgotten_ms is not None:
                    self.recall.retain_from(lane, forgotten_ms)
            await asyncio.sleep(RETENTION_INTERVAL_S)

    async def _follow_letters(self) -> None:
        while True:
            await asyncio.sleep(LETTERS_INTERVAL_S)
            for letters in self.dead_letters:
                await asyncio.to_thread(letters.measure)


def _is_admin_full(connections: int) -> bool:
    return connections >= ADMIN_CONNECTIONS_MAX


def finish(
    forwarders: Sequence[Carrier],
    couriers: Sequence[Carrier],
    deadline_steady_ns: int,
    clock: Clock,
) -> None:
    """Let forwarders carry what they have; then couriers, if the origin is open; blocking."""
    is_open = drain(forwarders, deadline_steady_ns)
    flush_s = FLUSH_S if is_open else 0
    drain(couriers, clock.now().steady_ns + round(flush_s * NS_PER_S))


def drain(carriers: Sequence[Carrier], deadline_steady_ns: int) -> bool:
    """Let each carry what it has, all at once and to one deadline; blocking.

    What is not forwarded by then is safe on disk. An origin that does not return holds us for
    ``STOP_S`` longer, for all of them together.

    Returns:
        Whether all was carried; else the origin is closed.
    """
    for carrier in carriers:
        carrier.begin_drain()
    have_ended = [carrier.join(deadline_steady_ns) for carrier in carriers]
    if not all(have_ended):
        for carrier in carriers:
            carrier.abandon()
        for carrier in carriers:
            carrier.join(deadline_steady_ns + round(STOP_S * NS_PER_S))
    return all(have_ended)


async def supervise(work: Callable[[], Awaitable[None]]) -> None:
    """Run endless *work* for ever: a bug in it is logged, and it begins again after a pause.

    Cancelled, it ends with its work.
    """
    while True:
        try:
            await work()
        except Exception:
            log.exception("background work failed", extra={"work": work.__qualname__})
        await asyncio.sleep(RESTART_S)


def announce(public: socket.socket, private: socket.socket) -> None:
    """Tell on standard output where we listen: one line, once, for whoever started us."""
    line = {"event": "listening", "public": address(public), "admin": address(private)}
    sys.stdout.buffer.write(orjson.dumps(line) + b"\n")
    sys.stdout.buffer.flush()
