"""How long acknowledged records stay on disk: recall's memory across restarts.

A segment is deleted when the origin acknowledged all of it, the cursor behind it is durable,
and either its newest record has left the dedupe window, or the lane retains more than
``spool.retained_bytes_max``, or room is needed. Per lane: a flood in one shortens no other's.
"""

from typing import Final

from edge.config import SpoolSettings
from edge.core.instant import NS_PER_MS, NS_PER_S
from edge.shell.clock import Clock
from edge.shell.spool.segment import LaneFiles
from edge.shell.spool.shelf import Shelf

_NEVER_MS: Final = -(1 << 63)


class Retention:
    """Deletes what one lane need not keep. Any thread."""

    def __init__(
        self, files: LaneFiles, shelf: Shelf, settings: SpoolSettings, clock: Clock
    ) -> None:
        self._files: Final = files
        self._shelf: Final = shelf
        self._window_ns: Final = settings.dedupe_window_s * NS_PER_S
        self._bytes_max: Final = settings.retained_bytes_max
        self._clock: Final = clock

    @property
    def bytes_held(self) -> int:
        """Bytes of the lane's records, waiting or retained."""
        return self._shelf.bytes_held

    def expire(self) -> None:
        """Delete what is past its time, or beyond the lane's share."""
        horizon_ms = (self._clock.now().unix_ns - self._window_ns) // NS_PER_MS
        while self._delete(before_ms=horizon_ms, above_bytes=self._bytes_max):
            pass

    def give_up_oldest(self) -> int:
        """Delete the oldest retained segment; returns its bytes, 0 when there is none."""
        return self._delete(before_ms=_NEVER_MS, above_bytes=0)

    def _delete(self, *, before_ms: int, above_bytes: int) -> int:
        segment = self._shelf.discard(before_ms=before_ms, above_bytes=above_bytes)
        if segment is None:
            return 0
        self._files.remove(segment.number)
        return segment.end
