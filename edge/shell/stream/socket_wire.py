"""One open socket's connection, behind its handshake: what the transport calls.

The handshake is HTTP's; :meth:`SocketProtocol.follow` takes the connection over behind it. It is
one object in four parts, each with its own file, for ten thousand of them are kept:
:mod:`~edge.shell.stream.speaking` (what is sent, and the states all go by),
:mod:`~edge.shell.stream.taking` (what comes, in its turn), :mod:`~edge.shell.stream.leaving` (how
it ends), and this one.
"""

import asyncio
from typing import TYPE_CHECKING

from typing_extensions import override

from edge.core.closing import DRAINING
from edge.shell.clock import Clock
from edge.shell.stream.guard import guarded
from edge.shell.stream.leaving import Leaving
from edge.shell.stream.speaking import ENDING, LOST, OPEN, WireLimits
from edge.shell.stream.taking import PEER, Talk
from edge.shell.upgrade import Berth

if TYPE_CHECKING:
    from edge.shell.governor import Governor


class SocketProtocol(Leaving):
    """One connection behind its handshake.

    Args:
        talk: Hears, and speaks by what is public here.
        governor: Says whose turn it is.
        clock: Its steady one measures rates, and how long anything takes.
        limits: The same for all.
    """

    __slots__ = ("_berth",)

    def __init__(
        self, talk: Talk, governor: "Governor", clock: Clock, limits: WireLimits
    ) -> None:
        super().__init__(talk, governor, clock, limits)
        self._berth: Berth

    @guarded
    def follow(self, transport: asyncio.Transport, berth: Berth, unread: bytes) -> None:
        """Take the connection over: the handshake's answer is written.

        Args:
            transport: Has this as its protocol already.
            berth: To be left when the connection is lost.
            unread: What the peer sent behind its handshake.
        """
        self._transport = transport
        self._berth = berth
        self._talk.begin(self)  # first: a talk that knows no wire could end nothing
        most = self._limits.write_buffer_bytes
        transport.set_write_buffer_limits(high=most, low=most)
        if unread:
            self._take(unread)

    @override
    @guarded
    def data_received(self, data: bytes) -> None:
        """Take the frames that came, as far as nothing halts."""
        self._take(data)

    @override
    @guarded
    def eof_received(self) -> bool:
        """Tell a peer that says no more what it still waits for, then close."""
        self._take_end()
        return self._transport.can_write_eof()  # else TLS, which closes by itself, and says so

    @override
    @guarded
    def pause_writing(self) -> None:
        """Hear nothing from a peer that does not read; cut it if that lasts."""
        self._halts |= PEER
        if self._state <= ENDING:
            self._cut_after(self._limits.write_buffer_s)

    @override
    @guarded
    def resume_writing(self) -> None:
        """Hear it again."""
        if self._state <= ENDING:  # else it has little time anyway
            self._call_off_cut()
        self._go_on(PEER)

    @override
    @guarded
    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the talk, once."""
        self._state = LOST
        self._call_off_cut()
        self._berth.leave(self)
        talk = self._talk
        del self._talk  # it knows us, and would be kept with us
        talk.lost(self._code)
        self._turn_deaf()

    @guarded
    def shutdown(self) -> None:
        """Leave, with the process."""
        if self._state == OPEN:
            self._talk.end(*DRAINING)
