"""How long somebody goes on with an origin that does not answer, if not told to stop before.

In come an origin and a signal's event. A publish may block for a whole outage, and only closing
the origin ends it: a thread does that, when it has been silent for too long, when told to,
and when all is done.
"""

import threading
from types import TracebackType
from typing import Final, Self

from edge.core.instant import NS_PER_S
from edge.shell.clock import Clock
from origin_client.origin import Origin

LOOK_S: Final = 0.1  # how late it notices that the time is over


class Patience:
    """Closes an origin in time; a context manager, at whose end the origin is closed.

    Args:
        origin: Used by one thread of ours and nobody else.
        clock: Both clocks.
        stop: Set from outside: end now. Set by us too, when the time is over.
        timeout_s: How long an origin may be silent.
    """

    def __init__(
        self, origin: Origin, clock: Clock, stop: threading.Event, timeout_s: float
    ) -> None:
        self._origin = origin
        self._clock = clock
        self._stop = stop
        self._timeout_ns = round(timeout_s * NS_PER_S)
        self._cause = ""
        self._deadline_ns = 0
        self._is_done = threading.Event()
        # A daemon, so that an origin that cannot be closed does not keep the process.
        self._thread = threading.Thread(target=self._watch, name="patience", daemon=True)

    def __enter__(self) -> Self:
        self.renew()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_done.set()
        self._thread.join()

    @property
    def cause(self) -> str:
        """Why the origin was closed before all was done; empty: it was not."""
        return self._cause

    def renew(self) -> None:
        """Begin to wait anew: the origin answered."""
        self._deadline_ns = self._clock.now().steady_ns + self._timeout_ns

    def pause(self, seconds: float) -> bool:
        """Wait so long, or until it is over; return whether to go on."""
        return not self._stop.wait(seconds)

    def _watch(self) -> None:
        try:
            while not self._is_done.wait(LOOK_S):
                is_late = self._clock.now().steady_ns >= self._deadline_ns
                if is_late or self._stop.is_set():
                    reason = f"no answer for {self._timeout_ns / NS_PER_S:g} s"
                    default = reason if is_late else "told to stop"
                    self._cause = self._origin.health() or default
                    self._stop.set()
                    return
        finally:
            self._origin.close()
