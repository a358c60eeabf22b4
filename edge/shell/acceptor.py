"""One listening socket's connections in, each to a protocol of its own, or away with a word.

uvloop could accept by itself, and would never ask. And where the system has no descriptor left it
asks again at once, for ever: libuv keeps one in reserve to take connections with and drop them,
but where a thread, or another process, is faster, it never gets that one back (seen at
libuv 1.52: 87 % of a core).

Theory of operation
-------------------
Whoever is not let in gets a ready answer by one write and is closed, with nothing made for it.
Where the system refuses, nothing is accepted for a while: those who connect meanwhile wait in
the kernel, and nothing spins. Loop thread.

At the end whoever waits in the kernel is let in once more, to be told to go elsewhere: closing a
listening socket resets them all. It is closed before the next turn of the loop, so that there is
no time in which others could line up behind them.

Source: accept(2), errors; asyncio's ``ACCEPT_RETRY_DELAY``.
"""

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Callable
from typing import Final

from edge.shell.doorkeeper import Doorkeeper, farewell

log: Final = logging.getLogger("edge.acceptor")

PER_TURN: Final = 16
"""Connections accepted in one turn of the loop, 1 ms: the requests of those that are in wait."""

BACKLOG: Final = 2048
"""Connections the kernel holds for us while we start, and so how many there can be at the end;
uvicorn's own default."""

PAUSE_S: Final = 1.0
"""When the system has no descriptor, or memory, for a connection: by then others have ended."""

_PASSING: Final = (
    errno.EINTR, errno.ECONNABORTED, errno.EPERM, errno.EPROTO,
    errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN,
    errno.EHOSTUNREACH, errno.ENONET,
)  # fmt: skip
"""One connection failed: the next one may be there. Source: accept(2), "Error handling"."""


class Acceptor:
    """Accepts from one socket, from :meth:`start` to :meth:`stop`.

    Args:
        sock: Listening; closed at the end.
        doorkeeper: Asked for each connection; told when one that was let in came to nothing.
        protocol: Makes what a connection is handed to, which tells the doorkeeper of its end.
    """

    def __init__(
        self,
        sock: socket.socket,
        doorkeeper: Doorkeeper,
        protocol: Callable[[], asyncio.Protocol],
    ) -> None:
        self._sock: Final = sock
        self._doorkeeper: Final = doorkeeper
        self._protocol: Final = protocol
        self._loop: Final = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._tasks: Final[set[asyncio.Task[None]]] = set()

    def start(self) -> None:
        """Accept from now on."""
        self._pause = None
        self._sock.setblocking(False)
        self._loop.add_reader(self._sock, self._take_turn)

    async def stop(self) -> None:
        """Accept who waits, then nobody; return when each accepted one has its protocol."""
        self._loop.remove_reader(self._sock)
        if self._pause is not None:
            self._pause.cancel()
        self._accept(BACKLOG)  # and no more: others may come as fast as these are accepted
        self._sock.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _take_turn(self) -> None:
        if not self._accept(PER_TURN):
            self._loop.remove_reader(self._sock)
            self._pause = self._loop.call_later(PAUSE_S, self.start)

    def _accept(self, most: int) -> bool:
        """Accept at most so many; return whether the system can."""
        for _ in range(most):
            try:
                connection, _ = self._sock.accept()
            except BlockingIOError:  # there is nobody any more
                return True
            except OSError as error:
                if error.errno in _PASSING:
                    continue
                log.warning("no connection can be accepted", extra={"cause": error.strerror})
                return False
            connection.setblocking(False)
            if self._doorkeeper.let_in():
                task = self._loop.create_task(self._hand_over(connection))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                with connection, contextlib.suppress(OSError):  # it left, or takes nothing
                    connection.send(farewell())
        return True

    async def _hand_over(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except BaseException as error:
            connection.close()
            self._doorkeeper.let_out()
            if not isinstance(error, OSError):  # then it left already
                raise
