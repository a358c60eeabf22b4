"""Where all speakers talk: connections, timetable, and who waits for what.

In: an address, a shape; owns the connections and the poll. One thread. Each speaker is in one
of three places: on the timetable, at its connection with a request under way, or at rest.
"""

import enum
import heapq
import select
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from edge.demo.issuer import Issuer
from tests.faults.ledger.line import Line
from tests.faults.ledger.shape import Address, Shape
from tests.faults.ledger.speaker import Speaker, Tally
from tests.faults.ledger.words import Player, Service, Voice

NS_PER_S: Final = 1_000_000_000
RECONNECT_NS: Final = 20_000_000
"""Between two tries to reach a gateway that is not there: soon enough to meet its first answer."""

SILENCE_NS: Final = 12 * NS_PER_S
"""A gateway answers within ``spool.sync_timeout_s`` (5 s); twice that is certainly silence."""

LOOK_S: Final = 0.25  # how often the silent are looked at
TURN_S: Final = 0.02  # how long an order may wait until it is seen
FRESH_LANES: Final = ("game",)
CLIENT_BATCH: Final = 1  # of a player's client, which tells each move as it is made


class Mood(enum.Enum):
    """What speakers may say.

    Attributes:
        RESTING: Nothing.
        SETTLING: What was claimed, until each has its verdict.
        TALKING: New events too.
    """

    RESTING = enum.auto()
    SETTLING = enum.auto()
    TALKING = enum.auto()


