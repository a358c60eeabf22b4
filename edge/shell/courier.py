"""Carries to one topic what is good to have there, in a thread of its own: when that works.

In come records that somebody offers and forgets. It owns a bounded queue of them, and promises
nothing: whoever must not lose something keeps it elsewhere.

Theory of operation
-------------------
An offer never waits. What finds the queue full is dropped and counted, as is what the origin
refuses; what is already queued is older and goes first. A batch stays in the queue until the
origin has it: while the origin is unavailable it is tried again, as forwarders do it, so an
outage costs only what does not fit. When the process leaves there is a moment to send the rest.
"""

import logging
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from edge.core.backoff import Breaker
from edge.core.instant import NS_PER_S
from edge.shell.deliver import deliver, first_batch
from edge.shell.forward import Timing
from origin_client.origin import Origin, OriginUnavailable, Outgoing

log: Final = logging.getLogger("edge.courier")

QUEUE_BYTES_MAX: Final = 4 << 20  # an hour of samples at one a second, or four large letters
QUEUE_RECORDS_MAX: Final = 4096  # of 1 KB each they fill the bytes
FLUSH_S: Final = 1.0
"""How long the process, when it leaves, waits for what is queued."""


class Mailbox(Protocol):
    """Takes records to a topic, as those see it who have some."""

    def offer(self, record: Outgoing) -> None:
        """Take *record* without waiting, or drop it."""
        ...


@dataclass(frozen=True, slots=True)
class CourierStatistics:
    """What became of the records offered.

    Attributes:
        published: The origin has them.
        dropped: There was no room, or the origin refused them.
    """

    published: int
    dropped: int


class Courier:
    """Carries records to one topic.

    Args:
        topic: Which.
        origin: Where to; shared with the forwarders.
        timing: Clocks, dice and waits.
    """

    def __init__(self, topic: str, origin: Origin, timing: Timing) -> None:
        self._topic = topic
        self._origin = origin
        self._send = partial(origin.publish, topic)
        self._timing = timing
        self._change = threading.Condition()  # over the next four
        self._queue: deque[Outgoing] = deque()
        self._bytes = 0
        self._is_draining = False
        self._dropped = 0
        self._published = 0
        self._breaker = Breaker()
        self._is_ill = False
        self._is_abandoned = threading.Event()
        # A daemon, so that an origin that never returns cannot keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"courier-{topic}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def offer(self, record: Outgoing) -> None:
        """Queue *record* if there is room; never waits. Any thread."""
        size = len(record.key) + len(record.value)
        with self._change:
            if len(self._queue) == QUEUE_RECORDS_MAX or self._bytes + size > QUEUE_BYTES_MAX:
                self._dropped += 1
                return
            self._queue.append(record)
            self._bytes += size
            self._change.notify()

    def begin_drain(self) -> None:
        """Have it end once the queue is empty; never waits."""
        with self._change:
            self._is_draining = True
            self._change.notify()

    def join(self, deadline_steady_ns: int) -> bool:
        """Wait until it runs no more, or the steady clock shows that; return whether."""
        left_ns = deadline_steady_ns - self._timing.clock.now().steady_ns
        if self._thread.is_alive():
            self._thread.join(max(0, left_ns) / NS_PER_S)
        return not self._thread.is_alive()

    def abandon(self) -> None:
        """Have it end as soon as it can, whatever is queued; never waits. Closes the origin."""
        self._is_abandoned.set()
        self.begin_drain()
        self._origin.close()

    def statistics(self) -> CourierStatistics:
        """Return what has been done so far; may be called from any thread."""
        return CourierStatistics(self._published, self._dropped)

    def _run(self) -> None:
        while (batch := self._batch()) and not self._is_abandoned.is_set():
            try:
                self._publish(batch)
            except OriginUnavailable as error:
                self._fail(f"origin unavailable: {error}", is_told=error.is_told)
            except Exception as error:
                log.exception("a courier failed", extra={"topic": self._topic})
                self._fail(f"{type(error).__name__}: {error}")

    def _batch(self) -> list[Outgoing]:
        """Wait for records, and look at the oldest; there is none only when draining."""
        with self._change:
            self._change.wait_for(lambda: self._queue or self._is_draining)
            return first_batch(self._queue)

    def _publish(self, batch: Sequence[Outgoing]) -> None:
        """Bring *batch* to the origin and take it out of the queue.

        Raises:
            OriginUnavailable: It stays there.
        """
        refused = deliver(self._send, batch)
        with self._change:
            for record in batch:
                self._queue.popleft()
                self._bytes -= len(record.key) + len(record.value)
            self._dropped += len(refused)
            self._published += len(batch) - len(refused)
        self._breaker = Breaker()
        if refused:
            # What follows may be words of the receiver's, who may quote what it was sent.
            cause = next(iter(refused.values())).partition(": ")[0]
            log.warning(
                "not wanted by the origin", extra={"topic": self._topic, "cause": cause}
            )
        if self._is_ill:
            log.info("publishing again", extra={"topic": self._topic})
        self._is_ill = False

    def _fail(self, cause: str, *, is_told: bool = False) -> None:
        # Once, for an outage may last for hours; and not when nobody is there to mend it.
        if not self._is_ill and not is_told and not self._is_draining:
            log.warning("publishing waits", extra={"topic": self._topic, "cause": cause})
        self._is_ill = True
        steady_ns = self._timing.clock.now().steady_ns
        self._breaker = self._breaker.failed(steady_ns, self._timing.rng.random())
        self._timing.pause(self._is_abandoned, self._breaker.wait_ns(steady_ns) / NS_PER_S)
