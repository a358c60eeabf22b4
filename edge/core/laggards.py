"""Pushes that a slow socket cannot take now in; out, oldest first, when it can: the latest of each.

It owns what is waited for, and its bounds. A newer push of the same topic and key replaces the
older one, which is counted as conflated; it stands at the end of the line, for that is the order
in which they were published.

A push is kept once, however many sockets wait for it. When there is no more room, of one socket
or in total, the socket's own oldest are dropped, and counted: nobody's lag costs another.
"""

from collections.abc import Hashable
from typing import Final, Generic, TypeVar

from edge.core.push import Label

KEYS_MAX: Final = 256
"""Pushes that one socket waits for. A client that is so far behind loads its state anew."""

ROOM_BYTES: Final = 32 << 20
"""Of all pushes that are waited for: a thousand of the largest, or 110,000 waits."""

WAIT_BYTES: Final = 300
"""What one socket's waiting for one push takes: the first of a line so much, the others 40."""


class Parcel:
    """One push on its way, shared by all it is for.

    Attributes:
        label: Whom it is for.
        key: Topic and key: of these the latest counts.
        frame: What is written to a socket.
        holders: How many sockets wait for it.
    """

    __slots__ = ("frame", "holders", "key", "label")

    def __init__(self, label: Label, frame: bytes) -> None:
        self.label: Final = label
        self.key: Final = (label.topic, label.key)
        self.frame: Final = frame
        self.holders = 0


SocketT = TypeVar("SocketT", bound=Hashable)


class Laggards(Generic[SocketT]):
    """The sockets that have not got everything.

    Args:
        room_bytes: What all that is waited for may take.

    Attributes:
        conflated: Pushes that a newer one replaced, once for each socket.
        dropped: Pushes for which there was no room, or that were forgotten, as above.
        held_bytes: What is waited for takes now.
    """

    def __init__(self, room_bytes: int = ROOM_BYTES) -> None:
        self.conflated = 0
        self.dropped = 0
        self.held_bytes = 0
        self._room_bytes: Final = room_bytes
        self._lines: Final[dict[SocketT, dict[tuple[str, str], Parcel]]] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, socket: SocketT) -> bool:
        return socket in self._lines

    def sockets(self) -> list[SocketT]:
        """Return those that wait, the longest waiting first."""
        return list(self._lines)

    def hold(self, socket: SocketT, parcel: Parcel) -> None:
        """Keep *parcel* until *socket* can take it, or something newer comes."""
        line = self._lines.setdefault(socket, {})
        older = line.pop(parcel.key, None)
        if older is not None:
            self._release(older)
            self.conflated += 1
        while line and (len(line) == KEYS_MAX or not self._fits(parcel)):
            self._release(line.pop(next(iter(line))))
            self.dropped += 1
        if self._fits(parcel):
            line[parcel.key] = parcel
            self._keep(parcel)
            return
        self.dropped += 1
        del self._lines[socket]

    def take(self, socket: SocketT) -> Parcel | None:
        """Return what *socket* gets next; ``None``: it has everything, and is no laggard."""
        line = self._lines.get(socket)
        if line is None:
            return None
        parcel = line.pop(next(iter(line)))
        self._release(parcel)
        if not line:
            del self._lines[socket]
        return parcel

    def forget(self, socket: SocketT) -> None:
        """Drop what *socket* still waits for: it is gone, or may not have it any more."""
        for parcel in self._lines.pop(socket, {}).values():
            self._release(parcel)
            self.dropped += 1

    def _fits(self, parcel: Parcel) -> bool:
        return self.held_bytes + self._size_bytes(parcel) <= self._room_bytes

    def _keep(self, parcel: Parcel) -> None:
        self.held_bytes += self._size_bytes(parcel)
        parcel.holders += 1

    def _release(self, parcel: Parcel) -> None:
        parcel.holders -= 1
        self.held_bytes -= self._size_bytes(parcel)

    def _size_bytes(self, parcel: Parcel) -> int:
        """Return what one more wait for *parcel* takes."""
        return WAIT_BYTES + (0 if parcel.holders else len(parcel.frame))