def next_turn_ns(began_ns: int, now_ns: int, interval_ns: int) -> int:
    """Tell when it is the turn of somebody whose last one was due at *began_ns*.

    Turns that are over are left out but for one, and the place in the turn stays: after a stall
    all would else talk in one instant, and go on so for ever.
    """
    turns = max(1, (now_ns - began_ns) // interval_ns)
    return began_ns + turns * interval_ns


class Hall:
    """All speakers of one run.

    Attributes:
        speakers: Every one there ever was, by voice.
        tally: What they count.
        mood: What they may say.
    """

    def __init__(self, run: int, issuer: Issuer) -> None:
        self.run = run
        self.speakers: list[Speaker] = []
        self.tally = Tally()
        self.mood = Mood.RESTING
        self._issuer = issuer
        self._address: Address | None = None
        self._voices: Shape | None = None
        self._active: list[Speaker] = []
        self._interval_ns = 0
        self._timetable: list[tuple[int, int, Speaker]] = []
        self._entries = 0
        self._at_rest: list[Speaker] = []
        self._by_fd: dict[int, Speaker] = {}
        self._poll = select.epoll()

    def begin(self, address: Address, shape: Shape) -> None:
        """Let speakers of *shape* talk to *address*; those of another shape say no more.

        At another rate the same speakers go on.
        """
        self.leave(is_early=True)
        self._address = address
        voices = replace(shape, per_s=None)
        if voices != self._voices:
            self._voices = voices
            self._active = self._invite(shape)
        events = sum(speaker.page.batch for speaker in self._active)
        self._interval_ns = int(events / shape.per_s * NS_PER_S) if shape.per_s else 0
        self.wake(Mood.TALKING)

    def wake(self, mood: Mood) -> None:
        """Let all who rest go on in *mood*, one after another within a turn of the timetable."""
        self.mood = mood
        now_ns = time.monotonic_ns()
        resting, self._at_rest = self._at_rest, []
        for at, speaker in enumerate(resting):
            self._enter(speaker, now_ns + self._interval_ns * at // len(resting))

    def settle(self, address: Address, timeout_s: float) -> bool:
        """Send again until each claim has its verdict, and let one fresh event pass.

        Returns:
            Whether that came about in *timeout_s*.
        """
        self.leave(is_early=True)
        until_s = time.monotonic() + timeout_s
        self._address, self._interval_ns, self._voices = address, 0, None
        self.wake(Mood.SETTLING)
        self.pump(self._is_settled, timeout_s)
        has_passed = self._is_settled() and self._has_passed_fresh(until_s)
        self.leave()
        return has_passed

    def _has_passed_fresh(self, until_s: float) -> bool:
        """Let somebody new say one thing; whether it was accepted in time."""
        voice = Player(self.run, len(self.speakers), FRESH_LANES)
        fresh = self._new_speaker(voice, CLIENT_BATCH, repeats=False)
        self._active = [fresh]
        self.wake(Mood.TALKING)
        self.pump(lambda: fresh.page.claimed > 0, TURN_S)
        self.mood = Mood.SETTLING
        self.pump(lambda: fresh.page.settled > 0, max(until_s - time.monotonic(), TURN_S))
        return fresh.page.owes_all

    def rest(self, timeout_s: float) -> None:
        """Let what is under way be answered, for *timeout_s*; send nothing more."""
        self.mood = Mood.RESTING
        self.pump(lambda: not self._busy(), timeout_s)
        self.leave()

    def leave(self, *, is_early: bool = False) -> None:
        """Hang up everywhere; what was under way has no answer.

        Args:
            is_early: Whether nobody waited for answers, so that none is missed.
        """
        self.mood = Mood.RESTING
        broken = self.tally.broken
        for speaker in self.speakers:
            if speaker.line is not None:
                self._hang_up(speaker, is_lost=speaker.began_ns > 0)
        if is_early:
            self.tally.broken = broken
        self._timetable.clear()
        self._at_rest = list(self.speakers)

    def close(self) -> None:
        """Leave nothing open."""
        self.leave()
        self._poll.close()

    def pump(self, until: Callable[[], bool], timeout_s: float | None = None) -> None:
        """Talk and listen until *until*, or for *timeout_s*."""
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        looked_s = time.monotonic()
        while not until():
            now_s = time.monotonic()
            if end_s is not None and now_s >= end_s:
                return
            if now_s - looked_s > LOOK_S:
                looked_s = now_s
                self._give_up_the_silent()
            self._turn()

    def _turn(self) -> None:
        """Let those speak who are due, then hear those who were answered."""
        now_ns = time.monotonic_ns()
        timetable = self._timetable
        while timetable and timetable[0][0] <= now_ns:
            self._speak(heapq.heappop(timetable)[2])
        wait_s = TURN_S
        if timetable:
            wait_s = min(max(timetable[0][0] - now_ns, 0) / NS_PER_S, TURN_S)
        for fd, _ in self._poll.poll(wait_s):
            speaker = self._by_fd.get(fd)
            if speaker is not None:
                self._attend(speaker)

    def _speak(self, speaker: Speaker) -> None:
        """Send the speaker's next request, or let it rest."""
        request = None
        if self.mood is not Mood.RESTING:
            is_free = self.mood is Mood.TALKING and speaker in self._active
            request = speaker.request(claims=is_free)
        if request is None or self._address is None:
            self._at_rest.append(speaker)
            return
        try:
            line = speaker.line or self._connect(speaker, self._address)
            line.put(request)
            # On a timetable the latency counts from when it was due: a gateway that stalls
            # cannot hide that by slowing its clients down.
            is_on_time = self._interval_ns and speaker.due_ns
            speaker.began_ns = speaker.due_ns if is_on_time else time.monotonic_ns()
            has_gone = line.write()
        except OSError:
            self._lose(speaker)
            return
        self._poll.modify(line, select.EPOLLIN if has_gone else select.EPOLLOUT)

    def _attend(self, speaker: Speaker) -> None:
        """Something happened at the speaker's connection."""
        line = speaker.line
        assert line is not None
        try:
            if line.is_writing:
                if line.write():
                    self._poll.modify(line, select.EPOLLIN)
                return
            answer = line.read()
        except (OSError, ValueError):
            self._lose(speaker)
            return
        if answer is None or not speaker.began_ns:
            return
        now_ns = time.monotonic_ns()
        began_ns = speaker.began_ns
        wait_s = speaker.hear(answer, now_ns)
        if answer.is_last:
            self._hang_up(speaker, is_lost=False)
        self._enter(speaker, self._next_due_ns(began_ns, now_ns, wait_s))

    def _next_due_ns(self, began_ns: int, now_ns: int, wait_s: float) -> int:
        """On the timetable, unless it was told to wait."""
        if wait_s or not self._interval_ns:
            return now_ns + int(wait_s * NS_PER_S)
        return next_turn_ns(began_ns, now_ns, self._interval_ns)

    def _enter(self, speaker: Speaker, due_ns: int) -> None:
        """Put *speaker* on the timetable."""
        speaker.due_ns = due_ns
        self._entries += 1
        heapq.heappush(self._timetable, (due_ns, self._entries, speaker))

    def _connect(self, speaker: Speaker, address: Address) -> Line:
        line = speaker.line = Line(address)
        self._by_fd[line.fileno()] = speaker
        self._poll.register(line, select.EPOLLOUT)
        return line

    def _lose(self, speaker: Speaker) -> None:
        """The speaker's connection broke; it comes again."""
        is_waiting = speaker.began_ns > 0
        was_told = speaker.line is not None
        self._hang_up(speaker, is_lost=True)
        if is_waiting or not was_told:
            self._enter(speaker, time.monotonic_ns() + RECONNECT_NS)

    def _hang_up(self, speaker: Speaker, *, is_lost: bool) -> None:
        line = speaker.line
        if line is not None:
            del self._by_fd[line.fileno()]
            self._poll.unregister(line)
            line.close()
        if is_lost:
            speaker.lose()
        speaker.line = None

    def _give_up_the_silent(self) -> None:
        before_ns = time.monotonic_ns() - SILENCE_NS
        for speaker in list(self._by_fd.values()):
            if 0 < speaker.began_ns < before_ns:
                self._lose(speaker)

    def _invite(self, shape: Shape) -> list[Speaker]:
        """Bring in the speakers of *shape*."""
        first = len(self.speakers)
        services = [
            self._new_speaker(
                Service(self.run, first + at, shape.fact_lanes, shape.subjects),
                shape.batch,
                repeats=shape.repeats,
            )
            for at in range(shape.services)
        ]
        first = len(self.speakers)
        players = [
            self._new_speaker(
                Player(self.run, first + at, shape.client_lanes),
                CLIENT_BATCH,
                repeats=shape.repeats,
            )
            for at in range(shape.players)
        ]
        return [*services, *players]

    def _new_speaker(self, voice: Voice, batch: int, *, repeats: bool) -> Speaker:
        speaker = Speaker(voice, batch, self._issuer, self.tally, repeats=repeats)
        self.speakers.append(speaker)
        self._at_rest.append(speaker)
        return speaker

    def _busy(self) -> bool:
        return any(speaker.began_ns for speaker in self._by_fd.values())

    def _is_settled(self) -> bool:
        return all(speaker.is_settled for speaker in self.speakers)
