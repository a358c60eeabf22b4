"""What the client of one socket is told: its frames in; verdicts out, one frame for each commit.

Pushes go out between them, as others wrote them.

What a frame is worth is :mod:`edge.core.conversation`'s to say. Here it is counted, and waited
for: as a listener, so that a commit costs one call, however many sockets share it. What was
concluded is told once per turn of the loop, so that all of one commit, and of all commits that
ended together, is one frame.

What was admitted counts, and is counted, also when nobody is left to be told.

Source: design.md §4 "WebSocket".
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Final, cast

from edge.core.conversation import Concluded, Conversation, Heard
from edge.core.instant import Instant
from edge.core.principal import Principal
from edge.core.reject import Reject
from edge.shell.http import LOST
from edge.shell.spool.commit import Commit, Synced
from edge.shell.stream.guard import guarded
from edge.shell.stream.host import Host, Wire

# Read faster than an enum's member, and compared faster than one is looked up.
_HELD: Final = Synced.HELD


class Telling(ABC):
    """What one socket is told, and what it waits for.

    Args:
        host: What all share.
        principal: Who speaks.
    """

    __slots__ = (
        "_awaited",
        "_conversation",
        "_host",
        "_is_over",
        "_is_reporting",
        "_wire",
    )

    def __init__(self, host: Host, principal: Principal) -> None:
        self._host: Final = host
        self._conversation: Final = Conversation(principal, host.house)
        self._wire: Wire | None = None
        self._awaited = 0  # commits
        self._is_reporting = False
        self._is_over = False  # nothing more can be said

    @property
    def principal(self) -> Principal:
        """Who speaks; subject, session and brand never change."""
        return self._conversation.principal

    @property
    def write_buffer_bytes(self) -> int:
        """Written to it, and not yet taken by the system."""
        return 0 if self._wire is None else self._wire.write_buffer_bytes

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether it is connected and has not begun to end."""

    @guarded
    def push(self, frame: bytes) -> bool:
        """Send a frame that is serialised already; return whether it may still be sent."""
        if self._wire is None or not (self.is_open and self._wire.send_wire(frame)):
            return False
        self._host.registry.frames["out"] += 1
        return True

    @abstractmethod
    def fail(self) -> None:
        """End at once: there was a bug."""

    def abort(self) -> None:
        """Cut the connection."""
        if self._wire is not None:
            self._wire.abort()

    @abstractmethod
    def _go_on(self) -> None:
        """Do what waited for verdicts to be told."""

    @abstractmethod
    def _rest(self) -> None:
        """Do what waited for all commits to be over."""

    def _judge(self, text: bytes, now: Instant) -> Heard:
        """Have one text frame judged, count it, and wait for its commits."""
        heard = self._conversation.hear(text, now)
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
        return heard

    def _send(self, frame: bytes) -> None:
        if self._wire is not None and self._wire.send(frame):
            self._host.registry.frames["out"] += 1

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

    @guarded
    def _settle(self, commit: Commit, synced: Synced) -> None:
        """Learn how a commit ended."""
        self._awaited -= 1
        reject = None if synced is _HELD else LOST[synced]
        for concluded in self._conversation.settle(commit, reject):
            self._conclude(concluded)
        self._report_soon()
        if not self._awaited:
            self._rest()

    def _report_soon(self) -> None:
        if not self._is_reporting and self._wire is not None:
            self._is_reporting = True
            asyncio.get_running_loop().call_soon(self._report)

    @guarded
    def _report(self) -> None:
        self._is_reporting = False
        if self._wire is not None and not self._is_over:
            self._tell_verdicts()
            self._go_on()

    def _tell_verdicts(self) -> None:
        """Tell what is decided. Never again after a bug: numbers may be given up, untold."""
        frame = self._conversation.report()
        if frame is not None:
            self._send(frame)
