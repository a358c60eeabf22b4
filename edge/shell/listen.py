"""Two listening sockets, taken before anything else is touched; and uvicorn on top of them."""

import contextlib
import errno
import socket
from collections.abc import Generator
from typing import TYPE_CHECKING, Final

import uvicorn
from starlette.types import ASGIApp
from typing_extensions import override

from edge.config import ConfigError
from edge.shell.acceptor import BACKLOG, Acceptor
from edge.shell.doorkeeper import Doorkeeper
from edge.shell.governed import GovernedProtocol
from edge.shell.governor import Governor
from edge.shell.wire import WireProtocol

if TYPE_CHECKING:
    import asyncio

IDLE_S: Final = 15
"""Keep-alive connections without a request are closed. Source: threats.md row 4."""

GRACE_S_MIN: Final = 1
"""For what has begun when the process leaves, however little it is given: verdicts that wait for a
sync, a socket's good-bye and its close. Source: design.md §3a rule 9."""


class PortTaken(Exception):  # noqa: N818  # the operator's to settle, not a bug
    """Somebody else listens there; the message says where and what to do."""


def listen(
    section: str, host: str, port: int, *, backlog: int | None = BACKLOG
) -> socket.socket:
    """Take *port* (0: a free one) on *host* and listen.

    Connections wait in the kernel until the server accepts them, so nobody is turned away
    while the spool is being read.

    Args:
        section: The settings' section, for the message.
        host: An address of this machine.
        port: 0..65535.
        backlog: Connections the kernel may hold; ``None`` only takes the port.

    Raises:
        PortTaken: Another process has it.
        ConfigError: This machine has no such address, or the port is not ours to take.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        if backlog is not None:
            sock.listen(backlog)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(
                f"{section}: port {port} on {host} is taken; stop the other process, or set "
                f"{section}.port to another one (0 takes a free one)"
            ) from error
        raise ConfigError(
            f"{section}.host", f"cannot listen on {host}:{port}: {error}"
        ) from error
    return sock


def address(sock: socket.socket) -> str:
    """Return ``host:port`` as one would type it."""
    host, port, *_ = sock.getsockname()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn without its signal handlers: our own process decides when it leaves."""

    def __init__(
        self,
        app: ASGIApp,
        doorkeeper: Doorkeeper,
        governor: Governor | None = None,
        *,
        grace_s: int,
    ) -> None:
        """Prepare to serve *app*; running requests get *grace_s* when it leaves.

        Args:
            app: Answers the requests.
            doorkeeper: Lets connections in.
            governor: Gives them their turn; ``None``: each request begins when it comes.
            grace_s: How long it waits for what has begun; at least ``GRACE_S_MIN``.
        """
        self._doorkeeper: Final = doorkeeper
        self._governor: Final = governor
        self._acceptors: list[Acceptor] = []
        super().__init__(
            uvicorn.Config(
                app,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",  # its own life is told by edge.server
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=IDLE_S,
                timeout_graceful_shutdown=max(grace_s, GRACE_S_MIN),
            )
        )

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve whoever comes by *sockets*, which listen; they are accepted by us."""
        await super().startup([])
        for sock in sockets or ():
            acceptor = Acceptor(sock, self._doorkeeper, self._make_protocol)
            acceptor.start()
            self._acceptors.append(acceptor)

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, tell each connection to leave, and let running requests end."""
        for acceptor in self._acceptors:
            await acceptor.stop()
        await super().shutdown(sockets)

    def _make_protocol(self) -> "asyncio.Protocol":
        """Choose httptools, never h11, which takes Content-Length beside chunks."""
        ours = self.config, self.server_state, self.lifespan.state
        if self._governor is None:
            return WireProtocol(*ours, doorkeeper=self._doorkeeper)
        return GovernedProtocol(*ours, doorkeeper=self._doorkeeper, governor=self._governor)

    @override
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave the process's signals alone."""
        yield
