"""What a client still has to say in one session, and what it said without a verdict so far.

In: events without a number, the words of the gateway; out: frames to send, and exactly one fate
for each event. No I/O, no clock: every call says when it is, in seconds of a steady clock. It
outlives sockets; :class:`loadtests.session.Session` drives it.

Theory of operation
-------------------
An event waits in one of three places, in the order of its number:

========  ===========================================================================
new       never sent; gets the session's next number when a frame takes it along
under way sent on this socket, by frame
again     sent before, without a verdict: on a socket that was lost, or refused for now
========  ===========================================================================

What is to go again goes before anything new, one frame at a time: the next one leaves when the
last has its verdicts. There are two reasons. Order: nothing later is accepted before it. And
knowledge: the gateway counts a number that it refused for good as settled, also when the socket
was lost on which it said so; whoever sends that event again must wait until it is judged anew,
and may not read its fate out of a word about another frame.

As long as no two frames were under way together on a socket, each word of the gateway is about
the one that is: what it does not list is durable. So all that an earlier socket left behind is
concluded, since it goes first, whatever is said of its numbers: where many are missing, a
gateway tells several ranges as one. A renewal of the token is a frame, too, and steps in line.

A new event needs no such care: nobody has given its number to anything. It is accepted when a
word says that its number is done and none has listed it as refused, since a number refused for
good is done only in the word that lists it, or later.

Numbers under way never span more than the gateway's window, so none becomes too old.

Source: design.md §3a rules 3, 4; §4 "WebSocket".
"""

import enum
import math
from bisect import bisect_right
from collections import deque
from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from loadtests.jitter import Jitter
from loadtests.ops import (
    EVENTS_HEAD,
    EVENTS_TAIL,
    Limits,
    Refused,
    Verdicts,
    Welcome,
    write_events,
)

EVENTS_MAX: Final = 1_000  # without a verdict: as many as may be under way, 1 MB as they come
SPAN_MAX: Final = 1_000  # of the 1,024 numbers of a window; the rest is for who also uses HTTP
FRAMES_MAX: Final = 16  # under way: a tenth of a second's syncs, and far below any flood
EVENT_BYTES_MAX: Final = 65_536 - 256  # what fits into a frame, with its session and number

SHED: Final = "lane_shed"


class OutboxFullError(Exception):
    """As many events are without a verdict as may be; the event was not taken."""


