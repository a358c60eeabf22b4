"""Telemetry under pressure: one event in sixteen of each session goes on, the others are shed.

What is shed is told and counted, and leaves no trace: its id and its number stay free. The
player's client does not send it again; if it does, that is an event like any other.

Theory of operation
-------------------
Who judges a session's behaviour needs some of it, from each session, however long the pressure
lasts. So each session's events are counted, shed ones in a row, and the sixteenth is kept. Its
number could not choose it: numbers are shared by all lanes, and a client that sends telemetry
and spins in turn would never reach a multiple of sixteen. Its id could, by a hash, but only on
average.

Where a session begins to count is drawn from its name's keyed hash: else a thousand sessions
would all be kept, or all be shed, in the same second.

The counts live in two generations, as recall's session windows do: when the younger is full,
the older is forgotten.

Source: design.md §3a rule 12; catalogue.md, "Classes".
"""

from typing import Final, Protocol

from edge.core.lane import Lane
from edge.core.reject import Reason, Reject

KEPT_ONE_IN: Final = 16
"""Of a session's events. Source: catalogue.md, "Classes"."""

SESSIONS_MAX: Final = 1 << 17
"""Sessions counted, 100 B each: more than a node hears telemetry from in ten seconds. Beyond,
the counts of those longest silent begin anew."""

_TELEMETRY: Final = Lane.TELEMETRY


class Pressure(Protocol):
    """Whether this node has more to do, or to keep, than is good for it."""

    @property
    def is_high(self) -> bool:
        """Whether to shed now."""
        ...


class Shedder:
    """Chooses what is shed, and remembers how much of each session was.

    Args:
        pressure: Asked for each event that may be shed.
        sessions_max: Bound of counts, at least 2.
    """

    def __init__(self, pressure: Pressure, sessions_max: int = SESSIONS_MAX) -> None:
        self._pressure = pressure
        self._half = sessions_max // 2
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}

    def __len__(self) -> int:
        """Count the sessions that are counted."""
        return len(self._young) + len(self._old)

    def shed(self, lane: Lane, session: int) -> None:
        """Let an event pass, unless it is to be shed.

        Args:
            lane: The event's.
            session: Its session, hashed under the spool's secret.

        Raises:
            Reject: LANE_SHED.
        """
        if lane is _TELEMETRY and self._pressure.is_high and not self._keeps(session):
            raise Reject(Reason.LANE_SHED)

    def _keeps(self, session: int) -> bool:
        """Count one event; return whether it is its session's sixteenth."""
        in_a_row = self._young.get(session)
        if in_a_row is None:
            in_a_row = self._old.pop(session, session % KEPT_ONE_IN)
            if len(self._young) >= self._half:
                self._old, self._young = self._young, {}
        self._young[session] = in_a_row = (in_a_row + 1) % KEPT_ONE_IN
        return not in_a_row
