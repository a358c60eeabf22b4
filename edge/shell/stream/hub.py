"""Pushes from the origin to sockets: each to those it is for, and to none that is too slow.

In come pushes, read in a thread (:mod:`edge.shell.stream.feed`), and the sockets there are; out
go frames, serialised once for all. It owns nothing of a socket but what a slow one waits for.

Theory of operation
-------------------
A push goes from socket to socket in slices of less than a millisecond, with more rest in
between (:mod:`edge.shell.stream.slices`), one push after the other, so each socket gets them in
their order. One whose unsent bytes are above a bound gets none: what it would have got waits,
the latest of each key, until it has room again (:mod:`edge.core.laggards`). So verdicts wait
neither for other people's pushes nor behind many of one's own.

Nothing is read before somebody wants it: who uses no pushes needs no topic for them. From then
on every node reads all of them, and forgets those for nobody here.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Collection, Iterator, Mapping, Set as AbstractSet
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from typing_extensions import override

from edge.core.laggards import Laggards
from edge.core.principal import Principal
from edge.core.push import Fault, Push
from edge.shell.forward import Timing
from edge.shell.stream.feed import Feed
from edge.shell.stream.handover import Handover, Routed
from edge.shell.stream.slices import SEND, STEP, Slices
from origin_client.open import Reader

UNSENT_BYTES_MAX: Final = 64 * 1024
"""Of one socket, before it gets no more pushes: two of the largest. A quarter of what it may
leave unread before it is cut, so pushes alone never cut anybody."""

STAND_S: Final = 1.0
"""How long the first who want pushes are kept waiting: a broker answers in half of that."""

LOOK_S: Final = 0.05
"""How late one notices that a slow socket has room; a look costs 0.5 µs for each of them."""

LOOK_SOON_S: Final = 0.001  # after some had room: a burst was larger than the bound


class Listener(Protocol):
    """A socket, as a push sees it. Nothing here raises."""

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
        """Who listens."""
        ...

    @property
    def topics(self) -> AbstractSet[str]:
        """What it subscribed to."""
        ...

    @property
    def write_buffer_bytes(self) -> int:
        """What was written to it and is not sent."""
        ...

    def push(self, frame: bytes) -> None:
        """Write a ready frame."""
        ...


class Sockets(Protocol):
    """The open sockets of this process."""

    def all(self) -> Collection[Listener]:
        """Return every one."""
        ...

    def sockets_of(
        self, kind: Literal["player", "session", "brand"], name: str
    ) -> Collection[Listener]:
        """Return those of one name."""
        ...


@dataclass(frozen=True, slots=True)
class HubStatistics:
    """What became of the pushes read so far.

    Attributes:
        received: Records by outcome: ``routed`` (to at least one socket), ``unwanted`` (nobody
            here listens), ``superseded`` (by a newer one, before it was routed), ``malformed``,
            ``too_large``.
        sent: Frames written to sockets.
        conflated: Frames that a newer one replaced, at sockets that were too slow.
        dropped: Frames for which there was no room, or whose slow socket went.
    """

    received: Mapping[str, int]
    sent: int
    conflated: int
    dropped: int


class Hub:
    """Gives out pushes. Loop thread, unless said otherwise.

    Args:
        reader: Of the origin, the hub's alone; ``None``: there are no pushes.
        sockets: The open ones.
        timing: Clocks, dice and waits.
    """

    def __init__(self, reader: Reader | None, sockets: Sockets, timing: Timing) -> None:
        self._sockets: Final = sockets
        self._handover: Final = Handover(self._wake)
        self._feed: Final = None if reader is None else self._following(reader, timing)
        self._received: Final = Counter({"routed": 0, "unwanted": 0})
        self._sent = 0
        self._waiting: Final[deque[Routed]] = deque()
        self._laggards: Final[Laggards[Listener]] = Laggards()
        self._fan_out: Final = Slices(self._deliver)
        self._catch_up: Final = Slices(self._relieve)
        self._look: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None  # this and the next, once wanted
        self._stands: asyncio.Event | None = None

    @property
    def are_wanted(self) -> bool:
        """Whether anybody ever wanted pushes; before, none are read."""
        return self._stands is not None

    async def want(self) -> None:
        """Return when what is published from now on is read; or soon, if it cannot be.

        Whoever is the first to want pushes has them read from then on. Cancelled, nothing of
        that is undone.
        """
        if self._feed is None:
            return
        if self._stands is None:
            self._stands = asyncio.Event()
            self._loop = asyncio.get_running_loop()
            self._loop.call_later(STAND_S, self._stands.set)
            self._feed.start()
        await self._stands.wait()

    def close(self) -> None:
        """Read no more; blocking, any thread."""
        self._handover.close()
        if self._feed is not None:
            self._feed.close()

    def health(self) -> str | None:
        """Name the cause when no pushes are read now; ``None`` when they are. Any thread."""
        return None if self._feed is None else self._feed.health()

    def statistics(self) -> HubStatistics:
        """Return what has been done so far. Any thread."""
        received = {str(outcome): count for outcome, count in self._received.items()}
        received["superseded"] = self._handover.superseded
        faults: Mapping[Fault, int] = {} if self._feed is None else self._feed.faults
        received |= {fault.value: faults.get(fault, 0) for fault in Fault}
        return HubStatistics(
            received, self._sent, self._laggards.conflated, self._laggards.dropped
        )

    def _following(self, reader: Reader, timing: Timing) -> Feed:
        return Feed(reader, self._handover.give, self._stand, timing)

    def _stand(self) -> None:
        """Let those in who wait for the feed; its thread."""
        assert self._loop is not None, "nothing is read before it is wanted"
        assert self._stands is not None, "as above"
        self._loop.call_soon_threadsafe(self._stands.set)

    def _wake(self) -> None:
        """Have the loop look at the handover; the feed's thread."""
        assert self._loop is not None, "nothing is read before it is wanted"
        self._loop.call_soon_threadsafe(self._fan_out.begin)

    def _deliver(self) -> Iterator[int]:
        """Give out what waits, push after push; yield what each step cost."""
        while self._has_more():
            routed = self._waiting.popleft()
            is_wanted = False
            for socket in self._audience(routed.push):
                if self._wants(socket, routed.push):
                    is_wanted = True
                    self._give(socket, routed)
                    yield SEND
                else:
                    yield STEP
            self._received["routed" if is_wanted else "unwanted"] += 1
            yield STEP

    def _has_more(self) -> bool:
        if not self._waiting:
            self._waiting.extend(self._handover.take())
        return bool(self._waiting)

    def _audience(self, push: Push) -> list[Listener]:
        """Return the sockets that *push* names, as they are now: some may go meanwhile."""
        if push.audience == "all":
            return list(self._sockets.all())
        return list(self._sockets.sockets_of(push.audience, push.name))

    @staticmethod
    def _wants(socket: Listener, push: Push) -> bool:
        return push.topic in socket.topics and socket.is_open and socket.principal.reads_stream

    def _give(self, socket: Listener, routed: Routed) -> None:
        if socket in self._laggards or socket.write_buffer_bytes > UNSENT_BYTES_MAX:
            self._laggards.hold(socket, routed.parcel)
            self._look_in(LOOK_SOON_S)
        else:
            socket.push(routed.parcel.frame)
            self._sent += 1

    def _relieve(self) -> Iterator[int]:
        """Give slow sockets what they have room for; yield what each step cost."""
        wait_s = LOOK_S
        for socket in self._laggards.sockets():
            while socket.is_open and socket.write_buffer_bytes <= UNSENT_BYTES_MAX:
                parcel = self._laggards.take(socket)
                if parcel is None:
                    break
                socket.push(parcel.frame)
                self._sent += 1
                wait_s = LOOK_SOON_S
                yield SEND
            if not socket.is_open:
                self._laggards.forget(socket)
            yield STEP
        if self._laggards:
            self._look_in(wait_s)

    def _look_in(self, seconds: float) -> None:
        if self._look is None:
            loop = asyncio.get_running_loop()
            self._look = loop.call_later(seconds, self._look_now)

    def _look_now(self) -> None:
        self._look = None
        self._catch_up.begin()
