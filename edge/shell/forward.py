"""Carries one lane from disk to the origin, in a thread of its own, at the origin's pace.

In come the lane's stored records, oldest first; out they go in batches, and the lane's cursor
follows. What the origin refuses for good, and what the spool cannot read, becomes a dead letter.
It owns no data: what it knows is the cursor, and that is the lane's.

Theory of operation
-------------------
One round: read a batch at the cursor, publish it, bury its dead, move the cursor behind it.
Only the last step has a memory, so a round may end anywhere and be done again: the origin gets
some records twice, under the same (``edgespool``, ``edgeseq``) and with the same bytes.

* The origin is unavailable: the round ends, the fate of the whole batch being unknown. The
  breaker says when the next begins, and whether it begins with one record as a probe. There is
  no giving up, and nothing is dropped.
* The spool cannot be read (no descriptor left, no permission): an outage of ours. The same.
* The origin refuses records of a batch: only one that is refused alone is dead
  (:mod:`edge.shell.deliver`).
* Dead letters cannot be written (no room, disk): this is the one place where a round waits
  instead of ending, for its records are at the origin already.

A batch that is not full waits a moment for company, measured from its oldest record, so what
was delayed already is not delayed again. One that is half full is of a backlog, and is not to be
felt by those who send events meanwhile: it gives way to them, and goes in portions
(:mod:`edge.shell.portion`), each followed by as much rest as :mod:`edge.shell.pace` says, with
one sync of the cursor. As long as that is none (nobody sends) the next batches go whole.
"""

import logging
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from edge.core.backoff import Breaker, State
from edge.core.instant import NS_PER_MS, NS_PER_S
from edge.core.lane import Lane
from edge.shell import dead
from edge.shell.clock import Clock
from edge.shell.dead import DeadUnavailable, Letter
from edge.shell.deliver import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, deliver
from edge.shell.portion import Portion
from edge.shell.spool.cursor import Position
from edge.shell.spool.lane_spool import Chunk, Quarantined, Stored
from origin_client.give_way import be_patient, rest
from origin_client.origin import Origin, OriginUnavailable, Outgoing, Refusal

log: Final = logging.getLogger("edge.forward")

COMPANY_MS: Final = 100  # at 5,000 records/s 500 share a sync; nobody downstream notices 100 ms
PROBE_RECORDS: Final = 1  # the least that tells whether the origin works again
# Kafka's client takes 1,000,000 bytes of message by default, its overhead (< 100 bytes of
# framing, the key, one header) being checked apart by the broker's 1,048,588.
RECORD_BYTES_MAX: Final = 1_000_000
IDLE_S: Final = 0.2  # how late a thread that waits for records may notice that it should end
DEAD_RETRY_S: Final = 1.0  # people make room for dead letters, and they are not faster
NOTE_S: Final = 10  # an origin that fails in turns for two causes fills no log with them
STOP_S: Final = 5.0  # all of them, once abandoned: for one sync of a disk in trouble


class Source(Protocol):
    """A lane's spool, as its one forwarder sees it."""

    @property
    def directory(self) -> Path:
        """Where it lies."""
        ...

    @property
    def cursor(self) -> Position:
        """Everything before it has been acknowledged."""
        ...

    def wait(self, at: Position, timeout_s: float) -> bool:
        """Return whether something is readable at *at*, or comes to be in time."""
        ...

    def read(self, at: Position, *, bytes_max: int, records_max: int) -> Chunk:
        """Return what lies at *at*, oldest first: at least one frame if there is any.

        Raises:
            OSError: It cannot be read now; it may be later.
        """
        ...

    def acknowledge(self, after: Position) -> None:
        """Move the cursor behind what is at the origin, or buried; never raises."""
        ...


class DeadLetters(Protocol):
    """Where what the origin will never take is kept."""

    def bury(self, letters: Sequence[Letter]) -> None:
        """Return when all *letters* are durable.

        Raises:
            DeadUnavailable: None of them is.
        """
        ...


