"""The life of one socket, from its ``welcome`` to its close; no task of its own.

In come frames, outcomes of commits and the passing of time; out go verdicts, news of the token,
and at the end ``bye``.

Theory of operation
-------------------
What a frame is worth is :mod:`edge.core.conversation`'s to say, which bytes are a frame
:mod:`edge.shell.stream.socket_wire`'s, and what is due :mod:`edge.core.timetable`'s. Between them
a talk counts, waits and ends. It waits for commits as a listener: each costs one call, however
many sockets share it. What was concluded is told once per turn of the loop, so that all of one
commit, and of all commits that ended together, is one frame. One timer wakes it when the next
thing is due.

It ends once, for the first reason there is. From then on nothing is heard; verdicts that wait for
a sync are told if they come within ``GOODBYE_S``; then ``bye``, and the close frame with the same
code and reason. What was admitted counts, and is counted, also when nobody is left to be told.

Source: design.md §3a rule 9, §4 "WebSocket"; threats.md rows 4, 35, 37, 39, 47, 50.
"""

import asyncio
import logging
from collections.abc import Set as AbstractSet
from typing import Final, cast

from edge.core import ops
from edge.core.authorise import authorise_stream
from edge.core.closing import (
    BUG,
    FORBIDDEN,
    SILENT,
    SPREAD,
    TOKEN,
    close_code,
    close_label,
)
from edge.core.conversation import Concluded, Conversation, Heard
from edge.core.instant import NS_PER_S, Instant
from edge.core.principal import Principal
from edge.core.reject import Reason, Reject
from edge.core.timetable import Due, Timetable
from edge.shell.http import LOST
from edge.shell.spool.commit import Commit, Synced
from edge.shell.stream.bearer import Bearer
from edge.shell.stream.host import Host, Wire, welcome

log: Final = logging.getLogger("edge.stream")

GOODBYE_S: Final = 0.4
"""How long an end waits for verdicts; with the close handshake, less than the second that
design.md §3a rule 9 gives to all of it."""

TICK_S: Final = 0.001
"""Timers of the loop count whole milliseconds: what is due is looked at one later, never too
early, when it would be looked at again and again until it is."""

_MS_PER_S: Final = 1000
_SAID_OF_BUGS: Final = "a socket met a bug, and is closed"

_DUE_ENDS: Final = {
    Due.END_EXPIRED: (TOKEN, Reason.TOKEN_EXPIRED.code),
    Due.END_SILENT: (SILENT, "silent"),
}


