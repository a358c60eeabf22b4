"""How many bytes may wait for the origin: asked for by each commit, given back when forwarded.

Only what waits counts. Acknowledged records that are kept for recall take the room that is
left over, and give it up first (:mod:`edge.shell.spool.room`).
"""

import threading
from typing import Final

from edge.config import SpoolSettings
from edge.core.instant import NS_PER_S
from edge.core.lane import Lane
from edge.core.reject import Reason, Reject

FULL_RETRY_AFTER_NS: Final = 5 * NS_PER_S
"""A full lane, or disk, takes events again within 5 s of room; sooner, a retry is wasted."""


_TIGHT: Final = 0.8
"""From here on telemetry is shed, so that the last fifth is there for what is never shed: with
a sixteenth of the telemetry it lasts several times as long. Source: design.md §8."""


class Budget:
    """The bytes waiting in all lanes of one process. Any thread."""

    def __init__(self, settings: SpoolSettings) -> None:
        open_max = settings.bytes_max - settings.reserve_bytes
        self._total_max: Final = {
            lane: settings.bytes_max if lane.holds_money else open_max for lane in Lane
        }
        self._lane_max: Final = int(settings.bytes_max * settings.lane_share_max)
        self._tight_total: Final = int(open_max * _TIGHT)
        self._tight_lane: Final = int(min(self._lane_max, open_max) * _TIGHT)
        self._waiting: Final = dict.fromkeys(Lane, 0)
        self._total = 0
        self._lock: Final = threading.Lock()

    def is_tight(self, lane: Lane) -> bool:
        """Tell whether *lane*, or all together, have taken most of what it may use.

        Without the lock: two numbers, one of which may be a moment old.
        """
        return self._total >= self._tight_total or self._waiting[lane] >= self._tight_lane

    def room_bytes(self, lane: Lane) -> int:
        """Return how many more may wait in *lane*; none where a start found more than that."""
        with self._lock:
            return max(self._room_bytes(lane), 0)

    def take(self, lane: Lane, least_bytes: int, most_bytes: int = 0) -> int:
        """Count bytes that are going to wait; return how many.

        Args:
            lane: Where.
            least_bytes: So many at least.
            most_bytes: That many if there is room.

        Raises:
            Reject: LANE_FULL; nothing is counted.
        """
        with self._lock:
            room = self._room_bytes(lane)
            if room < least_bytes:
                raise Reject(Reason.LANE_FULL, "budget", retry_after_ns=FULL_RETRY_AFTER_NS)
            taken = max(least_bytes, min(most_bytes, room))
            self._total += taken
            self._waiting[lane] += taken
            return taken

    def found(self, lane: Lane, size_bytes: int) -> None:
        """Count what waits already, even beyond the bound: a start refuses nothing."""
        with self._lock:
            self._total += size_bytes
            self._waiting[lane] += size_bytes

    def give_back(self, lane: Lane, size_bytes: int) -> None:
        """Uncount bytes that wait no more."""
        self.found(lane, -size_bytes)

    def _room_bytes(self, lane: Lane) -> int:
        return min(self._total_max[lane] - self._total, self._lane_max - self._waiting[lane])
