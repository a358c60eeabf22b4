"""The life of one socket, from its ``welcome`` to its close; no task of its own.

In come frames and the passing of time; out go verdicts, news of the token, and at the end ``bye``.

Theory of operation
-------------------
Which bytes are a frame is :mod:`edge.shell.stream.socket_wire`'s to say, what becomes of it
:mod:`edge.shell.stream.telling`'s, and what is due :mod:`edge.core.timetable`'s. Between them a
talk begins, reads no more than it has room for, and ends. One timer wakes it when the next thing
is due.

It ends once, for the first reason there is. From then on nothing is heard; verdicts that wait for
a sync are told if they come within ``GOODBYE_S``; then ``bye``, if that reason has one, and the
close frame with the same code and reason. Only a bug ends it at once, with ``bye`` alone: what a
conversation that met one believes to be decided is told to nobody, and its client, which has no
verdict, sends it again.

Source: design.md §3a rule 9, §4 "WebSocket"; threats.md rows 4, 35, 37, 39, 47, 50.
"""

import asyncio
import logging
from collections.abc import Set as AbstractSet
from typing import Final

from typing_extensions import override

from edge.core import ops
from edge.core.authorise import authorise_stream
from edge.core.closing import (
    BUG,
    BYES,
    EXPIRED,
    SILENT,
    SPREAD,
    TRESPASSING,
    close_label,
    end_of,
)
from edge.core.conversation import Heard
from edge.core.instant import NS_PER_S, Instant
from edge.core.principal import Principal
from edge.core.reject import Reason, Reject
from edge.core.timetable import Due, Timetable
from edge.shell.stream.bearer import Bearer
from edge.shell.stream.guard import SAID_OF_BUGS, guarded
from edge.shell.stream.host import Host, Wire, welcome
from edge.shell.stream.telling import Telling

log: Final = logging.getLogger("edge.stream")

GOODBYE_S: Final = 0.4
"""How long an end waits for verdicts; with the close handshake, less than the second that
design.md §3a rule 9 gives to all of it."""

TICK_S: Final = 0.001
"""Timers of the loop count whole milliseconds: what is due is looked at one later, never too
early, when it would be looked at again and again until it is."""

_MS_PER_S: Final = 1000
_BYE_OF_BUGS: Final = ops.encode(
    ops.ByeOp(code=BUG.code, reason=BUG.reason, reconnect_after_ms=0)
)

_DUE_ENDS: Final = {
    Due.END_EXPIRED: EXPIRED,
    Due.END_SILENT: SILENT,
}


