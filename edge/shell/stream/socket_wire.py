"""One open socket's connection: frames in, each text in its turn to a talk; frames out.

Theory of operation
-------------------
The handshake is HTTP's; :meth:`SocketProtocol.follow` takes the connection over behind it. From
then on there is no task and no queue: bytes come, frames are cut out of them, and a text frame
*lines up* with the governor as a request does. Until its turn it is *parked*, and nothing
behind it is looked at. It is not refused as a request would be, for its client does not ask
again by itself; but one that has waited ``wait_s`` tells it that this node is overloaded.

=========  =====================================================  =============================
state      what comes                                             what may be sent
=========  =====================================================  =============================
OPEN       texts are heard, pings answered                        all
ENDING     texts are dropped, pings answered                      all: the talk says good-bye
CLOSING    until the peer's close frame                           nothing: ours is written
DEAF       dropped unread                                         nothing
LOST       nothing any more                                       nothing
=========  =====================================================  =============================

Something may *halt* the socket: the talk, whose events are not on disk yet; its turn, which has
not come; the peer, which does not read; a flood. What one read has brought by then waits; the
next one is the last until nothing halts it: to stop reading before that would cost two system
calls each time. Frames have a budget each second, and control frames another; both let a burst
through that is as long as somebody may have been parked, or in a tunnel.

Whoever breaks the protocol or a bound of the wire is told so by a close frame, is no more heard,
and is given ``close_s`` to read it: to close at once would reset the connection, and throw
away what is under way. Nothing here is worth a line in a log.

Source: RFC 6455 §5.5, §7; threats.md rows 14, 15, 17, 21, 48, 49, 50.
"""

import asyncio
from typing import TYPE_CHECKING, Final, Protocol

from typing_extensions import override
from websockets.frames import CloseCode

from edge.core.instant import NS_PER_S
from edge.shell.clock import Clock
from edge.shell.stream.frames import (
    CLOSE,
    PING,
    PONG,
    TEXT,
    FrameError,
    FrameReader,
    close_frame,
    control_frame,
    read_close,
    text_frame,
)
from edge.shell.stream.speaking import CLOSING, DEAF, ENDING, LOST, OPEN, Speaking, WireLimits
from edge.shell.upgrade import Berth

if TYPE_CHECKING:
    from edge.shell.governor import Governor

__all__ = ["SocketProtocol", "Talk", "WireLimits", "text_frame"]

FLOOD: Final = 4429
"""Source: design.md §4."""

_TALK: Final = 1  # what halts a socket, one bit each
_TURN: Final = 2
_PEER: Final = 4
_OVERRUN: Final = 8


class Talk(Protocol):
    """What is said on a socket. Called on the loop; none of these raises."""

    def begin(self, wire: "SocketProtocol") -> None:
        """It is open."""
        ...

    def hear(self, text: bytes) -> None:
        """The peer says *text*, which is UTF-8."""
        ...

    def pong(self) -> None:
        """The peer has answered a ping, or says that it is there."""
        ...

    def end(self, code: int, reason: str) -> None:
        """It has to end with that: say good-bye, then close. Nothing more will be heard."""
        ...

    def lost(self, code: int) -> None:
        """It is gone; *code* is ours if we closed it, else the peer's, or 1006 if it has none."""
        ...


