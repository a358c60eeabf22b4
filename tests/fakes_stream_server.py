"""The model of a gateway's socket behind a real one, of the ``websockets`` package.

In: connections of real clients; out: what :class:`tests.fakes_stream.FakeGateway` says, at once.
What the model has against the client is raised on the way out.
"""

import contextlib
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from tests.fakes_stream import FakeGateway, FakeSocket


@dataclass(frozen=True)
class Denied:
    """An answer to a handshake that is no 101."""

    status: int
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: str = "no\n"


@dataclass
class StreamServer:
    """Where clients connect to.

    Attributes:
        gateway: Judges.
        denials: Answers to the next handshakes.
        cuts_after: Each socket is cut when it has sent so many frames; 0: none is.
        is_deaf: It hears, and says nothing more after ``welcome``.
        greeting: Said instead of ``welcome``.
        requests: Handshakes that came: path and ``Authorization``.
        closes: Close codes of sockets that ended.
        texts: What was heard, all sockets together.
        sockets: Their ends in the model.
    """

    gateway: FakeGateway = field(
        default_factory=lambda: FakeGateway(Random(0))  # noqa: S311  # no secret
    )
    denials: deque[Denied] = field(default_factory=deque[Denied])
    cuts_after: int = 0
    is_deaf: bool = False
    greeting: str | bytes | None = None
    requests: list[tuple[str, str | None]] = field(
        default_factory=list[tuple[str, "str | None"]]
    )
    closes: list[int | None] = field(default_factory=list["int | None"])
    texts: list[str | bytes] = field(default_factory=list["str | bytes"])
    sockets: list[FakeSocket] = field(default_factory=list[FakeSocket])
    _bugs: list[AssertionError] = field(default_factory=list[AssertionError])
    _server: Server | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        host, port = next(iter(self._server.sockets)).getsockname()[:2]
        return f"ws://{host}:{port}"

    @contextlib.asynccontextmanager
    async def open(self, port: int = 0) -> AsyncGenerator["StreamServer"]:
        """Listen; port 0 takes a free one.

        Raises:
            AssertionError: The client broke its side of the contract.
        """
        async with serve(
            self._met,
            "127.0.0.1",
            port,
            subprotocols=[Subprotocol("edge.v1.json")],
            process_request=self._knocked,
            compression=None,
            close_timeout=1,
        ) as self._server:
            yield self
        if self._bugs:
            raise self._bugs[0]

    async def flush(self, connection: ServerConnection, socket: FakeSocket) -> None:
        """Send what the model has to say, and close if it has taken leave."""
        while socket.said:
            await connection.send(socket.said.pop(0))
        if not socket.is_open:
            await connection.close(1012)

    def _knocked(self, connection: ServerConnection, request: Request) -> Response | None:
        self.requests.append((request.path, request.headers.get("Authorization")))
        if not self.denials:
            return None
        denied = self.denials.popleft()
        response = connection.respond(HTTPStatus(denied.status), denied.body)
        response.headers.update(denied.headers)
        return response

    async def _met(self, connection: ServerConnection) -> None:
        try:
            await self._listen(connection)
        except ConnectionClosed:
            pass
        except AssertionError as bug:
            self._bugs.append(bug)
        await connection.wait_closed()
        self.closes.append(connection.close_code)

    async def _listen(self, connection: ServerConnection) -> None:
        socket = self.gateway.welcome()
        self.sockets.append(socket)
        if self.greeting is not None:
            await connection.send(self.greeting)
            return
        await self.flush(connection, socket)
        heard = 0
        async for text in connection:
            self.texts.append(text)
            heard += 1
            if heard == self.cuts_after:
                connection.transport.abort()
                return
            if not self.is_deaf:
                self._judge(socket, text)
                await self.flush(connection, socket)

    def _judge(self, socket: FakeSocket, text: str | bytes) -> None:
        self.gateway.hear(socket, text)
        for lane in ("bet", "game"):
            self.gateway.commit(lane)
        self.gateway.report(socket)