class Talk:
    """One socket. What its wire, timer and commits call never raises.

    Args:
        host: What it shares.
        principal: Who speaks.
        authorization: The token, as the value of a header.
        address: Whence, as quotas count addresses.
        topics: Subscribed to.

    Attributes:
        address: Whence, as quotas count addresses.
        topics: Subscribed to.
    """

    __slots__ = (
        "_awaited",
        "_bearer",
        "_conversation",
        "_farewell",
        "_host",
        "_is_over",
        "_is_paused",
        "_is_reporting",
        "_timer",
        "_timetable",
        "_wire",
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
        self.address: Final = address
        self.topics: Final = topics
        self._host: Final = host
        self._conversation: Final = Conversation(principal, host.house)
        self._bearer = Bearer(host, self, authorization)
        self._wire: Wire | None = None
        self._timetable: Timetable | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._awaited = 0  # commits
        self._is_reporting = False
        self._is_paused = False
        self._farewell: tuple[int, str] | None = None
        self._is_over = False

    @property
    def principal(self) -> Principal:
        """Who speaks; subject, session and brand never change."""
        return self._conversation.principal

    @property
    def is_open(self) -> bool:
        """Whether it is connected and has not begun to end."""
        return self._wire is not None and self._farewell is None

    @property
    def write_buffer_bytes(self) -> int:
        """Written to it, and not yet taken by the system."""
        return 0 if self._wire is None else self._wire.write_buffer_bytes

    def begin(self, wire: Wire) -> None:
        """Say ``welcome``: the connection is ours. Once, first of all."""
        host, principal, now = self._host, self.principal, self._host.clock.now()
        self._wire = wire
        host.registry.enter(self)
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

    def hear(self, text: bytes) -> None:
        """Judge one text frame."""
        assert self._timetable is not None, "begin comes first"
        self._host.registry.frames["in"] += 1
        self._timetable.hear()
        try:
            heard = self._conversation.hear(text, self._host.clock.now())
        except Exception:  # as HTTP's door: a bug ends here, with one socket
            log.exception(_SAID_OF_BUGS)
            self._fail()
            return
        if heard.verdicts:
            self._host.meters.receive(heard.verdicts)
        for each in heard.awaited:
            self._await(cast("Commit", each))
        if heard.concluded is not None:
            self._conclude(heard.concluded)
            self._report_soon()
        if heard.reject is not None:
            self._count_refused(heard.reject)
            self._report_soon()
        self._follow(heard)
        if self._wire is not None and self.is_open and not self._is_paused:
            self._is_paused = self._has_enough()
            if self._is_paused:
                self._wire.pause()

    def pong(self) -> None:
        """Learn that the client is there."""
        assert self._timetable is not None, "begin comes first"
        self._timetable.pong()

    def push(self, frame: bytes) -> None:
        """Send a frame that is serialised already; nothing, once the end has begun."""
        if self._wire is not None and self._farewell is None:
            self._host.registry.frames["out"] += 1
            self._wire.send_wire(frame)

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

    def lost(self, code: int) -> None:
        """Learn that the connection is gone. Once, last of all.

        Args:
            code: Ours, if we closed it; else the client's; 1006 if there was none.
        """
        self._wire = None
        self._cancel_timer()
        del self._bearer  # it knows us, and both would be kept until the collector looks
        self._host.registry.leave(self, close_label(code))

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
            self.end(close_code(found.reason), found.reason.code)

    def _renew(self, principal: Principal) -> None:
        """Take up a newer token.

        Raises:
            Reject: SUBJECT_MISMATCH, BRAND_MISMATCH, SCOPE_MISSING.
        """
        assert self._timetable is not None, "begin comes first"
        if principal.session and principal.brand != self.principal.brand:
            raise Reject(Reason.BRAND_MISMATCH, "a renewal of another brand")
        authorise_stream(principal)
        self._conversation.renew(principal)
        self._timetable.renew(principal.expires_unix_s)
        self._send(ops.encode(ops.RenewedOp(principal.expires_unix_s * _MS_PER_S)))
        if self.is_open:
            self._wake_when_due(self._host.clock.now())

    def _send(self, frame: bytes) -> None:
        if self._wire is not None:
            self._host.registry.frames["out"] += 1
            self._wire.send(frame)

    def _follow(self, heard: Heard) -> None:
        """Do what a frame calls for beside its verdicts."""
        if heard.token is not None:
            self._bearer.replace(heard.token)
        if heard.bug is not None:
            log.error(_SAID_OF_BUGS, exc_info=heard.bug)
            self._fail()
        elif heard.is_trespassing:
            self.end(FORBIDDEN, Reason.SUBJECT_MISMATCH.code)

    def _conclude(self, concluded: Concluded) -> None:
        host, conclusion = self._host, concluded.conclusion
        took_ns = host.clock.now().steady_ns - concluded.heard_steady_ns
        host.meters.verdict_seconds.observe(took_ns)
        host.meters.conclude(conclusion.tallies)
        if refused := conclusion.verdicts.refused:
            host.refusals.of_events(refused, concluded.verdicts, concluded.principal)

    def _count_refused(self, reject: Reject) -> None:
        self._host.meters.requests_refused[reject.reason.code] += 1
        self._host.refusals.of_request(reject, self.principal)

    def _await(self, commit: Commit) -> None:
        """Wait for a commit; one that is overdue is over for us at once.

        Told a turn later, it might have failed by then, and a report between the two would call
        a number below the window done before its refusal is told.
        """
        self._awaited += 1
        if commit.outcome is None:
            commit.tell(self._settle)
        else:
            self._settle(commit, commit.outcome)

    def _settle(self, commit: Commit, synced: Synced) -> None:
        """Learn how a commit ended; whatever happens here, other sockets learn it too."""
        self._awaited -= 1
        try:
            for concluded in self._conversation.settle(commit, LOST.get(synced)):
                self._conclude(concluded)
        except Exception:  # the commit is everybody's: a bug must end with its socket
            log.exception(_SAID_OF_BUGS)
            self._fail()
        if self._farewell is not None and not self._awaited:
            self._say_bye()
        else:
            self._report_soon()

    def _fail(self) -> None:
        self.end(BUG, Reason.INTERNAL_ERROR.code)

    def _report_soon(self) -> None:
        if not self._is_reporting and self._wire is not None:
            self._is_reporting = True
            asyncio.get_running_loop().call_soon(self._report)

    def _report(self) -> None:
        self._is_reporting = False
        if self._wire is None or self._is_over:
            return
        self._tell_verdicts()
        if self._is_paused and not self._has_enough():
            self._is_paused = False
            self._wire.resume()

    def _tell_verdicts(self) -> None:
        try:
            frame = self._conversation.report()
        except Exception:  # as above: one socket's, in a turn that is everybody's
            log.exception(_SAID_OF_BUGS)
            self._fail()
            return
        if frame is not None:
            self._send(frame)

    def _has_enough(self) -> bool:
        """Return whether no more is to be read before some of it is decided."""
        return self._conversation.bytes_in_flight >= self._host.limits.in_flight_bytes

    def _say_bye(self) -> None:
        if self._wire is None or self._farewell is None or self._is_over:
            return
        self._is_over = True
        self._cancel_timer()
        self._tell_verdicts()
        code, reason = self._farewell
        after_ms = self._host.reconnect_after_ms() if code in SPREAD else 0
        bye = ops.ByeOp(code=code, reason=reason, reconnect_after_ms=after_ms)
        self._send(ops.encode(bye))
        self._wire.close(code, reason)

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
        elif due is Due.CUT and not self._wire.is_halted:
            self._wire.abort()
        else:
            self._remind(due)
            if self.is_open:
                self._wake_when_due(now)

    def _remind(self, due: Due) -> None:
        """Do what is due and ends nothing by itself."""
        assert self._timetable is not None, "begin comes first"
        assert self._wire is not None, "its timer goes with it"
        if due is Due.CUT:
            self._timetable.pong()  # as long as we do not read, none can come
        elif due is Due.TELL_EXPIRY:
            expires_at_ms = self.principal.expires_unix_s * _MS_PER_S
            self._send(ops.encode(ops.ExpiringOp(expires_at_ms)))
        elif due is Due.PING:
            self._wire.ping()
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
