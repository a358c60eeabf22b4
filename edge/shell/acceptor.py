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

PAUSE_S: Final = 1.0
"""When the system has no descriptor, or memory, for a connection: by then others have ended."""

_PASSING: Final = (
    errno.EAGAIN, errno.EINTR, errno.ECONNABORTED, errno.EPERM, errno.EPROTO,
    errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTDOWN,
    errno.EHOSTUNREACH, errno.ENONET,
)  # fmt: skip
"""There is nobody any more, or one connection failed: the next one may be there. Source:
accept(2), "Error handling"."""


class Acceptor:
    """Accepts from one socket, from :meth:`start` to :meth:`stop`.

    Args:
        sock: Listening; closed by whoever made it.
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
        self._loop.add_reader(self._sock, self._accept)

    def stop(self) -> None:
        """Accept nothing more; what was accepted goes its way."""
        self._loop.remove_reader(self._sock)
        if self._pause is not None:
            self._pause.cancel()

    def _accept(self) -> None:
        for _ in range(PER_TURN):
            try:
                connection, _ = self._sock.accept()
            except OSError as error:
                if error.errno not in _PASSING:
                    self._wait(error)
                return
            connection.setblocking(False)
            if self._doorkeeper.let_in():
                task = self._loop.create_task(self._hand_over(connection))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            else:
                with connection, contextlib.suppress(OSError):  # it left, or takes nothing
                    connection.send(farewell())

    async def _hand_over(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # it left already
            connection.close()
            self._doorkeeper.let_out()

    def _wait(self, error: OSError) -> None:
        log.warning("no connection can be accepted", extra={"cause": error.strerror})
        self._loop.remove_reader(self._sock)
        self._pause = self._loop.call_later(PAUSE_S, self.start)
