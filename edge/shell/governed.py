"""The public port's protocol: nothing begins before its turn, and what waits too long is refused.

In: bytes as they come; out: requests in their turn, to the application; or a ready-made 503.

Theory of operation
-------------------
A connection that has something to begin, a request that has just come or one that was sent
behind it, *lines up* with the :class:`edge.shell.governor.Governor`. Until its turn it is
*parked*: what the first read brought (at most 250 kB, as uvloop reads; as a rule a whole
request) is held unparsed. Only the second read is the last one, and the rest is left in the
socket: to stop before it is needed would cost nearly every request two system calls. All that
is held together has a bound, the governor's; beyond it a request is refused at once.

When a turn comes the bytes are parsed, and all goes uvicorn's way. The rest of a request that
has begun needs no turn of its own. When none comes the same parser reads the same bytes, for it
alone knows where the request ends, and a 503 is written where the application would have been
called: no task, no token, no look at the body. The connection stays, unless its client waits for
``100 Continue`` or wants it closed, or the body may be longer than any that is accepted; and for
the rest of the body it waits no longer than for a next request.

Answers leave in the order of the requests, since nothing behind a request is begun before its
answer is written. ``AHEAD_MAX`` requests behind it are parsed; the rest is held as it is.

So is all behind a WebSocket's handshake, for the protocol that may *follow*: the application
calls :meth:`GovernedProtocol.switch`, which it finds in its scope, instead of answering. Then the
connection is somebody else's, and HTTP lets go of all it had of it, so that ten thousand sockets
do not keep as many parsers.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Final, cast

from typing_extensions import override
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

from edge.shell.answers import Headers, overloaded
from edge.shell.head import BODY_BYTES_MAX
from edge.shell.upgrade import EXTENSION, Berth, Successor, switching
from edge.shell.wire import ReadingInTurn, WireProtocol

if TYPE_CHECKING:
    from httptools import HttpRequestParser
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from edge.shell.governor import Governor

AHEAD_MAX: Final = 16
"""Requests parsed behind one that is not answered. Source: threats.md row 69."""

SLICE_BYTES: Final = 4096
"""Parsed at a time, so that ``AHEAD_MAX`` is looked at before thousands are: the shortest
request has 18 B. An event fits into one slice; a batch of 50 pays 5 µs."""


class _Unbegun:
    """What a connection has read and not begun, as its flow control asks."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: "GovernedProtocol") -> None:
        self._protocol = protocol

    def __len__(self) -> int:
        return len(self._protocol.pipeline) + len(self._protocol.held)


