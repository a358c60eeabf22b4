"""When one socket's next thing is due: instants in, what is to be done now out.

What happens between two frames has its time on the steady clock; a token ends by the wall clock,
which may be set. So whoever asks comes back after :meth:`Timetable.wait_ns`, and at the latest
with the next ping, whatever the wall clock has done by then.
"""

import enum
from typing import Final

import msgspec

from edge.core.authenticate import LEEWAY_S
from edge.core.instant import NS_PER_S, Instant

EXPIRING_S: Final = 60
"""Before a token's end its holder is told. Source: design.md §4."""


class Due(enum.Enum):
    """What is to be done, the first that applies."""

    END_EXPIRED = enum.auto()
    END_SILENT = enum.auto()
    CUT = enum.auto()
    TELL_EXPIRY = enum.auto()
    PING = enum.auto()
    NOTHING = enum.auto()


class Times(msgspec.Struct, frozen=True, gc=False):
    """What the settings give each socket.

    Attributes:
        silent_ns: From ``welcome`` to the first frame.
        ping_ns: Between two pings.
        pong_ns: For a sign of life after a ping.
    """

    silent_ns: int
    ping_ns: int
    pong_ns: int


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
        "_expires_unix_s",
        "_is_expiry_told",
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
        self._pong_steady_ns: int | None = None  # none is due
        self._silent_steady_ns = now.steady_ns + times.silent_ns if is_to_speak else None

    def hear(self) -> None:
        """Note a frame: its sender is there, and not silent."""
        self._silent_steady_ns = self._pong_steady_ns = None

    def pong(self) -> None:
        """Note a pong, which is no frame."""
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
        return due

    def wait_ns(self, now: Instant) -> int:
        """Tell how long nothing is due."""
        steady = (self._ping_steady_ns, self._pong_steady_ns, self._silent_steady_ns)
        next_ns = min(due_ns for due_ns in steady if due_ns is not None)
        return max(0, min(next_ns - now.steady_ns, self._token_ns() - now.unix_ns))

    def _due(self, now: Instant) -> Due:
        if now.unix_ns >= (self._expires_unix_s + LEEWAY_S) * NS_PER_S:
            return Due.END_EXPIRED
        if _is_past(self._silent_steady_ns, now):
            return Due.END_SILENT
        if _is_past(self._pong_steady_ns, now):
            return Due.CUT
        if now.unix_ns >= self._token_ns():
            return Due.TELL_EXPIRY
        return Due.PING if now.steady_ns >= self._ping_steady_ns else Due.NOTHING

    def _token_ns(self) -> int:
        """When the token next calls for something, unix ns."""
        after_s = LEEWAY_S if self._is_expiry_told else -EXPIRING_S
        return (self._expires_unix_s + after_s) * NS_PER_S


def _is_past(due_steady_ns: int | None, now: Instant) -> bool:
    return due_steady_ns is not None and now.steady_ns >= due_steady_ns