class SocketProtocol(Speaking):
    """One connection behind its handshake.

    Args:
        talk: Hears, and speaks by what is public here.
        governor: Says whose turn it is.
        clock: Its steady one measures rates, and how long a text is parked.
        limits: The same for all.
    """

    __slots__ = (
        "_berth",
        "_clock",
        "_controls_due_ns",
        "_governor",
        "_halts",
        "_held_bytes",
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
        self._berth: Berth
        self._halts = 0
        self._is_reading = True
        self._is_taking = False  # frames, in a loop further down the stack
        self._parked: bytes | None = None
        self._parked_ns = 0
        self._held_bytes = 0  # with the governor, while parked
        self._texts_due_ns = 0  # where the budget of texts would be used up by now; GCRA
        self._controls_due_ns = 0

    def follow(
        self,
        transport: asyncio.Transport,
        berth: Berth,
        unread: bytes,
    ) -> None:
        """Take the connection over: the handshake's answer is written.

        Args:
            transport: Has this as its protocol already.
            berth: To be left when the connection is lost.
            unread: What the peer sent behind its handshake.
        """
        most = self._limits.write_buffer_bytes
        transport.set_write_buffer_limits(high=most, low=most)
        self._transport = transport
        self._berth = berth
        self._talk.begin(self)
        if unread:
            self.data_received(unread)

    # What the talk calls.

    @property
    def is_halted(self) -> bool:
        """Whether nothing is read just now, so that silence proves nothing."""
        return self._halts != 0

    def pause(self) -> None:
        """Hear nothing until :meth:`resume`."""
        self._halts |= _TALK

    def resume(self) -> None:
        """Hear again, beginning with what came meanwhile; within this call."""
        self._go_on(_TALK)

    def stop_hearing(self) -> None:
        """Hear nothing more at all: the talk ends, and has only to speak."""
        if self._state == OPEN:
            self._state = ENDING
            self._unpark()
            self._go_on(_TURN | _TALK)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame behind what was sent; the connection ends with the peer's."""
        if self._state <= ENDING:
            is_flood = self._halts & _OVERRUN
            self._begin_close(DEAF if is_flood else CLOSING, code, close_frame(code, reason))

    # What the governor calls.

    def begin(self) -> None:
        """Hear what is parked: it is its turn."""
        text = self._parked
        if text is not None:  # else it ended since the turn began
            self._release()
            self._talk.hear(text)  # still halted: nothing overtakes it
            self._go_on(_TURN)

    def refuse(self) -> None:
        """Line up again, unless it has been too long."""
        if self._parked is None:
            return
        waited_ns = self._clock.now().steady_ns - self._parked_ns
        if waited_ns >= self._limits.wait_s * NS_PER_S:
            self._overload()
        elif self._governor.line_up(self):
            self.begin()

    def fail(self) -> None:
        """Close: a bug kept it from its turn."""
        self._fail(CloseCode.INTERNAL_ERROR, "internal_error")

    # What the transport and the server call.

    @override
    def data_received(self, data: bytes) -> None:
        """Take the frames that came, as far as nothing halts."""
        if self._state >= DEAF:
            return
        self._reader.feed(data)
        if not self._halts:
            self._take_frames()
            return
        if self._is_reading:
            self._is_reading = False
            self._transport.pause_reading()
        self._hold(len(data))

    @override
    def eof_received(self) -> None:
        """Have the connection closed: a peer that says no more has left."""
        self._cut_after(self._limits.close_s)

    @override
    def pause_writing(self) -> None:
        """Hear nothing from a peer that does not read; cut it if that lasts."""
        self._halts |= _PEER
        if self._state <= ENDING:
            self._cut_after(self._limits.write_buffer_s)

    @override
    def resume_writing(self) -> None:
        """Hear it again."""
        is_leaving = self._transport.is_closing()  # and has a bound of its own
        if self._timer is not None and self._state <= ENDING and not is_leaving:
            self._timer.cancel()
            self._timer = None
        self._go_on(_PEER)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the talk, once."""
        self._unpark()
        self._reader.forget()
        self._state = LOST
        if self._timer is not None:
            self._timer.cancel()
        self._berth.leave(self)
        self._talk.lost(self._code)
        del self._talk  # it knows us, and would be kept with us

    def shutdown(self) -> None:
        """Leave, with the process."""
        if self._state == OPEN:
            self._talk.end(CloseCode.SERVICE_RESTART, "draining")

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
            self._fail(error.code, error.reason)
        finally:
            self._is_taking = False

    def _take_text(self, text: bytes) -> None:
        now_ns = self._clock.now().steady_ns
        due_ns = max(self._texts_due_ns, now_ns)
        limits = self._limits
        if due_ns - now_ns > limits.wait_s * NS_PER_S:
            self._overrun()
            return
        self._texts_due_ns = due_ns + NS_PER_S // limits.frames_per_s
        if self._state != OPEN:
            return
        if self._governor.line_up(self):
            self._talk.hear(text)
        else:
            self._parked, self._parked_ns = text, now_ns
            self._halts |= _TURN
            self._hold(len(text) + self._reader.unread_bytes)

    def _take_control(self, opcode: int, content: bytes) -> None:
        now_ns = self._clock.now().steady_ns
        due_ns = max(self._controls_due_ns, now_ns)
        if due_ns - now_ns > self._limits.wait_s * NS_PER_S:
            self._fail(CloseCode.POLICY_VIOLATION, "too many control frames")
            return
        self._controls_due_ns = due_ns + NS_PER_S // self._limits.control_frames_per_s
        if self._state > ENDING:
            return
        if opcode == PING:
            self._transport.write(control_frame(PONG, content))
        else:
            self._talk.pong()

    def _take_close(self, content: bytes) -> None:
        code = read_close(content)
        if self._state <= ENDING:
            self._begin_close(DEAF, code, control_frame(CLOSE, content))
        self._turn_deaf()
        self._transport.close()

    def _hold(self, size_bytes: int) -> None:
        """Keep *size_bytes* that came, or stay, before their turn, if there is room for them."""
        if self._parked is None:
            return
        if self._governor.hold(size_bytes):
            self._held_bytes += size_bytes
        else:
            self._overload()

    def _release(self) -> None:
        """Let go of what was parked; still halted by it."""
        self._governor.release(self._held_bytes)
        self._held_bytes, self._parked = 0, None

    def _unpark(self) -> None:
        """Leave the line, if this stands in it."""
        if self._parked is not None:
            self._governor.leave(self)
            self._release()

    def _overload(self) -> None:
        """Give up to wait: the peer may find another node."""
        self._governor.count_refused()
        self._unpark()
        self._end(CloseCode.TRY_AGAIN_LATER, "overloaded")
        self._go_on(_TURN)

    def _overrun(self) -> None:
        """Read no more from a peer that says too much."""
        if self._state > ENDING:
            self._turn_deaf()
            return
        self._halts |= _OVERRUN
        self._end(FLOOD, "flood")

    def _end(self, code: int, reason: str) -> None:
        """Have the talk say good-bye, once."""
        if self._state == OPEN:
            self._state = ENDING
            self._talk.end(code, reason)

    def _go_on(self, halt: int) -> None:
        """Take off one reason to halt, or more; if none is left, go on."""
        self._halts &= ~halt
        if self._halts or self._is_taking or self._state == LOST:
            return
        if not self._is_reading:
            self._is_reading = True
            self._transport.resume_reading()
        self._take_frames()

    def _fail(self, code: int, reason: str) -> None:
        """Close at once, without the talk, and read nothing more that can be understood."""
        if self._state <= ENDING:
            self._begin_close(DEAF, code, close_frame(code, reason))
        else:
            self._turn_deaf()

    def _begin_close(self, state: int, code: int, frame: bytes) -> None:
        """Write our close frame; go on as *state* says, for a while."""
        self._unpark()
        self._code = code
        self._state = state
        self._transport.write(frame)
        self._cut_after(self._limits.close_s)
        if state == DEAF:
            self._turn_deaf()
            if self._transport.can_write_eof() and not self._transport.is_closing():
                self._transport.write_eof()
        self._go_on(self._halts)

    def _turn_deaf(self) -> None:
        """Understand nothing more; all is still read, for an unread rest resets a connection."""
        self._state = max(self._state, DEAF)
        self._reader.forget()
