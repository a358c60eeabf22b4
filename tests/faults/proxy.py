"""A TCP proxy that does to a connection what networks do: to what passes, or to all of it.

In: where to; out: an address to connect to. It owns a thread with an event loop, the listening
socket and both ends of every connection. What is switched while it runs holds for all
connections, those to come too, and separately for the two ways: ``up`` to the server, ``down``
to the client. No byte is ever changed or lost while its connection lasts: what a way holds back
arrives later, as TCP would have it.

Theory of operation
-------------------
One task per connection and way reads, and notes when each piece is due; another one waits for
that, and writes. Between them lies a queue of a bounded length, so a way that is held back fills
the sender's socket, and the sender notices as it would notice a network that lost everything.
"""

import asyncio
import contextlib
import math
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias

Address: TypeAlias = tuple[str, int]

PIECE_BYTES_MAX: Final = 1 << 16
PIECES_MAX: Final = 64  # with the sockets' own buffers 4 MiB under way, as on a fast long line
LOOK_S: Final = 0.01  # how late a way notices that it is open again
CONNECT_TIMEOUT_S: Final = 5.0
CALL_TIMEOUT_S: Final = 10.0  # of what is asked of its thread; milliseconds
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER with no time: close sends RST


@dataclass(slots=True)
class Way:
    """One direction of all connections; its members may be set at any time, by any thread.

    Attributes:
        latency_s: How much later than it was sent everything arrives.
        jitter_s: Of that, up to so much more; nothing overtakes.
        bytes_per_s: How much passes.
        is_held: A black hole: nothing passes, nobody is told.
        passed_bytes: So far.
    """

    latency_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float = math.inf
    is_held: bool = False
    passed_bytes: int = 0


@dataclass(eq=False)
class _Link:
    """One connection, which is two.

    Attributes:
        client: Whoever connected to us.
        server: To whom we connected for him.
        is_to_be_cut: The next piece of the server's ends it, and does not pass.
    """

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    is_to_be_cut: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])

    def reset(self) -> None:
        """End it with RST both ways; what is under way is lost."""
        for writer in (self.client, self.server):
            with contextlib.suppress(OSError):
                sock: socket.socket = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        for task in self.tasks:
            task.cancel()


