"""How one socket ends: a reason in; a close frame out, behind all there was to say, in time.

Theory of operation
-------------------
A socket ends because its talk says so, because its peer breaks a rule of the wire or a bound,
because the peer leaves, or by a bug. But for the last its talk is asked to *end*: it tells the
verdicts that are pending, as far as they come soon, then ``bye`` if there is one for that reason,
and then has us :meth:`~Leaving.close`. So nobody is closed on before it has heard what it is owed,
whatever it has done; and what was admitted while it said good-bye is told, too.

A peer that leaves, by a close frame or by saying no more, gets its own close frame back, or none:
RFC 6455 lets whoever is asked to close first finish what it was about to say.

Whoever is closed on is given ``close_s`` to read it, and all that still comes is read: to leave
it unread would reset the connection, and throw away what is under way. Nothing here is worth a
line in a log.

Source: RFC 6455 §5.5.1, §7; design.md §3a rule 9; threats.md rows 48, 49.
"""

from typing import TYPE_CHECKING

from typing_extensions import override
from websockets.frames import CloseCode

from edge.shell.clock import Clock
from edge.shell.stream.frames import CLOSE, close_frame, control_frame, read_close
from edge.shell.stream.speaking import CLOSED, ENDING, LOST, OPEN, WireLimits
from edge.shell.stream.taking import PEER, TALK, TURN, Taking, Talk

if TYPE_CHECKING:
    from edge.shell.governor import Governor


class Leaving(Taking):
    """What a talk may do with its socket to end it.

    Args:
        talk: Says good-bye.
        governor: As :class:`Taking` has it.
        clock: As well.
        limits: The same for all.
    """

    __slots__ = ("_answer", "_has_left")

    def __init__(
        self, talk: Talk, governor: "Governor", clock: Clock, limits: WireLimits
    ) -> None:
        super().__init__(talk, governor, clock, limits)
        self._has_left = False  # the peer: it will say no more
        self._answer: bytes | None = None  # to a peer that left first, instead of a close frame

    def stop_hearing(self) -> None:
        """Hear nothing more at all: the talk ends, and has only to speak."""
        if self._state == OPEN:
            self._state = ENDING
            self._unpark()
            self._go_on(TURN | TALK)

    def close(self, code: int, reason: str) -> None:
        """Send a close frame behind what was sent; the connection ends with the peer's."""
        if self._state > ENDING:
            return
        self._cut_after(self._limits.close_s)
        self._state = CLOSED
        self._unpark()
        if self._answer is None:
            self._code = code
            self._transport.write(close_frame(code, reason))
        else:
            self._transport.write(self._answer)
        if self._has_left:
            self._transport.close()
            return
        can_say_so = self._transport.can_write_eof() and not self._transport.is_closing()
        if self._is_deaf and can_say_so:
            self._transport.write_eof()
        self._read_on()  # even from within the loop that takes frames
        self._go_on(TURN | TALK | PEER)

    @override
    def fail(self) -> None:
        """End at once: there was a bug, and what is held here may be anything."""
        if self._state != LOST:
            self._is_deaf = True
            self._talk.fail()
            if self._state <= ENDING:  # it could not, or believed that it had
                self.abort()

    @override
    def _take_close(self, content: bytes) -> None:
        code = read_close(content)
        self._leave(code, control_frame(CLOSE, content))

    @override
    def _lose_peer(self) -> None:
        self._leave(CloseCode.ABNORMAL_CLOSURE, b"")

    def _leave(self, code: int, answer: bytes) -> None:
        """Learn that the peer has left; it still gets what is pending, then *answer*."""
        self._has_left = True
        self._turn_deaf()
        if self._state == OPEN:
            self._code, self._answer = code, answer
            self._end(code, "")
        elif self._state == CLOSED:
            self._transport.close()
