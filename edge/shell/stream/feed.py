"""Records of the topic of pushes in, from its end on; out, pushes that are ready to be written.

It has a thread of its own, and owns a place in the topic, which it keeps through every outage.

Theory of operation
-------------------
It begins where the topic ends: whoever subscribes wants what is published from then on. After
an outage it goes on where it was, so what was published meanwhile comes late; only if that
place is gone (retention, or the topic was made anew) it begins at the end again. Tries are
spaced as a forwarder's are, there is no giving up, and nobody waits for this thread: an outage
costs the pushes and nothing else.

Whether they can be read, a reader may know by itself, between two records too: then its word is
what operators are told. Of another a failure is told until a record comes, or for a while.

What is no push is counted and skipped. People are told where it lies, at most once a minute,
and never what it holds.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from typing import Final

from edge.core.backoff import Breaker
from edge.core.instant import NS_PER_S
from edge.core.laggards import Parcel
from edge.core.push import PUSH_TOPIC, Fault, read_push
from edge.shell.forward import Timing
from edge.shell.stream.frames import text_frame
from origin_client.give_way import give_way
from origin_client.open import Reader
from origin_client.origin import OriginError, OriginUnavailable, Record, Telling

log: Final = logging.getLogger("edge.push")

TELL_NS: Final = 60 * NS_PER_S  # a publisher with a bug makes no more than a line a minute
ILL_NS: Final = 30 * NS_PER_S
"""So long after a failure it is said to be over: a try takes 10 s, the next follows in 5."""
STOP_S: Final = 1.0  # a reader that waits notices within 0.2 s that it was closed


class Feed:
    """Follows :data:`edge.core.push.PUSH_TOPIC`.

    Args:
        reader: Of the origin; this feed's alone.
        give: Takes each push; may wait.
        stand: Told when the place to begin is known: what is published later is read.
        timing: Clocks, dice and waits.

    Attributes:
        faults: Records that are no push, by fault.
    """

    def __init__(
        self,
        reader: Reader,
        give: Callable[[Parcel], None],
        stand: Callable[[], None],
        timing: Timing,
    ) -> None:
        self.faults: Final[Counter[Fault]] = Counter(dict.fromkeys(Fault, 0))
        self._reader: Final = reader
        self._teller: Final = reader if isinstance(reader, Telling) else None
        self._give: Final = give
        self._stand: Final = stand
        self._timing: Final = timing
        self._position: dict[int, int] | None = None
        self._breaker = Breaker()
        self._ailment: str | None = None
        self._failed_ns = 0
        self._is_known_elsewhere = False  # whether the ailment is the reader's, who tells of it
        self._told_fault_ns: int | None = None
        self._closed: Final = threading.Event()
        # A daemon, so that an origin that never returns cannot keep the process from ending.
        self._thread: Final = threading.Thread(target=self._run, name="pushes", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> bool:
        """End; wait a moment for that, and return whether it has."""
        self._closed.set()
        self._reader.close()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        return not self._thread.is_alive()

    def health(self) -> str | None:
        """Name the cause when no pushes are read now; ``None`` when they are. Any thread."""
        told = None if self._teller is None else self._teller.health(PUSH_TOPIC)
        is_over = self._is_known_elsewhere or self._now_ns() - self._failed_ns > ILL_NS
        return told or (None if is_over else self._ailment)

    def step(self) -> None:
        """Follow the topic until that fails, and wait as the breaker says."""
        try:
            self._follow()
        except OriginUnavailable as error:
            self._fail(str(error), is_told=error.is_told)
        except OriginError as error:
            self._position = None
            self._fail(str(error))
        except OSError as error:  # of a log's reader
            self._fail(f"unreadable: {error}")
        except Exception as error:
            log.exception("reading pushes failed")
            self._fail(type(error).__name__, is_told=True, is_ours=True)
        if not self._closed.is_set():
            wait_ns = self._breaker.wait_ns(self._now_ns())
            self._timing.pause(self._closed, wait_ns / NS_PER_S)

    def _run(self) -> None:
        while not self._closed.is_set():
            self.step()

    def _follow(self) -> None:
        """Give out what comes, until the reader is closed.

        Raises:
            OriginUnavailable: It refuses, or does not answer.
            OriginError: Our place in it is gone, or the options do not suit a reader.
            OSError: A log cannot be read.
        """
        if self._position is None:
            self._position = self._reader.end(PUSH_TOPIC)
            self._stand()
        position = self._position
        records = self._reader.subscribe(PUSH_TOPIC, dict(position), follow=True)
        for done, record in enumerate(records):
            give_way(done)
            self._breaker, self._ailment = Breaker(), None
            self._take(record)
            position[record.partition] = record.offset + 1

    def _take(self, record: Record) -> None:
        push = read_push(record.value)
        if isinstance(push, Fault):
            self.faults[push] += 1
            self._tell_fault(push, record)
        else:
            self._give(Parcel(push.label, text_frame(push.frame)))

    def _tell_fault(self, fault: Fault, record: Record) -> None:
        now_ns = self._now_ns()
        if self._told_fault_ns is None or now_ns - self._told_fault_ns > TELL_NS:
            self._told_fault_ns = now_ns
            place = {"partition": record.partition, "offset": record.offset}
            told = {"fault": fault.value, **place, "skipped_so_far": self.faults.total()}
            log.warning("a record is no push, and is skipped", extra=told)

    def _fail(self, cause: str, *, is_told: bool = False, is_ours: bool = False) -> None:
        if self._closed.is_set():
            return
        now_ns = self._now_ns()
        is_news = cause != self._ailment or now_ns - self._failed_ns > TELL_NS
        self._breaker = self._breaker.failed(now_ns, self._timing.rng.random())
        self._ailment, self._failed_ns = cause, now_ns
        self._is_known_elsewhere = self._teller is not None and not is_ours
        if is_news and not is_told:
            log.warning("no pushes are read now", extra={"cause": cause})

    def _now_ns(self) -> int:
        return self._timing.clock.now().steady_ns