class Talk(Telling):
    """One socket. Nothing raises that its wire, timer, commits or anybody else calls.

    Args:
        host: What it shares.
        principal: Who speaks.
        authorization: The token, as the value of a header.
        address: Whence, as quotas count addresses.
        topics: Subscribed to.

    Attributes:
        address: Whence, as quotas count addresses.
        topics: Subscribed to; pushes come only while the token lets them.
    """

    __slots__ = (
        "_bearer",
        "_farewell",
        "_is_paused",
        "_timer",
        "_timetable",
        "address",
        "topics",
    )

    def __init__(
        self,
        host: Host,
        principal: Principal,
        authorization: bytes,
        address: str,
        topics: AbstractSet[str],
    ) -> None:
        super().__init__(host, principal)
        self.address: Final = address
        self.topics: Final = topics
        self._bearer = Bearer(host, self, authorization)
        self._timetable: Timetable | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_paused = False
        self._farewell: tuple[int, str] | None = None

    @property
    @override
    def is_open(self) -> bool:
        """Whether it is connected and has not begun to end."""
        return self._wire is not None and self._farewell is None

    @guarded
    def begin(self, wire: Wire) -> None:
        """Say ``welcome``: the connection is ours. Once, first of all."""
        self._wire = wire
        self._host.registry.enter(self)
        host, principal, now = self._host, self.principal, self._host.clock.now()
        # Those who came together are not to be pinged together for ever.
        first_ping_ns = round(host.rng.uniform(0.5, 1) * host.times.ping_ns)
        self._timetable = Timetable(
            host.times,
            principal.expires_unix_s,
            now,
            first_ping_ns=first_ping_ns,
            is_to_speak=bool(principal.writes),
        )
        self._send(welcome(host, principal, self._conversation.session_key, now))
        self._wake_when_due(now)

    @guarded
    def notice(self) -> None:
        """Learn that a text frame has come, and waits for its turn."""
        assert self._timetable is not None, "begin comes first"
        self._timetable.hear()

    @guarded
    def hear(self, text: bytes) -> None:
        """Judge one text frame."""
        assert self._timetable is not None, "begin comes first"
        self._host.registry.frames["in"] += 1
        self._timetable.hear()
        now = self._host.clock.now()
        heard = self._judge(text, now)
        self._timetable.spend(len(heard.verdicts), now)
        self._follow(heard)
        if self._wire is not None and self.is_open and not self._is_paused:
            self._is_paused = self._has_enough(now)
            if self._is_paused:
                self._wire.pause()
                self._wake_when_due(now)

    @guarded
    def end(self, code: int, reason: str) -> None:
        """Begin to end: hear nothing more, tell what is decided, say ``bye`` and close."""
        if self._wire is None or self._farewell is not None:
            return
        self._farewell = code, reason
        self._host.registry.hide(self)
        self._wire.stop_hearing()
        if self._awaited:
            self._wake_in(GOODBYE_S)
        else:
            self._say_bye()

    @override
    def fail(self) -> None:
        """End at once: there was a bug, and what is held here may be anything."""
        if self._wire is None or self._is_over:
            return
        self._is_over = True
        self._farewell = BUG
        self._cancel_timer()
        self._host.registry.hide(self)
        self._send(_BYE_OF_BUGS)
        self._wire.close(*BUG)

    @guarded
    def lost(self, code: int) -> None:
        """Learn that the connection is gone. Once, last of all.

        Args:
            code: Ours, if we closed it; else the client's; 1006 if there was none.
        """
        self._wire = None
        self._host.registry.leave(self, close_label(code))
        self._cancel_timer()
        del self._bearer  # it knows us, and both would be kept until the collector looks

    @guarded
    def learn(self, found: Principal | Reject, *, is_new: bool) -> None:
        """Go on under a newer token, or end because one is not believed.

        Where a newer one cannot be judged now, the old one counts as before.

        Args:
            found: Who speaks, or why the token is refused.
            is_new: Whether the client has sent it; else it is the one there is.
        """
        try:
            if not isinstance(found, Reject):
                self._renew(found)
                return
        except Reject as reject:
            found = reject
        self._count_refused(found)
        if is_new and found.reason is Reason.KEYS_UNAVAILABLE:
            self._conversation.refuse_token(found)
            self._report_soon()
        else:
            self.end(*end_of(found.reason))

    def _renew(self, principal: Principal) -> None:
        """Take up a newer token.

        Raises:
            Reject: SUBJECT_MISMATCH, BRAND_MISMATCH, SCOPE_MISSING.
        """
        assert self._timetable is not None, "begin comes first"
        authorise_stream(principal)
        self._conversation.renew(principal)
        self._timetable.renew(principal.expires_unix_s)
        if self.topics and principal.reads_stream:
            self._host.pushes.begin()
        self._send(ops.encode(ops.RenewedOp(principal.expires_unix_s * _MS_PER_S)))
        if self.is_open:
            self._wake_when_due(self._host.clock.now())

    def _follow(self, heard: Heard) -> None:
        """Do what a frame calls for beside its verdicts."""
        if heard.distrust is not None:
            self.learn(heard.distrust, is_new=False)
        elif heard.token is not None:
            self._bearer.replace(heard.token)
        elif heard.bug is not None:
            log.error(SAID_OF_BUGS, exc_info=heard.bug)
            self.end(*BUG)  # that stage's, not the conversation's: what it tells is true
        elif heard.is_trespassing:
            self.end(*TRESPASSING)

    @override
    def _go_on(self) -> None:
        """Read on, if it was too much and is not any more."""
        if self._is_paused and self._wire is not None:
            self._is_paused = self._has_enough(self._host.clock.now())
            if not self._is_paused:
                self._wire.resume()

    @override
    def _rest(self) -> None:
        """Say good-bye, if that waited for verdicts."""
        self._say_bye()

    def _has_enough(self, now: Instant) -> bool:
        """Return whether no more is to be read before some of it is decided, or a while over."""
        assert self._timetable is not None, "begin comes first"
        in_flight_bytes = self._conversation.bytes_in_flight
        return (
            in_flight_bytes >= self._host.limits.in_flight_bytes
            or self._timetable.rest_ns(now) > 0
        )

    def _say_bye(self) -> None:
        if self._wire is None or self._farewell is None or self._is_over:
            return
        self._cancel_timer()
        self._tell_verdicts()
        code, reason = self._farewell
        if reason in BYES:  # a rule of the wire that is broken has none, nor a client's own end
            after_ms = self._host.reconnect_after_ms() if code in SPREAD else 0
            bye = ops.ByeOp(code=code, reason=reason, reconnect_after_ms=after_ms)
            self._send(ops.encode(bye))
        self._is_over = True
        self._wire.close(code, reason)

    @guarded
    def _wake(self) -> None:
        """Do what is due."""
        self._timer = None
        if self._farewell is not None:
            self._say_bye()
            return
        assert self._timetable is not None, "begin comes first"
        assert self._wire is not None, "its timer goes with it"
        now = self._host.clock.now()
        due = self._timetable.take(now)
        if due in _DUE_ENDS:
            self.end(*_DUE_ENDS[due])
        elif due is Due.CUT and not (self._wire.is_halted or self._wire.has_stirred):
            self._wire.abort()
        else:
            self._remind(due)
            if self.is_open:
                self._wake_when_due(now)
                self._go_on()

    def _remind(self, due: Due) -> None:
        """Do what is due and ends nothing by itself."""
        assert self._timetable is not None, "begin comes first"
        assert self._wire is not None, "its timer goes with it"
        if due is Due.CUT:
            self._timetable.excuse()
        elif due is Due.TELL_EXPIRY:
            expires_at_ms = self.principal.expires_unix_s * _MS_PER_S
            self._send(ops.encode(ops.ExpiringOp(expires_at_ms)))
        elif due is Due.PING:
            self._wire.ping()
            self._bearer.look()
        elif due is Due.LOOK:
            self._bearer.look()

    def _wake_when_due(self, now: Instant) -> None:
        assert self._timetable is not None, "begin comes first"
        self._wake_in(self._timetable.wait_ns(now) / NS_PER_S + TICK_S)

    def _wake_in(self, delay_s: float) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
