"""A client of the gateway's socket: the thin asyncio shell around :mod:`loadtests.session`.

In: events without number and session, a purse of tokens; out: fates and pushes, told to a
listener. It owns the socket and the clock; what to do and when is the session's decision.

::

    async with Client(Address(url, k="player-7"), tokens, listener) as client:
        await client.say(event)   # waits while as many are without a verdict as may be
        await client.settled()    # every event has its fate
        await client.over()       # who goes on listening waits for the end, if there is one

The socket, its framing, and pings that find a dead one are the ``websockets`` package's.

Source: design.md §4 "WebSocket"; websockets, "asyncio client".
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Mapping, Sequence
from random import Random
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self, assert_never
from urllib.parse import urlencode

from typing_extensions import override
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Subprotocol

from loadtests.denial import told_by
from loadtests.ops import NotUnderstoodError, Push
from loadtests.outbox import Fate, Frame, OutboxFullError, Said
from loadtests.reconnect import CUT, Loss
from loadtests.session import Act, Connect, Fetch, HangUp, Over, Rules, Say, Session, Wait

SUBPROTOCOL: Final = Subprotocol("edge.v1.json")
NOT_UNDERSTOOD: Final = 1002  # Source: RFC 6455 §7.4.1, protocol error
OPEN_TIMEOUT_S: Final = (
    10.0  # of connecting and the handshake; a gateway answers in 5 s or never
)
TOKEN_TIMEOUT_S: Final = 10.0  # after which there is none now
CLOSE_TIMEOUT_S: Final = 1.0  # who does not close by then is cut
MESSAGE_BYTES_MAX: Final = 1 << 20  # 200 refusals take some 40 KiB
WRITE_BYTES_MAX: Final = (
    1 << 20
)  # above what may be under way: to send never waits for a network


class OverError(Exception):
    """The session ended for good; the message says how, the events without a fate stay so."""


class Address(NamedTuple):
    """Where a client connects to.

    Attributes:
        url: ``ws://HOST:PORT`` or ``wss://HOST``; a path goes before the gateway's.
        k: Keeps the session on one node; stable, never a secret.
        topics: Of pushes.
    """

    url: str
    k: str
    topics: Sequence[str] = ()

    @property
    def uri(self) -> str:
        """The whole of it."""
        query = {"k": self.k} | ({"topics": ",".join(self.topics)} if self.topics else {})
        return f"{self.url.rstrip('/')}/v1/stream?{urlencode(query, safe=',')}"


class Tokens(Protocol):
    """Where access tokens come from."""

    async def token(self, *, is_spent: bool) -> str | None:
        """Return a token; *is_spent*: another one than the last. ``None``: there is none now.

        Raises:
            OSError: Who issues them cannot be reached; counts as none now.
        """
        ...


class Listener:
    """Hears what becomes of events; does nothing with it, unless somebody overrides that.

    Each is called on the loop and must not block it. None is told that the session is over:
    that is :meth:`Client.over`'s.
    """

    def said(self, fresh: Sequence[Said]) -> None:
        """Note that these have their number now, and are sent next."""

    def told(self, fate: Fate) -> None:
        """Note the fate of one event: once for each."""

    def pushed(self, event: Mapping[str, Any]) -> None:
        """Note what the origin has to tell."""


class _Connect(connect):
    """Never follows a redirect: it would carry the token to wherever that points."""

    @override
    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Client:
    """One session with a gateway; a context manager that leaves no task and no socket.

    Args:
        address: Of the gateway.
        tokens: For the handshake and renewals.
        listener: Told what happens.
        session: To go on with; by default a new one with patience as *rules* says.
        rules: Its patience, unless *session* is given.

    Attributes:
        session: What it drives.
    """

    def __init__(
        self,
        address: Address,
        tokens: Tokens,
        listener: Listener | None = None,
        *,
        session: Session | None = None,
        rules: Rules | None = None,
    ) -> None:
        spread = Random()  # noqa: S311  # spreads retries; no secret
        self.session = Session(spread, rules) if session is None else session
        self._address = address
        self._tokens = tokens
        self._listener = listener or Listener()
        self._socket: ClientConnection | None = None
        self._stirred = asyncio.Event()
        self._told = asyncio.Event()
        self._life: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._life = asyncio.create_task(self._live())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._life is not None
        self._life.cancel()
        await asyncio.wait({self._life})
        if self._socket is not None:
            await self._socket.close()
        bug = None if self._life.cancelled() else self._life.exception()
        if bug is not None and not isinstance(bug, OverError):
            raise bug

    async def say(self, event: Mapping[str, Any]) -> None:
        """Take one event, as soon as there is room for it.

        Raises:
            ValueError: As :meth:`loadtests.outbox.Outbox.put`.
            OverError: It will never be sent.
        """
        while True:
            self._see_that_it_goes_on()
            with contextlib.suppress(OutboxFullError):
                self.session.outbox.put(event)
                self._stirred.set()
                return
            await self._news()

    async def settled(self) -> None:
        """Return when every event has its fate.

        Raises:
            OverError: That will not happen.
        """
        while self.session.outbox.unsettled:
            self._see_that_it_goes_on()
            await self._news()

    async def over(self) -> None:
        """Wait for as long as it goes on: for whoever only listens, and would never learn.

        Raises:
            OverError: The session ended for good.
        """
        assert self._life is not None, "enter the context first"
        await asyncio.wait({self._life})
        self._life.result()  # raises what ended it

    def _see_that_it_goes_on(self) -> None:
        assert self._life is not None, "enter the context first"
        if self._life.done():
            self._life.result()  # raises what ended it

    async def _news(self) -> None:
        """Wait until something was told, or it is over."""
        assert self._life is not None
        self._told.clear()
        told = asyncio.create_task(self._told.wait())
        try:
            await asyncio.wait({told, self._life}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()

    async def _live(self) -> None:
        """Do what the session says, until it is over."""
        async with asyncio.TaskGroup() as chores:
            act = self._next()
            while not isinstance(act, Over):
                await self._obey(act, chores)
                act = self._next()
        raise OverError(act.loss.words)

    def _next(self) -> Act:
        self._stirred.clear()  # what stirs from here on comes after the act
        return self.session.act(time.monotonic())

    async def _obey(
        self, act: Connect | Say | Fetch | HangUp | Wait, chores: asyncio.TaskGroup
    ) -> None:
        match act:
            case Connect(needs_new_token):
                await self._connect(chores, is_spent=needs_new_token)
            case Say(frame):
                await self._say(frame)
            case Fetch():
                chores.create_task(self._fetch())
            case HangUp():
                assert self._socket is not None, "a session that hangs up has a socket"
                self._socket.transport.abort()
            case Wait(until_s):
                await self._wait(until_s)
            case _ as never:  # pragma: no cover  # mypy and pyright see to it
                assert_never(never)

    async def _connect(self, chores: asyncio.TaskGroup, *, is_spent: bool) -> None:
        token = await self._token(is_spent=is_spent)
        if token is None:
            self._lose(Loss())
            return
        try:
            socket = await _Connect(
                self._address.uri,
                subprotocols=[SUBPROTOCOL],
                compression=None,
                additional_headers={"Authorization": f"Bearer {token}"},
                proxy=None,  # to this gateway, not to whom the environment names
                open_timeout=OPEN_TIMEOUT_S,
                close_timeout=CLOSE_TIMEOUT_S,
                max_size=MESSAGE_BYTES_MAX,
                write_limit=WRITE_BYTES_MAX,
            )
        except InvalidStatus as denied:
            self._lose(_denied(denied))
        except ConnectionRefusedError:  # nobody has what was never sent
            self._lose(Loss())
        except (OSError, InvalidHandshake):
            self._lose(Loss(is_unanswered=True))
        else:
            self._socket = socket
            self.session.opened(time.monotonic())
            chores.create_task(self._listen(socket))

    async def _listen(self, socket: ClientConnection) -> None:
        """Hear what comes, until the socket ends."""
        code = CUT
        try:
            while True:
                self._hear(await socket.recv(decode=False))
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd is not None else CUT
        except NotUnderstoodError:
            code = NOT_UNDERSTOOD
            await socket.close(code)
        self._socket = None
        self._lose(Loss(code))

    def _hear(self, text: bytes) -> None:
        for told in self.session.hear(text, time.monotonic()):
            if isinstance(told, Push):
                self._listener.pushed(told.event)
            else:
                self._listener.told(told)
        self._stirred.set()
        self._told.set()

    def _lose(self, loss: Loss) -> None:
        self.session.lose(loss, time.monotonic())
        self._stirred.set()

    async def _say(self, frame: Frame) -> None:
        if frame.fresh:
            self._listener.said(frame.fresh)
        if self._socket is not None:
            # Whoever listens to it notices the end of a socket, too.
            with contextlib.suppress(ConnectionClosed):
                await self._socket.send(frame.payload, text=True)

    async def _fetch(self) -> None:
        token = await self._token(is_spent=True)
        self.session.renew(token, time.monotonic())
        self._stirred.set()

    async def _token(self, *, is_spent: bool) -> str | None:
        try:
            async with asyncio.timeout(TOKEN_TIMEOUT_S):
                return await self._tokens.token(is_spent=is_spent)
        except OSError:  # which is what too long is, too
            return None

    async def _wait(self, until_s: float) -> None:
        timeout_s = None if until_s == math.inf else max(0.0, until_s - time.monotonic())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._stirred.wait()


def _denied(denied: InvalidStatus) -> Loss:
    asked = denied.response.headers.get("Retry-After", "")
    retry_after_s = float(asked) if asked.isascii() and asked.isdigit() else 0.0
    status, why = denied.response.status_code, told_by(denied.response.body)
    return Loss(status=status, retry_after_s=retry_after_s, why=why)