class Proxy:
    """Between clients and one server; a context manager that leaves no connection.

    ::

        with Proxy(target) as proxy:
            connect(proxy.address)
            proxy.down.latency_s = 0.2
            proxy.up.is_held = True         # a black hole in one direction
            proxy.reset()                   # RST, to everybody
            proxy.refuse(); proxy.accept()  # nobody listens; somebody does again

    Args:
        target: The server; it need not be there.
        port: To listen on; 0 finds a free one.

    Attributes:
        up: What clients send.
        down: What the server sends.
        made: How many connections there ever were.
        cuts: How many of them were cut before an answer.
    """

    def __init__(self, target: Address, port: int = 0) -> None:
        self.up = Way()
        self.down = Way()
        self.made = 0
        self.cuts = 0
        self._target = target
        self._rng = random.Random(0)  # noqa: S311  # a seed replays
        self._links: set[_Link] = set()
        self._resets = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="proxy", daemon=True
        )
        self._server: asyncio.Server | None = None
        # Bound and never listening: while we refuse, nobody else gets the port.
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", port))

    @property
    def address(self) -> Address:
        """Where clients connect to."""
        host, port = self._place.getsockname()
        return host, port

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._links)

    def __enter__(self) -> Self:
        """Listen."""
        self._thread.start()
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        """End everything."""
        self.refuse()
        self._call(self._finish())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._place.close()

    def accept(self) -> None:
        """Listen, if nobody does."""
        self._call(self._listen())

    def refuse(self) -> None:
        """Take no new connection: whoever tries is refused. Those that are stay."""
        self._call(self._silence())

    def reset(self) -> None:
        """End all connections by RST, those too that are only half made."""
        self._call(self._reset())

    def end(self, *, of: Way) -> None:
        """Send FIN one way on each connection, as if that side had no more to say."""
        self._call(self._each(lambda link: _finish(self._writer(link, of))))

    def cut_before_answer(self) -> None:
        """Reset each connection of now at the server's next word, instead of passing it on.

        So what was asked is done, and whoever asked does not hear of it.
        """
        self._call(self._each(lambda link: setattr(link, "is_to_be_cut", True)))

    def heal(self) -> None:
        """Switch off all that is wrong; connections that were harmed stay so."""
        for way in (self.up, self.down):
            way.latency_s = way.jitter_s = 0.0
            way.bytes_per_s = math.inf
            way.is_held = False
        self._call(self._each(lambda link: setattr(link, "is_to_be_cut", False)))
        self.accept()

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_TIMEOUT_S)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._connected, *self.address, limit=PIECE_BYTES_MAX, reuse_address=True
            )

    async def _silence(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            for listening in server.sockets:
                self._loop.remove_reader(listening.fileno())
            # asyncio's server drops who was accepted and not yet attached when it closes.
            await asyncio.sleep(0)
            server.close()

    async def _reset(self) -> None:
        self._resets += 1
        await self._each(_Link.reset)

    async def _each(self, change: Callable[[_Link], None]) -> None:
        for link in list(self._links):
            change(link)

    async def _finish(self) -> None:
        """Wait until no task is left but this one; what was still connecting is reset too."""
        while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
            await self._reset()
            await asyncio.wait(tasks, timeout=LOOK_S)

    async def _connected(
        self, reader: asyncio.StreamReader, client: asyncio.StreamWriter
    ) -> None:
        resets = self._resets
        try:
            connecting = asyncio.open_connection(*self._target, limit=PIECE_BYTES_MAX)
            answers, server = await asyncio.wait_for(connecting, CONNECT_TIMEOUT_S)
        except OSError:  # or it took too long
            _Link(client, client).reset()  # as a refused connection ends, a moment later
            return
        link = _Link(client, server)
        if resets != self._resets:  # one came while it was connecting
            link.reset()
            return
        self._links.add(link)
        self.made += 1
        for source, way in ((reader, self.up), (answers, self.down)):
            pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(PIECES_MAX)
            link.tasks += [
                asyncio.create_task(self._read(source, pieces, way)),
                asyncio.create_task(self._write(link, pieces, way)),
            ]
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*link.tasks, return_exceptions=True)
        link.reset()
        self._links.discard(link)

    async def _read(
        self,
        source: asyncio.StreamReader,
        pieces: asyncio.Queue[tuple[float, bytes]],
        way: Way,
    ) -> None:
        """Take what comes, and note when it is due; an empty piece is the end."""
        piece = b"any"
        while piece:
            try:
                piece = await source.read(PIECE_BYTES_MAX)
            except OSError:
                piece = b""
            late_s = way.latency_s + self._rng.random() * way.jitter_s
            await pieces.put((time.monotonic() + late_s, piece))

    async def _write(
        self, link: _Link, pieces: asyncio.Queue[tuple[float, bytes]], way: Way
    ) -> None:
        """Pass on each piece when it is due, at the pace of the way."""
        writer = self._writer(link, way)
        while True:
            due_s, piece = await pieces.get()
            await asyncio.sleep(due_s - time.monotonic())
            if piece and link.is_to_be_cut and way is self.down:
                self.cuts += 1
                link.reset()
                return
            while way.is_held:  # noqa: ASYNC110  # any thread sets it, without a word to us
                await asyncio.sleep(LOOK_S)
            if not piece:
                _finish(writer)
                return
            await asyncio.sleep(len(piece) / way.bytes_per_s)
            way.passed_bytes += len(piece)
            writer.write(piece)
            try:
                await writer.drain()
            except OSError:
                link.reset()
                return

    def _writer(self, link: _Link, way: Way) -> asyncio.StreamWriter:
        return link.server if way is self.up else link.client


def _finish(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        if not writer.transport.is_closing():
            writer.write_eof()
