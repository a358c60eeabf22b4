"""One lane's writer thread: commits in, verdicts out, and what follows when the disk fails.

Theory of operation
-------------------
The thread takes the commit that filled during the last sync, has it written and synced, and
reports. Records are numbered in a *run* (``edgespool``) that begins with the process and after
every failure: so no number is ever given to two records, whatever the disk did with the first.

After a failure the descriptor is never written or synced again: the kernel may have dropped
the pages and would report success. The segment counts as far as it was synced before, the
next one's header says so, and that one is tried at once. A second failure in a row makes the
lane unwritable; then it tries every second, and one segment put in place heals it.

A full disk is no failure of that kind, and no lane's own: all lanes refuse as full, what they
have taken but not begun to write fails as full, and all try every second for room
(:mod:`edge.shell.spool.room`). One that has kept its segment goes on in it; but as long as there
is no room, a segment of which nothing waits is left and given up, and a new run follows. To wait
for room is no failure.
"""

import logging
from typing import Final

from edge.core.instant import NS_PER_MS
from edge.core.reject import Reason
from edge.shell.clock import Clock
from edge.shell.spool.commit import Commit, Synced
from edge.shell.spool.disk import is_full
from edge.shell.spool.intake import Intake
from edge.shell.spool.room import Room
from edge.shell.spool.segment_writer import SegmentWriter

log = logging.getLogger(__name__)

IDLE_INTERVAL_S: Final = 1.0
"""How soon a lane notices that the disk works again, or has room: a fifth of what is promised.
An idle lane looks at its segment's age as often, which costs it nothing."""

_FAILURES_MAX: Final = 1
"""Failures in a row that may be one file's bad luck; one more is the disk's."""


class LaneWriter:
    """The writing side of one lane. One thread, unless a method says otherwise.

    Attributes:
        failures: Commits and segments that could not be written or synced, since the start.
        complaint: What the last of them was; for operators.
        is_writable: False from the second failure in a row until a segment is in place.
    """

    def __init__(
        self, segments: SegmentWriter, intake: Intake, room: Room, clock: Clock
    ) -> None:
        self.failures = 0
        self.complaint = ""
        self.is_writable = True
        self._failures_in_a_row = 0
        self._segments: Final = segments
        self._intake: Final = intake
        self._room: Final = room
        self._clock: Final = clock

    def run(self) -> None:
        """Work until the intake is closed and empty."""
        is_wanted = True
        while is_wanted:
            try:
                is_wanted = self.step()
            except Exception:  # the thread's supervisor: a bug must not end the lane
                log.exception("a bug in the spool", extra={"lane": self._intake.lane})
                self._segments.abandon()
                self._refuse(None)
        self._segments.abandon()

    def step(self) -> bool:
        """Write the next commit, or look after the segment; false when there is no more."""
        commit = self._intake.take(IDLE_INTERVAL_S)
        if commit is not None:
            self._write(commit)
        elif self._intake.is_closed:
            return False
        elif not self._segments.is_open:
            self.begin()
        elif self._room.is_full:
            self._probe()
        else:
            self._age()
        return True

    def begin(self) -> None:
        """Put a segment in place and take events; refuse them when that fails."""
        try:
            self._room.restore()
            self._segments.begin_run()
        except OSError as error:
            if not (is_full(error) and self._room.is_full):  # that is known, and waited out
                self._count(error)
            self._refuse(error)
        else:
            self.is_writable = True
            self._intake.refuse(None)
            self._segments.index()

    def _write(self, commit: Commit) -> None:
        began = self._clock.now()
        error: Exception | None = None
        outcome = Synced.FULL if self._room.is_full else Synced.FAILED
        if outcome is Synced.FAILED and self._segments.is_open:
            try:
                self._segments.write(commit.records, began.unix_ns // NS_PER_MS)
                outcome = Synced.HELD
            except Exception as caught:  # noqa: BLE001  # whatever it is, the waiters must learn of it
                error = caught  # and of a full disk, too, some of it may lie there
        duration_ns = self._clock.now().steady_ns - began.steady_ns
        self._intake.report(commit, outcome, duration_ns)
        if outcome is Synced.HELD:
            self._failures_in_a_row = 0
            self._segments.index()
            self._room.trim()
        elif error is not None:
            self._mend(error)

    def _age(self) -> None:
        try:
            self._segments.follow(self._clock.now().unix_ns // NS_PER_MS)
        except OSError as error:
            self._mend(error)
        else:
            self._segments.index()

    def _probe(self) -> None:
        """Look for room on behalf of all lanes; what is only retained makes some."""
        try:
            self._room.restore()
        except OSError as error:
            if is_full(error) and self._segments.leave():
                self._refuse(error)
            else:
                self._room.shut()

    def _mend(self, error: Exception) -> None:
        """Leave the segment; go on in another one at once, or refuse for the time being."""
        self._segments.abandon()
        self._count(error)
        if is_full(error) or self._failures_in_a_row > _FAILURES_MAX:
            self._refuse(error)
        else:
            self.begin()

    def _count(self, error: Exception) -> None:
        self.failures += 1
        self._failures_in_a_row += 1
        self.complaint = str(error)
        log.error(
            "commit or segment not written",
            extra={"lane": self._intake.lane, "cause": self.complaint},
        )

    def _refuse(self, error: Exception | None) -> None:
        if error is not None and is_full(error):
            self.is_writable = True
            self._intake.refuse(Reason.LANE_FULL)
            self._room.shut()
        else:
            self.is_writable = False
            self._intake.refuse(Reason.LANE_FAILED)
