"""What one socket's peer sends: bytes in; texts out to its talk, each in its turn.

Theory of operation
-------------------
There is no task and no queue: bytes come, frames are cut out of them, and a text frame *lines
up* with the governor as a request does. Until its turn it is *parked*, and nothing behind it is
looked at. It is not refused as a request would be, for its client does not ask again by itself;
but one that has waited ``wait_s`` tells it that this node is overloaded.

Something may *halt* the socket: the talk, which has enough for now; its turn, which has not come;
the peer, which does not read. What one read has brought by then waits; the next one is the last
until nothing halts it: to stop reading before that would cost two system calls each time. While
it waits the governor has to have room for it; if there is none, the node is overloaded.

Frames have a budget each second, and control frames another; both let a burst through that is as
long as somebody may have been parked, or in a tunnel. One message has a time, too: any byte is a
sign of life, so a peer that sends one now and then would else keep an unfinished one for ever.
"""

from abc import abstractmethod
from typing import TYPE_CHECKING, Final, Protocol

from websockets.frames import CloseCode

from edge.core.closing import FLOOD, OVERLOADED
from edge.core.instant import NS_PER_S
from edge.shell.clock import Clock
from edge.shell.stream.frames import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    control_frame,
)
from edge.shell.stream.guard import guarded
from edge.shell.stream.speaking import ENDING, LOST, OPEN, Speaking, WireLimits

if TYPE_CHECKING:
    from edge.shell.governor import Governor
    from edge.shell.stream.host import Wire

TALK: Final = 1  # what halts a socket, one bit each
TURN: Final = 2
PEER: Final = 4


class Talk(Protocol):
    """What is said on one socket. Called on the loop."""

    def begin(self, wire: "Wire") -> None:
        """It is open."""
        ...

    def notice(self) -> None:
        """A text has come, and is parked: its peer is not silent."""
        ...

    def hear(self, text: bytes) -> None:
        """The peer says *text*, which is UTF-8."""
        ...

    def end(self, code: int, reason: str) -> None:
        """It has to end with that: tell what is pending, say good-bye, then close the wire."""
        ...

    def fail(self) -> None:
        """It has to end at once: there was a bug."""
        ...

    def lost(self, code: int) -> None:
        """It is gone; *code* is ours if we closed it, else the peer's, or 1006 if it has none."""
        ...


