"""uvicorn's HTTP protocol as we run it: an answer leaves whole, in one write.

uvicorn writes head and body apart, and its loop makes a system call and a packet of each: the
client is woken twice. It also looks at each header of each answer with two regular expressions,
where ours are written by this package. Both together were a sixth of what a request of one
event cost. Whatever is unusual about an answer goes uvicorn's own way. uvicorn's concurrency
limit, its sub-applications and its upgrade to WebSocket are left out: nothing here uses them.

A request to upgrade to WebSocket goes to the application as any other, but the answer is its
connection's last: what comes behind it may be frames. Any other upgrade is not ours to make, so
a request is read as if it did not ask: the parser, which takes the body of one that asks for
the other protocol, is fed its head anew, without the question.

Source: RFC 9110 §7.8.
"""

import asyncio
from collections.abc import Sized
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url
from typing_extensions import override
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from edge.shell.doorkeeper import Doorkeeper
from edge.shell.upgrade import is_websocket, without_upgrade

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGISendEvent, HTTPResponseStartEvent

LINGER_S: Final = 0.25
"""An idle connection of a process that leaves is open for so long: what is on its way by then,
over any distance, is still answered, and whoever sends four times a second is told to go."""

_CLOSE: Final = (b"connection", b"close")


class ReadingInTurn(FlowControl):
    """Reads on only when no request waits for its turn: one read can bring thousands.

    Args:
        transport: The connection's.
        pipeline: What was read ahead.
    """

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    @override
    def resume_reading(self) -> None:
        """Go on, unless something still waits."""
        if self.read_paused and not self._pipeline:
            super().resume_reading()


class WireProtocol(HttpToolsProtocol):
    """One connection; differs from uvicorn's in what answers its requests.

    Args:
        *ours: What uvicorn gives each of its protocols.
        doorkeeper: Has let it in, and learns when it leaves; ``None``: nobody asks.
        **named: As *ours*.
    """

    def __init__(
        self,
        *ours: Any,
        doorkeeper: Doorkeeper | None = None,
        **named: Any,
    ) -> None:
        super().__init__(*ours, **named)
        self._doorkeeper = doorkeeper
        self._is_last = False  # the request that has begun: it asks for an upgrade
        self._is_read_again = False  # its head, without the upgrade that it asked for

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        stream = cast("asyncio.Transport", transport)
        super().connection_made(stream)
        self.flow = ReadingInTurn(stream, self.pipeline)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Make room for another."""
        super().connection_lost(exc)
        if self._doorkeeper is not None:
            self._doorkeeper.let_out()

    @override
    def data_received(self, data: bytes) -> None:
        """Parse *data*, up to an upgrade; uvicorn's in short."""
        self._unset_keepalive_if_required()
        parser = self.parser
        assert parser is not None, "it is there until the connection is lost"
        while data:
            try:
                parser.feed_data(data)
            except HttpParserUpgrade as upgrade:
                (end,) = upgrade.args
                data = self._behind_upgrade(data[end:])
            except HttpParserError:
                words = "Invalid HTTP request received."
                self.logger.warning(words)
                self.send_400_response(words)
                return
            else:
                return

    @override
    def shutdown(self) -> None:
        """End when what is under way is answered; if nothing is, when nothing more can be.

        Source: RFC 9112 §9.6: a request may be on its way while the connection is closed.
        """
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # until the first
            self.loop.call_later(LINGER_S, super().shutdown)
        else:
            super().shutdown()

    @override
    def on_headers_complete(self) -> None:
        """Begin the request, unless its head is to be read again."""
        parser = self.parser
        assert parser is not None, "it is there until the connection is lost"
        if parser.should_upgrade():
            self._is_last = parser.get_method() == b"CONNECT" or is_websocket(self.headers)
            self._is_read_again = not self._is_last
        if not self._is_read_again:
            self._begin_request(parser)

    @override
    def on_message_complete(self) -> None:
        """Tell the application that this was all, unless the body is still to come."""
        if not self._is_read_again:
            super().on_message_complete()

    def _behind_upgrade(self, rest: bytes) -> bytes:
        """Return what to parse of *rest*, which came behind a head that asks for an upgrade."""
        if not self._is_read_again:
            return b""  # the answer, here never a switch, is the last
        self._is_read_again = False
        parser = self.parser
        assert parser is not None, "it is there until the connection is lost"
        line = b"%b %b HTTP/%b" % (
            parser.get_method(),
            self.url,
            parser.get_http_version().encode(),
        )
        return without_upgrade(line, self.headers) + rest

    def _begin_request(self, parser: HttpRequestParser) -> None:
        """Have the request answered: at once, or after those before it on the connection."""
        http_version = parser.get_http_version()
        url = parse_url(self.url)
        self.scope["method"] = parser.get_method().decode("ascii")
        self.scope["http_version"] = http_version
        self.scope["raw_path"] = url.path
        self.scope["path"] = unquote(url.path.decode("ascii"))
        self.scope["query_string"] = url.query or b""
        before = cast("RequestResponseCycle | None", self.cycle)
        self.cycle = WholeAnswer(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=http_version != "1.0"
            and parser.should_keep_alive()
            and not self._is_last,
            on_response=self.on_response_complete,
        )
        app = cast("ASGI3Application", self.app)  # pyright: ignore[reportUnknownMemberType]  # uvicorn's union of all versions
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, app))


class WholeAnswer(RequestResponseCycle):
    """One request's way through the application; keeps the answer's head for its body."""

    _start: "HTTPResponseStartEvent | None" = None

    @override
    async def send(self, message: "ASGISendEvent") -> None:
        """Take one message of the answer, as ASGI has it."""
        if message["type"] == "http.response.start" and not self.response_started:
            self._start = message
            return
        start, self._start = self._start, None
        if start is not None:
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                body = message.get("body", b"")
                head = self._head_for(start, body)
                if head and not self.flow.write_paused and not self.disconnected:
                    self._answer(head + body)
                    return
            await super().send(start)
        await super().send(message)

    def _head_for(self, start: "HTTPResponseStartEvent", body: bytes) -> bytes:
        """Return the answer's head; nothing if there is anything unusual about it."""
        stated = list(start.get("headers", ()))
        is_unusual = (
            (b"content-length", b"%d" % len(body)) not in stated
            or self.scope["method"] == "HEAD"
            or any(name == b"connection" for name, _ in stated)
        )
        if is_unusual:
            return b""
        headers = [*self.default_headers, *stated, *(() if self.keep_alive else (_CLOSE,))]
        lines = [b"%b: %b\r\n" % header for header in headers]
        head = b"".join((STATUS_LINE[start["status"]], *lines, b"\r\n"))
        # A line break within a header would be a header, or an answer, of somebody else's.
        is_plain = head.count(b"\r") == head.count(b"\n") == len(headers) + 2
        return head if is_plain else b""

    def _answer(self, answer: bytes) -> None:
        self.response_started = self.response_complete = True
        self.waiting_for_100_continue = False
        if not self.transport.is_closing():  # of a request behind this one that was no HTTP
            self.transport.write(answer)
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()