class Outcome(enum.StrEnum):
    """How an event ends."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    SHED = "shed"


class Said(NamedTuple):
    """An event that has its number: whoever is to survive his own death keeps it until its fate.

    Attributes:
        seq: Its number in the session.
        id: As the application named it.
        encoded: As it goes into a frame, each time the same.
    """

    seq: int
    id: str
    encoded: bytes


class Fate(NamedTuple):
    """What became of one event, told once.

    Attributes:
        seq: Its number.
        id: Its name.
        outcome: How it ended.
        code: Why it was refused or shed; empty if it was accepted.
        pointer: Where in the event, if that is known.
    """

    seq: int
    id: str
    outcome: Outcome
    code: str = ""
    pointer: str | None = None


class Frame(NamedTuple):
    """One text frame to send.

    Attributes:
        payload: Its text, UTF-8.
        fresh: The events that got their number with it; keep them before it is sent.
    """

    payload: bytes
    fresh: Sequence[Said] = ()


class _Waiting(NamedTuple):
    id: str
    encoded: bytes


class _UnderWay(NamedTuple):
    """One frame without its verdicts.

    Attributes:
        left: Its events that have none, by index.
        size_bytes: Of the frame.
        sent_s: When.
    """

    left: dict[int, Said]
    size_bytes: int
    sent_s: float


_SEQ: Final = attrgetter("seq")


class Outbox:
    """One session's events, from the application's hand to their fate.

    Args:
        jitter: For events that were refused for now.
        again: What an earlier life had numbered, and knew no fate of.
        next_seq: The number after the last one given, in an earlier life.
        events_max: How many may be without a verdict.

    Attributes:
        contradictions: Words about events that had their fate; 0 with a gateway that keeps
            its contract.
    """

    def __init__(
        self,
        jitter: Jitter,
        again: Sequence[Said] = (),
        next_seq: int = 1,
        *,
        events_max: int = EVENTS_MAX,
    ) -> None:
        self.contradictions = 0
        self._jitter = jitter
        self._events_max = events_max
        self._new: deque[_Waiting] = deque()
        self._again = sorted(again, key=_SEQ)
        self._under_way: dict[int, _UnderWay] = {}
        self._next_seq = max(next_seq, self._again[-1].seq + 1 if self._again else 1)
        self._limits = Limits()
        self._behind = b""
        self._retry_s = -math.inf
        self._aside: int | None = None
        self._aside_s = math.inf
        self._is_one_by_one = True
        self._is_resending = False

    @property
    def unsettled(self) -> int:
        """How many events have no fate."""
        said = sum(len(frame.left) for frame in self._under_way.values())
        return len(self._new) + len(self._again) + said

    @property
    def oldest_s(self) -> float:
        """When the oldest frame without an answer was sent; infinite: there is none."""
        sent_s = (frame.sent_s for frame in self._under_way.values())
        return min(sent_s, default=math.inf) if self._aside is None else self._aside_s

    @property
    def due_s(self) -> float:
        """When it has something to say although nobody says anything to it; infinite: never."""
        return self._retry_s if self._again and not self._is_waiting else math.inf

    def put(self, event: Mapping[str, Any]) -> None:
        """Take one event; ``session`` and ``seq`` are added to it when it is sent.

        Raises:
            OutboxFullError: Too many have no verdict yet.
            ValueError: It has no ``id``, has a number of its own, or fits into no frame.
        """
        if self.unsettled >= self._events_max:
            raise OutboxFullError(f"{self._events_max} events without a verdict")
        name = event.get("id")
        encoded = msgspec.json.encode(event)
        if not isinstance(name, str) or "seq" in event or "session" in event:
            raise ValueError("an event has an id, and gets its session and number here")
        if len(encoded) > EVENT_BYTES_MAX:
            raise ValueError(f"{len(encoded)} bytes fit into no frame")
        self._new.append(_Waiting(name, encoded))

    def greet(self, welcome: Welcome) -> None:
        """Begin on a new socket; everything under way on the last one is :meth:`lose`'s."""
        assert not self._is_waiting, "one socket at a time"
        self._limits = welcome.limits
        self._behind = b',"session":' + msgspec.json.encode(welcome.session) + b',"seq":'
        # Numbers given before are ours; those that the node has seen are somebody's.
        self._next_seq = max(self._next_seq, welcome.next_seq)
        self._is_one_by_one = True
        self._is_resending = False

    def speak(self, number: int, now_s: float) -> Frame | None:
        """Return what is to be sent now, as the socket's frame *number*."""
        if self._again:
            if self._is_waiting or now_s < self._retry_s:
                return None
            again = self._gathered()
            del self._again[: len(again)]
            self._is_resending = True
            return Frame(self._send(number, again, now_s))
        if not self._new or self._is_full():
            return None
        fresh = self._numbered()
        self._is_resending = False
        return Frame(self._send(number, fresh, now_s), fresh) if fresh else None

    def knock(self, number: int, now_s: float) -> Frame:
        """Return an empty frame: the gateway is to know that somebody is there."""
        return Frame(self._send(number, (), now_s))

    def step_aside(self, number: int, now_s: float) -> bool:
        """Let a frame of another kind have *number*; return whether it may go now."""
        if self._is_waiting and self._is_resending:
            return False
        self._is_one_by_one = self._is_one_by_one and not self._is_waiting
        self._aside, self._aside_s = number, now_s
        return True

    def step_back(self) -> None:
        """Note that the frame of another kind has its answer."""
        self._aside, self._aside_s = None, math.inf

    def hear(self, verdicts: Verdicts, now_s: float) -> list[Fate]:
        """Return the fates that *verdicts* tells, in the order of their numbers."""
        fates: list[Fate] = []
        put_off: list[Said] = []
        for refusal in verdicts.refused:
            for said in self._taken_out(refusal):
                if refusal.retryable:
                    put_off.append(said)
                else:
                    fates.append(_refused(said, refusal))
        fates += self._accepted(verdicts)
        if fates:
            self._jitter.rest()
        if put_off:
            self._again = sorted([*self._again, *put_off], key=_SEQ)
            asked_s = (verdicts.retry_after_ms or 0) / 1000
            self._retry_s = max(self._retry_s, now_s + asked_s + self._jitter.draw_s())
        return sorted(fates, key=_SEQ)

    def lose(self) -> None:
        """Note that the socket is gone: what was under way on it must go again."""
        lost = [said for frame in self._under_way.values() for said in frame.left.values()]
        self._under_way.clear()
        self._again = sorted([*self._again, *lost], key=_SEQ)
        self.step_back()

    @property
    def _is_waiting(self) -> bool:
        """Whether a frame is under way."""
        return bool(self._under_way) or self._aside is not None

    def _is_full(self) -> bool:
        """Whether another new frame must wait for verdicts."""
        if not self._under_way:
            return False
        if self._is_resending:
            return True
        size_bytes = sum(frame.size_bytes for frame in self._under_way.values())
        end_bytes = self._limits.in_flight_bytes - self._limits.frame_bytes
        return len(self._under_way) >= FRAMES_MAX or size_bytes > end_bytes

    def _gathered(self) -> list[Said]:
        """Take as many as fit into one frame of those that go again, at least one."""
        gathered: list[Said] = []
        size_bytes = len(EVENTS_HEAD) + len(EVENTS_TAIL)
        for said in self._again[: self._limits.events]:
            size_bytes += len(said.encoded) + 1
            if gathered and size_bytes > self._limits.frame_bytes:
                break
            gathered.append(said)
        return gathered

    def _numbered(self) -> list[Said]:
        """Give numbers to as many new ones as fit into one frame, and into the window."""
        numbered: list[Said] = []
        size_bytes = len(EVENTS_HEAD) + len(EVENTS_TAIL)
        behind = self._lowest() + SPAN_MAX
        while self._new and len(numbered) < self._limits.events and self._next_seq < behind:
            name, encoded = self._new[0]
            whole = b"%b%b%d}" % (encoded[:-1], self._behind, self._next_seq)
            size_bytes += len(whole) + 1
            if numbered and size_bytes > self._limits.frame_bytes:
                break
            numbered.append(Said(self._next_seq, name, whole))
            self._next_seq += 1
            self._new.popleft()
        return numbered

    def _lowest(self) -> int:
        """Return the lowest number under way, or the next one."""
        under_way = (seq for frame in self._under_way.values() for seq in _numbers(frame))
        return min(under_way, default=self._next_seq)

    def _send(self, number: int, events: Sequence[Said], now_s: float) -> bytes:
        payload = write_events(said.encoded for said in events)
        self._is_one_by_one = self._is_one_by_one and not self._is_waiting
        self._under_way[number] = _UnderWay(dict(enumerate(events)), len(payload), now_s)
        return payload

    def _taken_out(self, refusal: Refused) -> list[Said]:
        """Take the refused events off what is under way; ``index`` null: the whole frame's."""
        if refusal.frame == self._aside:
            self.step_back()
            return []
        frame = self._under_way.get(refusal.frame)
        if frame is not None and refusal.index is None:
            taken = list(frame.left.values())
            frame.left.clear()
            return taken
        said = frame.left.pop(refusal.index or 0, None) if frame is not None else None
        if said is None:
            self.contradictions += 1
            return []
        return [said]

    def _accepted(self, verdicts: Verdicts) -> list[Fate]:
        """Take off what is durable, and frames of which nothing is left."""
        is_about_all = self._is_one_by_one and self._is_resending
        begins = [first for first, _ in verdicts.missing]
        fates: list[Fate] = []
        for number, frame in list(self._under_way.items()):
            for index, said in list(frame.left.items()):
                at = bisect_right(begins, said.seq) - 1
                is_missing = at >= 0 and said.seq <= verdicts.missing[at][1]
                is_done = said.seq <= verdicts.highest and not is_missing
                if is_about_all or is_done or said.seq <= verdicts.settled:
                    del frame.left[index]
                    fates.append(Fate(said.seq, said.id, Outcome.ACCEPTED))
            if not frame.left:
                del self._under_way[number]
        return fates


def _numbers(frame: _UnderWay) -> list[int]:
    return [said.seq for said in frame.left.values()]


def _refused(said: Said, refusal: Refused) -> Fate:
    outcome = Outcome.SHED if refusal.code == SHED else Outcome.REFUSED
    return Fate(said.seq, said.id, outcome, refusal.code, refusal.pointer)