class GovernedProtocol(WireProtocol):
    """One connection of the public port.

    Args:
        *ours: What :class:`WireProtocol` takes.
        governor: Says whose turn it is.
        **named: As *ours*.

    Attributes:
        held: Read and not parsed.
    """

    def __init__(self, *ours: Any, governor: "Governor", **named: Any) -> None:
        super().__init__(*ours, **named)
        self.held = b""
        self._governor = governor
        self._is_parked = False
        self._is_within = False  # a request: its head is parsed, its body not
        self._is_refusing = False
        self._refused = 0  # since then
        self._patience: asyncio.TimerHandle | None = None  # with the rest of what is refused

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        super().connection_made(transport)
        self.flow = ReadingInTurn(self.transport, _Unbegun(self))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the line."""
        self._governor.leave(self)
        self._take()
        self._end_refusing()
        super().connection_lost(exc)

    @override
    def data_received(self, data: bytes) -> None:
        """Go on with what has begun, or line up."""
        if self.held:
            self._hold(data)
        elif self._is_within or self._is_refusing:
            self._governor.begin_beside()
            self._parse(data)
        elif self._is_parked or (
            self.cycle is not None  # type: ignore[redundant-expr]  # until the first
            and not self.cycle.response_complete
        ):
            self._hold(data)
        elif self._governor.line_up(self):
            self._parse(data)
        else:
            self._is_parked = True
            self._hold(data)

    def begin(self) -> None:
        """Have the next request answered: it is its turn."""
        self._is_parked = False
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        if self.held and not (self.pipeline or self._is_last):
            self._parse(self._take())

    def refuse(self) -> None:
        """Refuse the next request: its turn did not come."""
        self._is_parked = False
        is_read = False
        if self.pipeline:
            cycle, _ = self.pipeline.pop()
            cycle.response_complete = True
            is_kept = cycle.keep_alive and not cycle.waiting_for_100_continue
            headers = list(cycle.scope["headers"])
            self._answer_no(cycle.scope["method"], headers, keep_alive=is_kept)
            is_read = cycle is not self.cycle or not self._is_within
        if is_read:
            self._refused = 0
            self.on_response_complete()
        else:
            self._is_refusing = True
            self._parse(self._take())

    def fail(self) -> None:
        """End the connection: a bug kept it from its turn."""
        self.transport.close()

    @override
    def shutdown(self) -> None:
        """Be answered now, by an application that takes no more events; then end."""
        if self._is_parked:
            self._governor.leave(self)
            self.begin()
        super().shutdown()

    def switch(self, headers: Headers, successor: Successor) -> bool:
        """Answer 101, and hand the connection over, with what has come behind the request.

        Args:
            headers: Of the answer, beside those that every such answer has.
            successor: An asyncio protocol.

        Returns:
            Whether; else the client has gone, and the successor is never called.
        """
        transport, cycle = self.transport, self.cycle
        if cycle.disconnected or transport.is_closing():
            # It would be told in a moment; uvicorn complains until then that nothing was answered.
            cycle.disconnected = True
            return False
        cycle.response_started = cycle.response_complete = True
        self.server_state.total_requests += 1
        self.connections.discard(self)
        self.connections.add(cast("Any", successor))
        transport.write(switching(self.server_state.default_headers, headers))
        unread = self._take()
        self._let_go()
        transport.set_protocol(cast("asyncio.Protocol", successor))
        successor.follow(transport, Berth(self.connections, self._doorkeeper), unread)
        return True

    def _let_go(self) -> None:
        """Keep nothing that keeps this: it is gone with the request, and no collector's work."""
        self._unset_keepalive_if_required()
        self.cycle.scope.pop("extensions")
        self.parser = self.cycle = self.flow = None  # type: ignore[assignment]  # as at first

    @override
    def _begin_request(self, parser: "HttpRequestParser") -> None:
        """Have the request answered, or refuse it."""
        self._is_within = True
        if not self._is_refusing:
            if self._is_last:
                self.scope["extensions"] = {EXTENSION: {"switch": self.switch}}
            super()._begin_request(parser)
        elif not self.transport.is_closing():
            is_kept = parser.get_http_version() != "1.0" and parser.should_keep_alive()
            self._answer_no(
                parser.get_method().decode("ascii"),
                self.headers,
                keep_alive=is_kept and not (self._is_last or self.expect_100_continue),
            )

    @override
    def _behind_upgrade(self, rest: bytes) -> bytes:
        """Hold *rest*, if it may be frames."""
        if self._is_last and not self.transport.is_closing():
            self._keep(rest)
        return super()._behind_upgrade(rest)

    @override
    def on_body(self, body: bytes) -> None:
        """Keep it for the application, if that has not answered yet; uvicorn's in short."""
        cycle = self.cycle
        if self._is_refusing or cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    @override
    def on_message_complete(self) -> None:
        """Tell the application that this was all; uvicorn's in short."""
        if self._is_read_again:
            return
        self._is_within = False
        cycle = self.cycle
        if self._is_refusing or cycle.response_complete:
            return
        cycle.more_body = False
        cycle.message_event.set()

    @override
    def on_response_complete(self) -> None:
        """Line up with what came meanwhile."""
        if not (self.pipeline or self.held) or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self._unset_keepalive_if_required()
        if self._governor.line_up(self):
            self.begin()
        else:
            self._is_parked = True

    def _parse(self, data: bytes) -> None:
        """Have the parser call us for what is in *data*; hold what is not to be parsed yet."""
        if len(data) <= SLICE_BYTES and not (self.pipeline or self._is_refusing):
            super().data_received(data)  # so are nearly all
            return
        is_refused = False
        while data:
            data = self._parse_slices(data)
            is_refused = self._has_refused
            if is_refused:
                self._end_refusing()
            data = self._keep(data)
        if is_refused:
            self.on_response_complete()
        elif self._is_refusing and self._patience is None:
            self._patience = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _parse_slices(self, data: bytes) -> bytes:
        """Parse while there is something to do now; return what is for later."""
        at = 0
        while at < len(data) and not self.transport.is_closing():
            if len(self.pipeline) >= AHEAD_MAX or self._has_refused or self._is_last:
                return data[at:]
            super().data_received(data[at : at + SLICE_BYTES])
            at += SLICE_BYTES
        return b""

    @property
    def _has_refused(self) -> bool:
        """Whether what was to be refused is, and none of its body is still to come."""
        return self._refused > 0 and not self._is_within

    def _end_refusing(self) -> None:
        self._is_refusing = False
        self._refused = 0
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _hold(self, data: bytes) -> None:
        """Keep *data* for its turn; or, if there is no room, have it and the rest refused."""
        self._unset_keepalive_if_required()
        if refused := self._keep(data):
            self._parse(refused)

    def _keep(self, data: bytes) -> bytes:
        """Keep *data* for its turn, if there is room; return what is to be refused now."""
        if not data:
            return b""
        if self._governor.hold(len(data)):
            if self.held or not self._is_parked:
                self.flow.pause_reading()
            self.held += data
            return b""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if cycle is not None and not cycle.response_complete:
            self._end_behind_answers()
            return b""
        self._governor.leave(self)
        self._is_parked = False
        self._is_refusing = True
        return self._take() + data

    def _take(self) -> bytes:
        """Return what was held; from now on more may come."""
        held, self.held = self.held, b""
        self._governor.release(len(held))
        self.flow.resume_reading()
        return held

    def _end_behind_answers(self) -> None:
        """Throw away what came; the answers to what came before are the connection's last."""
        if self._is_within or self._is_last:
            self.transport.close()
        else:
            self.cycle.keep_alive = False
            self.flow.pause_reading()

    def _answer_no(self, method: str, headers: Headers, *, keep_alive: bool) -> None:
        """Write the refusal, and end the connection if it is to end or brings too much."""
        self._refused += 1
        self._governor.count_refused()
        is_last = not keep_alive or self._refused >= AHEAD_MAX or _may_be_long(headers)
        head, body = overloaded(self.server_state.default_headers, is_last=is_last)
        self.transport.write(head if method == "HEAD" else head + body)
        if is_last:
            self.transport.close()


def _may_be_long(headers: Headers) -> bool:
    """Return whether the body may be longer than any that is accepted."""
    found = dict(headers)
    length = found.get(b"content-length", b"0")  # digits: the parser takes nothing else
    return b"transfer-encoding" in found or int(length) > BODY_BYTES_MAX
