"""Pushes in from the thread that reads them; out, to the event loop, all there are at once.

They keep their order, and are bounded. When it is full, a push takes the place of an older one
for the same sockets under the same key; is there none, the reader waits: what it has not read is
safe at the origin, and only late.
"""

import threading
from collections.abc import Callable
from typing import Final

from edge.core.laggards import Parcel
from edge.core.push import Label

WAITING_MAX: Final = 256  # of the largest, 8 MiB; as many again are being given out meanwhile


class Handover:
    """A queue with one thread at each end.

    Args:
        wake: Called by the giving thread when something waits that the taking one must be told
            of: when it took everything there was, and found nothing.

    Attributes:
        superseded: How many were replaced by newer ones.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self.superseded = 0
        self._wake: Final = wake
        self._change: Final = threading.Condition()  # over what follows
        self._waiting: list[Parcel] = []
        self._places: dict[Label, int] = {}  # of the newest of each
        self._is_awake = False
        self._is_closed = False

    def give(self, parcel: Parcel) -> None:
        """Hand *parcel* over; waits while it is full, and forgets it once closed."""
        label = parcel.label
        with self._change:
            self._change.wait_for(lambda: self._has_place(label))
            if self._is_closed:
                return
            if len(self._waiting) < WAITING_MAX:
                self._places[label] = len(self._waiting)
                self._waiting.append(parcel)
            else:
                self._waiting[self._places[label]] = parcel
                self.superseded += 1
            is_asleep, self._is_awake = not self._is_awake, True
        if is_asleep:
            self._wake()

    def take(self) -> list[Parcel]:
        """Return what waits; when it is nothing, whoever gives next wakes us."""
        with self._change:
            taken, self._waiting = self._waiting, []
            self._places.clear()
            self._is_awake = bool(taken)
            self._change.notify()
        return taken

    def close(self) -> None:
        """Keep nobody waiting any more."""
        with self._change:
            self._is_closed = True
            self._change.notify()

    def _has_place(self, label: Label) -> bool:
        return self._is_closed or len(self._waiting) < WAITING_MAX or label in self._places