class Taking(Speaking):
    """What a talk, and its turn, may do with its socket to hear something.

    Args:
        talk: Hears.
        governor: Says whose turn it is.
        clock: Its steady one measures rates, and how long anything takes.
        limits: The same for all.
    """

    __slots__ = (
        "_begun_ns",
        "_clock",
        "_controls_due_ns",
        "_governor",
        "_halts",
        "_held_bytes",
        "_is_at_end",
        "_is_deaf",
        "_is_reading",
        "_is_taking",
        "_parked",
        "_parked_ns",
        "_reader",
        "_talk",
        "_texts_due_ns",
    )

    def __init__(
        self, talk: Talk, governor: "Governor", clock: Clock, limits: WireLimits
    ) -> None:
        super().__init__(limits)
        self._talk = talk
        self._governor = governor
        self._clock = clock
        self._reader = FrameReader(limits.message_bytes, limits.fragments)
        self._halts = 0
        self._is_at_end = False  # nothing more comes behind what waits here
        self._is_deaf = False
        self._is_reading = True
        self._is_taking = False  # frames, in a loop further down the stack
        self._parked: bytes | None = None
        self._parked_ns = 0
        self._held_bytes = 0  # with the governor
        self._begun_ns: int | None = None  # when we began to wait for the rest of a message
        self._texts_due_ns = 0  # where the budget of texts would be used up by now; GCRA
        self._controls_due_ns = 0

    # What the talk calls.

    @property
    def is_halted(self) -> bool:
        """Whether nothing is read just now, so that silence proves nothing."""
        return self._halts != 0

    def pause(self) -> None:
        """Hear nothing until :meth:`resume`."""
        self._halts |= TALK

    def resume(self) -> None:
        """Hear again, beginning with what came meanwhile; within this call."""
        self._go_on(TALK)

    # What the governor calls.

    @guarded
    def begin(self) -> None:
        """Hear what is parked: it is its turn."""
        text, self._parked = self._parked, None
        if text is not None:  # else it ended since the turn began
            self._talk.hear(text)  # still halted: nothing overtakes it
            self._go_on(TURN)

    @guarded
    def refuse(self) -> None:
        """Line up again, unless it has been too long."""
        if self._parked is None:
            return
        waited_ns = self._clock.now().steady_ns - self._parked_ns
        if waited_ns >= self._limits.wait_s * NS_PER_S:
            self._send_away()
        elif self._governor.line_up(self):
            self.begin()

    @abstractmethod
    def fail(self) -> None:
        """End at once: there was a bug."""

    def _take(self, octets: bytes) -> None:
        """Take the frames that came, as far as nothing halts."""
        self.has_stirred = True
        if self._is_deaf:
            return
        self._reader.feed(octets)
        if self._halts:
            self._read_no_more()
            self._hold()
        else:
            self._take_frames()

    def _take_frames(self) -> None:
        self._is_taking = True
        try:
            while not self._halts and (frame := self._reader.next()) is not None:
                opcode, content = frame
                if opcode == TEXT:
                    self._take_text(content)
                elif opcode == CLOSE:
                    self._take_close(content)
                else:
                    self._take_control(opcode, content)
        except FrameError as error:
            self._give_up(error.code, error.reason)
        finally:
            self._is_taking = False
        self._look_at_rest()

    def _take_text(self, text: bytes) -> None:
        self._begun_ns = None
        now_ns, due_ns = self._clock.now().steady_ns, self._texts_due_ns
        if due_ns < now_ns:  # noqa: PLR1730  # a call of max costs more than all the rest
            due_ns = now_ns
        limits = self._limits
        if due_ns - now_ns > limits.wait_s * NS_PER_S:
            self._give_up(*FLOOD)
            return
        self._texts_due_ns = due_ns + NS_PER_S // limits.frames_per_s
        if self._state != OPEN:
            return
        if self._governor.line_up(self):
            self._talk.hear(text)
        else:
            self._parked, self._parked_ns = text, now_ns
            self._halts |= TURN
            self._talk.notice()

    def _take_control(self, opcode: int, content: bytes) -> None:
        now_ns = self._clock.now().steady_ns
        due_ns = max(self._controls_due_ns, now_ns)
        if due_ns - now_ns > self._limits.wait_s * NS_PER_S:
            self._give_up(CloseCode.POLICY_VIOLATION, "too many control frames")
            return
        self._controls_due_ns = due_ns + NS_PER_S // self._limits.control_frames_per_s
        if opcode == PING:
            self.send_wire(control_frame(PONG, content))

    @abstractmethod
    def _take_close(self, content: bytes) -> None:
        """Take the peer's close frame.

        Raises:
            FrameError: 1002, 1007: it is none.
        """

    def _take_end(self) -> None:
        """Learn that nothing more comes; what has come is heard once nothing halts it."""
        self._is_at_end = True
        if not self._halts:
            self._lose_peer()

    @abstractmethod
    def _lose_peer(self) -> None:
        """Learn that the peer will say no more, without a close frame."""

    def _look_at_rest(self) -> None:
        """See what is left of what came: it waits, or a message is not whole yet."""
        if self._halts:
            self._hold()
        elif self._is_at_end:
            self._lose_peer()
        elif self._reader.is_between:
            self._begun_ns = None
        else:
            now_ns = self._clock.now().steady_ns
            if self._begun_ns is None:
                self._begun_ns = now_ns
            elif now_ns - self._begun_ns > self._limits.message_s * NS_PER_S:
                self.abort()

    def _hold(self) -> None:
        """Take as much room with the governor as waits here; if there is none, give up."""
        size_bytes = 0
        if self._halts:
            size_bytes = len(self._parked or b"") + self._reader.unread_bytes
        more_bytes = size_bytes - self._held_bytes
        if more_bytes <= 0:
            self._governor.release(-more_bytes)
        elif not self._governor.hold_frames(more_bytes):
            self._send_away()
            return
        self._held_bytes = size_bytes

    def _go_on(self, halts: int) -> None:
        """Take off some reasons to halt; if none is left, go on."""
        self._halts &= ~halts
        if self._is_taking or self._state == LOST:
            return
        if self._held_bytes:
            self._hold()
        if self._may_read:
            self._begun_ns = None  # it was we who took their time
            self._take_frames()
            # Who is halted by each of many texts would be read a little after each, else.
            if self._may_read:
                self._read_on()

    @property
    def _may_read(self) -> bool:
        return not self._halts and not (self._is_deaf and self._state <= ENDING)

    def _send_away(self) -> None:
        """Give up what waits: there is no turn for it, or no room."""
        if self._state == OPEN:
            self._governor.count_refused(OVERLOADED.reason)
        self._give_up(*OVERLOADED)

    def _give_up(self, code: int, reason: str) -> None:
        """Understand nothing more, and have the talk say why, unless it says good-bye already."""
        self._turn_deaf()
        self._end(code, reason)

    def _end(self, code: int, reason: str) -> None:
        """Have the talk say good-bye, once."""
        if self._state == OPEN:
            self._state = ENDING
            self._talk.end(code, reason)

    def _turn_deaf(self) -> None:
        """Throw away what has come and will; what is not read until we close is not sent either."""
        self._is_deaf = True
        self._unpark()
        self._reader.forget()
        self._hold()
        if self._state <= ENDING:
            self._read_no_more()

    def _unpark(self) -> None:
        """Leave the line, if this stands in it."""
        if self._parked is not None:
            self._parked = None
            self._governor.leave(self)

    def _read_no_more(self) -> None:
        if self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()

    def _read_on(self) -> None:
        if not self._is_reading:
            self._is_reading = True
            self.has_stirred = True  # it may have: nobody looked, and a ping may have gone out
            self._transport.resume_reading()
