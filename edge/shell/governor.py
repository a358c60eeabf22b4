"""Whose turn it is on the public port: one line for all connections, and what it may hold.

In: connections that have something to begin; out: ``begin`` or ``refuse`` called on each, within
``WAIT_NS_MAX`` and a turn. Whoever comes while nobody waits begins at once, up to one turn's
share; the others stand in a :class:`edge.core.waiting_line.WaitingLine`, which is asked once in
each turn of the event loop. As a turn comes behind the work of the turn before, the line grows
when that work does, and only then: a request that waits for its sync is nobody's turn.

Loop thread only. While nobody waits a request costs 0.7 µs here and in the connection, and 1.2
if it comes alone, for nothing runs but one callback in a turn in which requests began.
A bug in one connection ends that connection, and keeps nobody else from a turn.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from edge.core.closing import OVERLOADED
from edge.core.instant import NS_PER_S
from edge.core.waiting_line import CALM_NS, LOOK_NS, WaitingLine
from edge.shell.clock import Clock
from edge.shell.meters import Meters

log: Final = logging.getLogger("edge.governor")

HELD_BYTES_MAX: Final = 16 << 20
"""Of requests that were read before their turn, all connections together: 400 of 40 KiB. Full:
the next is refused at once."""

HELD_FRAMES_BYTES_MAX: Final = 12 << 20
"""With so much held, no more of it may be of sockets: theirs may wait for a disk or for their own
client, for seconds, and a request that waits for a moment is not to be refused for that."""

LOOK_AGAIN_S: Final = CALM_NS / NS_PER_S
"""How often an overload is looked at: nobody else says that it is over when nobody comes."""

REFUSED_AS: Final = "http_503"
"""How requests are counted then in ``edge_requests_refused_total``: nobody has read who they are
or what they want, so it is HTTP that refuses them, and no code of the catalogue."""


class Connection(Protocol):
    """Has something to begin."""

    def begin(self) -> None:
        """It is its turn."""
        ...

    def refuse(self) -> None:
        """Its turn does not come."""
        ...

    def fail(self) -> None:
        """It is to end: one of those raised something."""
        ...


class Governor:
    """Lets connections begin in turn.

    Args:
        clock: Its steady one measures how long they wait.
        meters: Those that are refused are counted there.

    Attributes:
        held_bytes: Read and not begun, of all connections, sockets among them.
    """

    def __init__(self, clock: Clock, meters: Meters) -> None:
        self.held_bytes = 0
        self._clock: Final = clock
        self._meters: Final = meters
        self._line: Final = WaitingLine[Connection]()
        self._waiting: Final = self._line.waiting
        self._call_soon: Callable[..., object] | None = (
            None  # the loop's, from the first turn on
        )
        self._left = self._line.turn_share
        self._beside = 0
        self._is_turning = False
        self._timer: asyncio.TimerHandle | None = None
        self._overloaded_since_ns: int | None = None

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._waiting)

    @property
    def is_overloaded(self) -> bool:
        """Whether more is asked than can be done."""
        return self._line.is_overloaded

    def line_up(self, connection: Connection) -> bool:
        """Return whether *connection* may begin now; else it will be called."""
        if self._left > 0:  # as begin_beside: nearly every request comes by here
            self._left -= 1
            self._beside += 1
            if not self._is_turning:
                self._turn_soon()
            return True
        self._line.join(connection, self._now_ns())
        self._turn_soon()
        return False

    def begin_beside(self) -> None:
        """Count something that needs no turn, as the rest of what has begun, but takes one."""
        self._left -= 1
        self._beside += 1
        if not self._is_turning:
            self._turn_soon()

    def leave(self, connection: Connection) -> None:
        """Forget *connection*, if it stands in line."""
        self._line.leave(connection)

    def hold(self, size_bytes: int) -> bool:
        """Take room for what was read too early; return whether there is any."""
        return self._hold(size_bytes, HELD_BYTES_MAX)

    def hold_frames(self, size_bytes: int) -> bool:
        """Take room for what came on a socket that hears nothing just now, as :meth:`hold`."""
        return self._hold(size_bytes, HELD_FRAMES_BYTES_MAX)

    def release(self, size_bytes: int) -> None:
        """Give room back."""
        self.held_bytes -= size_bytes

    def count_refused(self, code: str = REFUSED_AS) -> None:
        """Count one who was refused unread: a request, or a socket by the reason of its end."""
        self._meters.requests_refused[code] += 1

    def _hold(self, size_bytes: int, bytes_max: int) -> bool:
        has_room = self.held_bytes + size_bytes <= bytes_max
        if has_room:
            self.held_bytes += size_bytes
        return has_room

    def _turn_soon(self) -> None:
        if not self._is_turning:
            self._is_turning = True
            if self._call_soon is None:
                self._call_soon = asyncio.get_running_loop().call_soon
            self._call_soon(self._turn)

    def _turn_later(self) -> None:
        """Look after those who are late, when nobody comes in between."""
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_NS / NS_PER_S, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._turn_soon()

    def _turn(self) -> None:
        beside, self._beside = self._beside, 0
        self._is_turning = False
        if not self._waiting:
            self._left = self._line.turn_share
            if beside > 1:  # behind what began; a single one tells nothing about load
                asyncio.get_running_loop().call_soon(self._learn, self._now_ns(), beside)
            return
        turn = self._line.take_turn(self._now_ns(), beside)
        self._left = 0 if self._waiting else self._line.turn_share - len(turn.served)
        if self._line.is_overloaded and self._overloaded_since_ns is None:
            self._begin_overload()
        for connection in turn.refused:
            _call(connection, connection.refuse)
        for connection in turn.served:
            _call(connection, connection.begin)
        if turn.is_full:  # behind what has just begun, so that it shows what that took
            self._turn_soon()
        elif self._waiting:
            self._turn_later()

    def _learn(self, since_ns: int, begun: int) -> None:
        self._line.learn(self._now_ns() - since_ns, begun)

    def _begin_overload(self) -> None:
        self._overloaded_since_ns = self._now_ns()
        log.warning("overloaded: what waits too long is refused", extra=self._told())
        self._look_later()

    def _look_later(self) -> None:
        asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self._look)

    def _look(self) -> None:
        assert self._overloaded_since_ns is not None
        now_ns = self._now_ns()
        if self._line.look(now_ns):
            self._look_later()
            return
        lasted_s = (now_ns - self._overloaded_since_ns) / NS_PER_S
        self._overloaded_since_ns = None
        log.warning(
            "no more overloaded", extra={"lasted_s": round(lasted_s, 1), **self._told()}
        )

    def _told(self) -> dict[str, int]:
        refused = self._meters.requests_refused
        return {
            "waiting": len(self._waiting),
            "refused_so_far": refused[REFUSED_AS] + refused[OVERLOADED.reason],
        }

    def _now_ns(self) -> int:
        return self._clock.now().steady_ns


def _call(connection: Connection, call: Callable[[], None]) -> None:
    try:
        call()
    except Exception:  # the turn is everybody's: a bug must not end it
        log.exception("a connection failed in its turn, and is closed")
        connection.fail()
