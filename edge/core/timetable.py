"""When one socket's next thing is due: instants in, what is to be done now out.

What happens between two frames has its time on the steady clock; a token ends by the wall clock,
which may be set. So whoever asks comes back after :meth:`Timetable.wait_ns`, and at the latest
with the next look at the token, whatever the wall clock has done by then.

Events have a budget, kept as the instant at which all of them so far would have come at the rate
that is allowed. It lets a burst through; a socket that is further ahead *rests*: nothing is read
of it until it is not, which takes no longer than the burst, for one frame is within that. So no
event is refused for it, and whoever sends at that rate, however unevenly, never rests.

Source: ITU-T I.371, annex A (GCRA).
"""

import enum
from typing import Final

import msgspec

from edge.core.authenticate import ends_unix_ns
from edge.core.instant import NS_PER_S, Instant
from edge.core.ops import BURST_S

EXPIRING_S: Final = 60
"""Before a token's end its holder is told. Source: design.md §4."""

TOKEN_LOOK_S: Final = 20
"""From look to look at the token, however rare pings are: with the 30 s from fetch to fetch of
keys less than the 60 s in which a dropped key ends what it signed. Source: design.md §8."""

_TOKEN_LOOK_NS: Final = TOKEN_LOOK_S * NS_PER_S
_BURST_NS: Final = BURST_S * NS_PER_S


class Due(enum.Enum):
    """What is to be done, the first that applies; with a ping, the token is looked at as well."""

    END_EXPIRED = enum.auto()
    END_SILENT = enum.auto()
    CUT = enum.auto()
    TELL_EXPIRY = enum.auto()
    PING = enum.auto()
    LOOK = enum.auto()
    NOTHING = enum.auto()


_LOOKS: Final = frozenset({Due.PING, Due.LOOK})


class Times(msgspec.Struct, frozen=True, gc=False):
    """What the settings give each socket.

    Attributes:
        silent_ns: From ``welcome`` to the first frame.
        ping_ns: Between two pings.
        pong_ns: For a sign of life after a ping.
        event_ns: From event to event, at the rate that is allowed.
    """

    silent_ns: int
    ping_ns: int
    pong_ns: int
    event_ns: int


class Timetable:
    """What is due on one socket, and when.

    Args:
        times: From the settings.
        expires_unix_s: The token's ``exp``.
        now: When ``welcome`` was said.
        first_ping_ns: From then to the first ping.
        is_to_speak: Whether it must send a frame.
    """

    __slots__ = (
        "_events_steady_ns",
        "_expires_unix_s",
        "_is_expiry_told",
        "_look_steady_ns",
        "_ping_steady_ns",
        "_pong_steady_ns",
        "_silent_steady_ns",
        "_times",
    )

    def __init__(
        self,
        times: Times,
        expires_unix_s: int,
        now: Instant,
        *,
        first_ping_ns: int,
        is_to_speak: bool,
    ) -> None:
        self._times: Final = times
        self._expires_unix_s = expires_unix_s
        self._is_expiry_told = False
        self._ping_steady_ns = now.steady_ns + first_ping_ns
        self._look_steady_ns = now.steady_ns + min(first_ping_ns, _TOKEN_LOOK_NS)
        self._pong_steady_ns: int | None = None  # none is due
        self._silent_steady_ns = now.steady_ns + times.silent_ns if is_to_speak else None
        self._events_steady_ns = 0  # when all of them would have come

    def hear(self) -> None:
        """Note a frame: its sender is there, and not silent."""
        self._silent_steady_ns = self._pong_steady_ns = None

    def spend(self, events: int, now: Instant) -> None:
        """Note so many events that were judged, whatever their verdicts."""
        begin_ns = self._events_steady_ns
        if begin_ns < now.steady_ns:  # noqa: PLR1730  # a call of max costs more
            begin_ns = now.steady_ns
        self._events_steady_ns = begin_ns + events * self._times.event_ns

    def rest_ns(self, now: Instant) -> int:
        """Tell for how long nothing is to be read; 0: it may be."""
        rest_ns = self._events_steady_ns - _BURST_NS - now.steady_ns
        if rest_ns < 0:  # noqa: PLR1730  # as in spend
            rest_ns = 0
        return rest_ns

    def excuse(self) -> None:
        """Cut nobody for the last ping: something came, or we did not read and cannot know."""
        self._pong_steady_ns = None

    def renew(self, expires_unix_s: int) -> None:
        """Go by a newer token."""
        self._expires_unix_s = expires_unix_s
        self._is_expiry_told = False

    def take(self, now: Instant) -> Due:
        """Return what is to be done now; it is not due again."""
        due = self._due(now)
        if due is Due.TELL_EXPIRY:
            self._is_expiry_told = True
        elif due is Due.PING:
            self._ping_steady_ns = now.steady_ns + self._times.ping_ns
            self._pong_steady_ns = now.steady_ns + self._times.pong_ns
        if due in _LOOKS:
            self._look_steady_ns = now.steady_ns + _TOKEN_LOOK_NS
        return due

    def wait_ns(self, now: Instant) -> int:
        """Tell how long nothing is due, and the socket's rest is not over."""
        next_ns = min(self._ping_steady_ns, self._look_steady_ns)
        for due_ns in (self._pong_steady_ns, self._silent_steady_ns):
            if due_ns is not None:
                next_ns = min(next_ns, due_ns)
        wait_ns = max(0, min(next_ns - now.steady_ns, self._token_ns() - now.unix_ns))
        return min(wait_ns, self.rest_ns(now) or wait_ns)

    def _due(self, now: Instant) -> Due:
        if now.unix_ns >= ends_unix_ns(self._expires_unix_s):
            return Due.END_EXPIRED
        if _is_past(self._silent_steady_ns, now):
            return Due.END_SILENT
        if _is_past(self._pong_steady_ns, now):
            return Due.CUT
        if now.unix_ns >= self._token_ns():
            return Due.TELL_EXPIRY
        if now.steady_ns >= self._ping_steady_ns:
            return Due.PING
        return Due.LOOK if now.steady_ns >= self._look_steady_ns else Due.NOTHING

    def _token_ns(self) -> int:
        """When the token next calls for something, unix ns."""
        if self._is_expiry_told:
            return ends_unix_ns(self._expires_unix_s)
        return (self._expires_unix_s - EXPIRING_S) * NS_PER_S


def _is_past(due_steady_ns: int | None, now: Instant) -> bool:
    return due_steady_ns is not None and now.steady_ns >= due_steady_ns
