"""What the sockets of one process share; and what each needs of its connection."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from edge.config import Stream
from edge.core.admit import House
from edge.core.instant import NS_PER_MS, NS_PER_S, Instant
from edge.core.ops import BATCH_EVENTS_MAX, FRAME_BYTES_MAX, Limits, WelcomeOp, encode
from edge.core.principal import Principal
from edge.core.timetable import Times
from edge.shell.clock import Clock
from edge.shell.http import Refetcher, Refusals
from edge.shell.meters import Meters

if TYPE_CHECKING:
    from edge.shell.stream.registry import Registry
    from edge.shell.stream.talk import Talk

RECONNECTS_PER_S: Final = 500
"""Handshakes that the other nodes take beside their work, 0.3 ms each with a new token: clients of
a node that leaves come back over as much time as that needs."""

SPREAD_MS_MIN: Final = 1000
"""Even a few clients do not come back in one instant."""

_MS_PER_S: Final = 1000


class Wire(Protocol):
    """One socket's connection: what a talk asks of it."""

    @property
    def write_buffer_bytes(self) -> int:
        """Written, and not yet taken by the system."""
        ...

    @property
    def is_halted(self) -> bool:
        """Whether we do not read, so that the client's silence says nothing."""
        ...

    @property
    def has_stirred(self) -> bool:
        """Whether anything came since the last ping, or may have, be it a part of a frame."""
        ...

    def send(self, payload: bytes) -> bool:
        """Send one text frame; return whether it may still be sent."""
        ...

    def send_wire(self, frame: bytes) -> bool:
        """Send a frame that is serialised already; return whether it may still be sent."""
        ...

    def ping(self) -> None:
        """Send an empty ping."""
        ...

    def pause(self) -> None:
        """Read nothing more for now."""
        ...

    def resume(self) -> None:
        """Read on."""
        ...

    def stop_hearing(self) -> None:
        """Hand over no more frames."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Close behind what is written, in bounded time."""
        ...

    def abort(self) -> None:
        """Cut the connection."""
        ...


class Pushes(Protocol):
    """Where pushes come from."""

    async def want(self) -> None:
        """Return when what is published from now on is read; or soon, if it cannot be."""
        ...

    def begin(self) -> None:
        """Have what is published read from now on, as far as it can be."""
        ...


@dataclass(frozen=True, slots=True)
class Host:
    """Shared by all sockets.

    Attributes:
        house: What the stages know.
        keys: Asked once when a token names a key we do not have.
        clock: Both clocks.
        meters: Counts outcomes.
        refusals: Told of each, event or frame.
        registry: The open sockets.
        pushes: Told when somebody wants some.
        lanes: Says how each lane is: a :class:`edge.core.lane.LaneState`.
        rng: Spreads pings, and those who are to come back.
        times: The settings' times.
        limits: The settings' bounds, as ``welcome`` tells them.
        fetches: Of keys, under way; at most one for each socket.
    """

    house: House
    keys: Refetcher
    clock: Clock
    meters: Meters
    refusals: Refusals
    registry: "Registry[Talk]"
    pushes: Pushes
    lanes: Callable[[], Mapping[str, str]]
    rng: random.Random
    times: Times
    limits: Limits
    fetches: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def reconnect_after_ms(self) -> int:
        """Draw when one of those that are here now should come back."""
        spread_ms = len(self.registry) * _MS_PER_S // RECONNECTS_PER_S
        return self.rng.randrange(max(SPREAD_MS_MIN, spread_ms))


def times_of(settings: Stream) -> Times:
    """Return the settings' times as the core counts them."""
    return Times(
        silent_ns=settings.silent_s * NS_PER_S,
        ping_ns=settings.ping_s * NS_PER_S,
        pong_ns=settings.pong_s * NS_PER_S,
        event_ns=NS_PER_S // settings.events_per_s,
    )


def limits_of(settings: Stream) -> Limits:
    """Return the settings' bounds as a client is told them."""
    return Limits(
        frame_bytes=FRAME_BYTES_MAX,
        events=BATCH_EVENTS_MAX,
        frames_per_s=settings.frames_per_s,
        events_per_s=settings.events_per_s,
        in_flight_bytes=settings.in_flight_bytes,
    )


def welcome(host: Host, principal: Principal, session_key: int, now: Instant) -> bytes:
    """Write the first frame of a socket.

    Args:
        host: Whose guest it is.
        principal: Who speaks there.
        session_key: The name under which recall knows the session.
        now: When it begins.
    """
    headway = host.house.recall.headway
    return encode(
        WelcomeOp(
            session=principal.session,
            known=headway.is_known(session_key),
            next_seq=headway.next_seq(session_key),
            server_time_ms=now.unix_ns // NS_PER_MS,
            expires_at_ms=principal.expires_unix_s * _MS_PER_S,
            limits=host.limits,
            lanes=host.lanes(),
        )
    )
