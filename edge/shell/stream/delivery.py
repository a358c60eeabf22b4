"""Pushes in, one after the other; out, frames to the sockets each is for, the slow ones apart.

Theory of operation
-------------------
A push goes from socket to socket in slices (:mod:`edge.shell.stream.slices`), one push after the
other, so each socket gets them in their order. One whose unsent bytes are above a bound gets
none: what it would have got waits, the latest of each key, until it has room again
(:mod:`edge.core.laggards`); it is looked for between two pushes, and what it gets then is of the
same slices. So verdicts wait neither for other people's pushes nor behind many of one's own.

Whether somebody may have pushes is asked when it would get one: what waited for a socket whose
newer token reads no stream is dropped. It owns nothing of a socket but what a slow one waits
for. Loop thread.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Sequence, Set as AbstractSet
from typing import Final, Protocol

from typing_extensions import override

from edge.core.laggards import Laggards, Parcel
from edge.core.principal import Principal
from edge.core.push import Label
from edge.shell.stream.registry import Kind
from edge.shell.stream.slices import Slices

STEP_NS: Final = 400  # to look at one socket; 0.2 to 0.35 µs measured
HOLD_NS: Final = 2_000  # to keep one for later; 1.1 to 1.8 µs measured
SEND_NS: Final = 12_000  # to write a small frame to one: a system call, and a talk's part
SEND_NS_PER_KIB: Final = 250
"""And to copy it. Measured with uvloop on the loopback device, without the talk: 9 µs for 200
bytes, 12 for 32 KiB, and half as much again on a busy machine."""

UNSENT_BYTES_MAX: Final = 64 * 1024
"""Of one socket, before it gets no more pushes: two of the largest. A quarter of what it may
leave unread before it is cut, so pushes alone never cut anybody."""

LOOK_S: Final = 0.05
"""How late one notices that a slow socket has room; a look costs :data:`STEP_NS` for each."""

LOOK_SOON_S: Final = 0.001  # after some had room: a burst was larger than the bound


class Listener(Protocol):
    """A socket, as a push sees it. Nothing here raises: one with a bug ends itself."""

    @override
    def __hash__(self) -> int:
        """Tell it from others."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether it can be written to."""
        ...

    @property
    def principal(self) -> Principal:
        """Who listens; may be another one after each renewal."""
        ...

    @property
    def topics(self) -> AbstractSet[str]:
        """What it subscribed to."""
        ...

    @property
    def write_buffer_bytes(self) -> int:
        """What was written to it and is not sent."""
        ...

    def push(self, frame: bytes) -> bool | None:
        """Write a ready frame; return whether it was taken; ``None``: that met a bug."""
        ...


class Sockets(Protocol):
    """The open sockets of this process."""

    def all(self) -> Collection[Listener]:
        """Return every one."""
        ...

    def sockets_of(self, kind: Kind, name: str) -> Collection[Listener]:
        """Return those of one name."""
        ...


class Delivery:
    """Gives pushes out.

    Args:
        take: Returns the pushes that have come; when there is none, :meth:`begin` is called with
            the next.
        sockets: The open ones.

    Attributes:
        routed: Pushes by whether anybody here wanted them: ``routed``, ``unwanted``.
        sent: Frames written to sockets.
    """

    def __init__(self, take: Callable[[], Sequence[Parcel]], sockets: Sockets) -> None:
        self.routed: Final = Counter({"routed": 0, "unwanted": 0})
        self.sent = 0
        self._take: Final = take
        self._sockets: Final = sockets
        self._waiting: Final[deque[Parcel]] = deque()
        self._laggards: Final[Laggards[Listener]] = Laggards()
        self._slices: Final = Slices(self._work)
        self._look: asyncio.TimerHandle | None = None
        self._is_to_look = False
        self._catching_up: Listener | None = None
        self._untaken = 0

    @property
    def conflated(self) -> int:
        """Frames that a newer one replaced, at sockets that were too slow."""
        return self._laggards.conflated

    @property
    def dropped(self) -> int:
        """Frames there was no room for, or whose socket went, or may not have them any more."""
        return self._laggards.dropped + self._untaken

    def begin(self) -> None:
        """Give out what comes, from the next turn of the loop on."""
        self._slices.begin()

    def _work(self) -> Iterator[int]:
        """Do what there is to do; yield what each step cost."""
        self._pass_over()
        while True:
            if self._is_to_look:
                yield from self._relieve()
                self._is_to_look = False  # not before: after a bug the others are still due
            elif self._has_more():
                yield from self._deliver(self._waiting.popleft())
            else:
                return

    def _has_more(self) -> bool:
        if not self._waiting:
            self._waiting.extend(self._take())
        return bool(self._waiting)

    def _deliver(self, parcel: Parcel) -> Iterator[int]:
        """Give one push to all it is for."""
        is_wanted = False
        for socket in self._audience(parcel.label):
            if _may_have(socket) and parcel.label.topic in socket.topics:
                is_wanted = True
                yield self._give(socket, parcel)
            else:
                yield STEP_NS
        self.routed["routed" if is_wanted else "unwanted"] += 1
        yield STEP_NS

    def _audience(self, label: Label) -> list[Listener]:
        """Return the sockets that *label* names, as they are now: some may go meanwhile."""
        if label.audience == "all":
            return list(self._sockets.all())
        return list(self._sockets.sockets_of(label.audience, label.name))

    def _give(self, socket: Listener, parcel: Parcel) -> int:
        """Send *parcel*, or keep it for later; return what that cost."""
        if socket not in self._laggards and _has_room(socket):
            return self._send(socket, parcel)
        self._laggards.hold(socket, parcel)
        self._look_in(LOOK_SOON_S)
        return HOLD_NS

    def _send(self, socket: Listener, parcel: Parcel) -> int:
        if socket.push(parcel.frame):
            self.sent += 1
        else:
            self._untaken += 1
        return send_ns(len(parcel.frame))

    def _relieve(self) -> Iterator[int]:
        """Give slow sockets what they have room for, one after the other."""
        sent_before = self.sent
        for socket in self._laggards.sockets():
            self._catching_up = socket
            yield from self._catch_up(socket)
            self._catching_up = None
            yield STEP_NS
        if self._laggards:
            self._look_in(LOOK_S if self.sent == sent_before else LOOK_SOON_S)

    def _catch_up(self, socket: Listener) -> Iterator[int]:
        while _may_have(socket) and _has_room(socket):
            parcel = self._laggards.take(socket)
            if parcel is None:
                return
            yield self._send(socket, parcel)
        if not _may_have(socket):
            self._laggards.forget(socket)

    def _pass_over(self) -> None:
        """Drop what the socket waits for at which a bug ended the last job: it would again."""
        socket, self._catching_up = self._catching_up, None
        if socket is not None:
            self._laggards.forget(socket)

    def _look_in(self, seconds: float) -> None:
        if self._look is None:
            loop = asyncio.get_running_loop()
            self._look = loop.call_later(seconds, self._look_now)

    def _look_now(self) -> None:
        self._look = None
        self._is_to_look = True
        self.begin()


def send_ns(frame_bytes: int) -> int:
    """Return what it costs to write so much to one socket."""
    return SEND_NS + SEND_NS_PER_KIB * frame_bytes // 1024


def _may_have(socket: Listener) -> bool:
    return socket.is_open and socket.principal.reads_stream


def _has_room(socket: Listener) -> bool:
    return socket.write_buffer_bytes <= UNSENT_BYTES_MAX