@dataclass(frozen=True, slots=True)
class Timing:
    """What makes a forwarder's waits: replaced as one in tests.

    Attributes:
        clock: Both clocks.
        rng: The jitter's dice.
        pause: Waits that many seconds, or until the event is set.
        rest_s: How long to rest after so many records of a backlog, s.
    """

    clock: Clock
    rng: random.Random
    pause: Callable[[threading.Event, float], object] = threading.Event.wait
    rest_s: Callable[[int], float] = lambda _: 0.0


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a forwarder has done since it was made.

    Attributes:
        forwarded: Records that the origin acknowledged and the cursor has passed.
        dead: Records buried because the origin refused them, or would have.
        failures: Rounds that did not move the cursor, and vain tries to bury.
    """

    forwarded: int = 0
    dead: int = 0
    failures: int = 0


class Forwarder:
    """Forwards one lane.

    Args:
        lane: Which.
        source: Its spool; nobody else reads it or moves its cursor.
        origin: Where to; may be shared with other lanes.
        dead_letters: Where goes what the origin will never take.
        timing: Clocks, dice and waits.
        record_bytes_max: An envelope larger than this is dead without being tried.
    """

    def __init__(
        self,
        lane: Lane,
        source: Source,
        origin: Origin,
        dead_letters: DeadLetters,
        timing: Timing,
        *,
        record_bytes_max: int = RECORD_BYTES_MAX,
    ) -> None:
        self._lane = lane
        self._source = source
        self._origin = origin
        self._dead_letters = dead_letters
        self._timing = timing
        self._record_bytes_max = record_bytes_max
        self._breaker = Breaker()
        self._portion: Final = Portion()
        self._ailment: str | None = None
        self._told_cause = ""
        self._told_steady_ns = 0
        self._statistics = Statistics()
        self._is_draining = threading.Event()
        self._is_abandoned = threading.Event()
        # A daemon, so that an origin that never returns cannot keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"forward-{lane}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def begin_drain(self) -> None:
        """Have it end once the lane is empty; never waits."""
        self._is_draining.set()

    def join(self, deadline_steady_ns: int) -> bool:
        """Wait until it runs no more, or the steady clock shows that; return whether."""
        left_ns = deadline_steady_ns - self._steady_ns()
        if self._thread.is_alive():
            self._thread.join(max(0, left_ns) / NS_PER_S)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """Have it end as soon as it can, whatever is left; never waits.

        The origin is closed, for every lane that shares it: they all have the same deadline.
        """
        self._is_abandoned.set()
        self._origin.close()

    def health(self) -> str | None:
        """Name the cause when the lane is not being forwarded now; ``None`` when it is."""
        return self._ailment

    def statistics(self) -> Statistics:
        """Return what has been done so far; may be called from any thread."""
        return self._statistics

    def step(self) -> bool:
        """Wait as the breaker says, do one round; return whether there is another.

        What the thread does, over and over; without one, whoever wants to decide when.
        """
        if self._is_abandoned.is_set():
            return False
        # Asked before the round: what comes while it looks is then looked for once more.
        is_last = self._is_draining.is_set()
        try:
            self._pause(self._breaker.wait_ns(self._steady_ns()) / NS_PER_S)
            self._breaker = self._breaker.trying()
            return self._forward() or not is_last
        except OriginUnavailable as error:
            self._fail(f"origin unavailable: {error}", is_told=error.is_told)
        except OSError as error:  # of a read: the other parts translate or keep theirs
            self._fail(f"spool unreadable: {error}")
        except Exception as error:
            log.exception("a forwarder failed", extra={"lane": self._lane.value})
            self._fail(f"{type(error).__name__}: {error}")
        return True

    def _run(self) -> None:
        while self.step():
            pass

    def _forward(self) -> bool:
        """Do one round; return whether there was something to do.

        Raises:
            OriginUnavailable: The round counts for nothing.
            OSError: The spool cannot be read; as above.
        """
        at = self._source.cursor
        if not self._source.wait(at, 0 if self._is_draining.is_set() else IDLE_S):
            return False
        chunk = self._gather(at)
        if chunk.after == at:
            return False
        reasons = self._publish(chunk.frames)
        damaged = sum(isinstance(frame, Quarantined) for frame in chunk.frames)
        letters = self._letters(chunk.frames, reasons) if reasons or damaged else []
        if self._bury(letters):
            self._source.acknowledge(chunk.after)
            self._count(len(chunk.frames), refused=len(reasons), damaged=damaged)
        return True

    def _gather(self, at: Position) -> Chunk:
        """Read the next batch; give a small and young one a moment to grow.

        Raises:
            OSError: The spool cannot be read.
        """
        is_probe = self._breaker.state is State.HALF_OPEN
        records_max = PROBE_RECORDS if is_probe else BATCH_RECORDS_MAX
        chunk = self._source.read(at, bytes_max=BATCH_BYTES_MAX, records_max=records_max)
        oldest = next((frame for frame in chunk.frames if isinstance(frame, Stored)), None)
        if oldest is None or self._is_draining.is_set():
            return chunk
        unix_ms = self._timing.clock.now().unix_ns // NS_PER_MS
        company_ms = oldest.accepted_ms + COMPANY_MS - unix_ms
        if company_ms <= 0 or _is_full(chunk.frames, records_max):
            return chunk
        self._pause(min(company_ms, COMPANY_MS) / 1000)  # the wall clock may have been set back
        return self._source.read(at, bytes_max=BATCH_BYTES_MAX, records_max=records_max)

    def _publish(self, frames: Sequence[Stored | Quarantined]) -> dict[int, str]:
        """Return when each of *frames* is at the origin, or its place is in the answer.

        Returns:
            Why a record is dead, by its place in *frames*.

        Raises:
            OriginUnavailable: The fate of all of them is unknown.
        """
        bytes_max = self._record_bytes_max
        sent = [f for f in frames if isinstance(f, Stored) and len(f.value) <= bytes_max]
        records = [Outgoing(frame.key, frame.value) for frame in sent]
        if self._is_backlog(frames):
            records_max = self._portion.records_max(len(records))
            refused = deliver(self._send_at_pace, records, records_max=records_max)
        else:
            be_patient(is_patient=False)
            refused = deliver(self._send, records)
        if not refused and len(sent) == len(frames):
            return {}
        stored = [(n, frame) for n, frame in enumerate(frames) if isinstance(frame, Stored)]
        places = [n for n, frame in stored if len(frame.value) <= bytes_max]
        reason = f"larger than {bytes_max} bytes"
        reasons = {n: reason for n, frame in stored if len(frame.value) > bytes_max}
        return reasons | {places[n]: reason for n, reason in refused.items()}

    def _send(self, records: Sequence[Outgoing]) -> Sequence[Refusal]:
        refusals = self._origin.publish(self._lane.topic, records)
        self._breaker = Breaker()
        return refusals

    def _send_at_pace(self, records: Sequence[Outgoing]) -> Sequence[Refusal]:
        """Send some of a backlog, then leave some time to those who send events."""
        rest()
        started_ns = self._steady_ns()
        refusals = self._send(records)
        took_s = (self._steady_ns() - started_ns) / NS_PER_S
        rest_s = self._timing.rest_s(len(records))
        self._portion.note(len(records), took_s, rest_s)
        be_patient(is_patient=rest_s > 0)  # who is behind his pace waits for nobody
        if not self._is_draining.is_set():  # the order may come within a batch
            self._pause(rest_s)
        return refusals

    def _is_backlog(self, frames: Sequence[Stored | Quarantined]) -> bool:
        """Whether so much waits that a pace is to be kept; on the way out there is no time."""
        return not self._is_draining.is_set() and _is_full(frames, BATCH_RECORDS_MAX // 2)

    def _letters(
        self, frames: Sequence[Stored | Quarantined], reasons: Mapping[int, str]
    ) -> list[Letter]:
        dead_ms = self._timing.clock.now().unix_ns // NS_PER_MS
        letters: list[Letter] = []
        for place, frame in enumerate(frames):
            if isinstance(frame, Quarantined):
                letters.append(dead.quarantined(frame, dead_ms=dead_ms))
            elif place in reasons:
                letters.append(dead.refused(frame, reasons[place], dead_ms=dead_ms))
        return letters

    def _bury(self, letters: Sequence[Letter]) -> bool:
        """Bury as often as it takes; return whether it was done before we were abandoned.

        Ending the round instead would publish the whole batch again and again.
        """
        while letters:
            try:
                self._dead_letters.bury(letters)
            except DeadUnavailable as error:
                self._note(f"dead letters: {error}")
                if self._is_abandoned.is_set():
                    return False
                self._pause(DEAD_RETRY_S)
            else:
                break
        return True

    def _count(self, frames: int, *, refused: int, damaged: int) -> None:
        so_far = self._statistics
        self._statistics = replace(
            so_far,
            forwarded=so_far.forwarded + frames - refused - damaged,
            dead=so_far.dead + refused,
        )
        if refused or damaged:
            # Why stands in the letters alone: an origin's words may quote what it was sent.
            path = self._source.directory / dead.DEAD_DIRECTORY
            said = {"lane": self._lane.value, "refused": refused, "damaged": damaged}
            log.warning("dead letters", extra={**said, "path": str(path)})
        if self._ailment is not None:
            log.info("forwarding again", extra={"lane": self._lane.value})
        self._ailment = None

    def _fail(self, cause: str, *, is_told: bool = False) -> None:
        self._breaker = self._breaker.failed(self._steady_ns(), self._timing.rng.random())
        self._note(cause, is_told=is_told)

    def _note(self, cause: str, *, is_told: bool = False) -> None:
        self._tell(cause, is_told=is_told)
        self._ailment = cause
        self._statistics = replace(self._statistics, failures=self._statistics.failures + 1)

    def _tell(self, cause: str, *, is_told: bool) -> None:
        """Log each cause once, since an outage may last for hours; its changes not too often."""
        now_ns = self._steady_ns()
        is_new = self._ailment is None
        is_change = cause != self._told_cause
        if is_new or (is_change and now_ns - self._told_steady_ns >= NOTE_S * NS_PER_S):
            self._told_cause = cause
            self._told_steady_ns = now_ns
            if not is_told:
                said = {"lane": self._lane.value, "cause": cause}
                log.warning("forwarding waits", extra=said)

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self._timing.pause(self._is_abandoned, seconds)

    def _steady_ns(self) -> int:
        return self._timing.clock.now().steady_ns


def _is_full(frames: Sequence[Stored | Quarantined], records_max: int) -> bool:
    """Whether a batch has no use for company."""
    values = (frame.value for frame in frames if isinstance(frame, Stored))
    # The next record may be one that does not fit: half the bytes is enough to count as full.
    return len(frames) >= records_max or sum(map(len, values)) >= BATCH_BYTES_MAX // 2
