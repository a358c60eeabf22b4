"""Owns what the origin directs: follows its signed documents, tells whoever must act on them.

Theory of operation
-------------------
Today the one source is a mounted file (:mod:`edge.shell.directive_file`), looked at four times a
second in a thread of its own, so a disk that hangs holds up nobody. What is new goes into the
table that each request asks, and in the same step of the loop to the *listener*, which ends live
sockets: from then on nothing of theirs is admitted. Of many that are new each portion acts as soon
as it is judged.

What is held is written down for the next start, beside the spool and never in the way of the
next look; a start believes it before it looks at the source. Whatever goes wrong with the source
or its keys, what was believed stays; readiness tells of it with status 200, for a node that
cannot hear of new revocations still knows the old ones, and taking all nodes out would help
nobody.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.config import DirectiveSettings
from edge.core.instant import NS_PER_S, Instant
from edge.core.revocations import Revocation, Revocations
from edge.shell.clock import Clock
from edge.shell.directive_file import DirectiveFile, Reading
from edge.shell.directive_store import DirectiveStore, Kept, Record
from edge.shell.keys.flight import Flight

log: Final = logging.getLogger("edge.directives")

POLL_S: Final = 0.25
"""Design.md: a revocation acts within a second; the rest of it is for judging, a thousand that come
at once, and a busy loop."""

START_TIMEOUT_S: Final = 5.0
"""How long a start waits for the first look: 10,000 directives take 3 s. Then the doors open with
what an earlier process kept."""

STALE_NS: Final = 5 * NS_PER_S
"""Without a good look for so long there is something to tell: 20 looks, or a full source."""

SAVE_RETRY_S: Final = 5.0
"""Between two tries to write down what is held: a full disk is not helped by more."""

Listener = Callable[[Sequence[Revocation]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectiveStatistics:
    """How directives are, for readiness and metrics.

    Attributes:
        in_force: Revocations that hold now.
        refused: Lines of the source that are not believed now.
        refused_total: Lines that were not believed, each counted once, ever.
        dropped_total: Revocations left out for want of room, ever.
        age_s: Since source and keys were last read well; ``None`` if they never were.
        complaint: What an operator should know; ``None`` if all is well.
    """

    in_force: int
    refused: int
    refused_total: int
    dropped_total: int
    age_s: float | None
    complaint: str | None


class Directives:
    """What the origin directs. Loop thread.

    Args:
        settings: Where directives are read.
        directory: Where they are kept for the next start; made when first needed.
        revocations: The table to fill.
        clock: Both clocks.

    Attributes:
        listener: Told of revocations that are newly in force, in the step in which they are.
        revocations: The table it fills.
        is_followed: Whether there is a source at all.
    """

    def __init__(
        self,
        settings: DirectiveSettings,
        directory: Path,
        revocations: Revocations,
        clock: Clock,
    ) -> None:
        self.listener: Listener = _tell_nobody
        self.is_followed = False
        self.revocations = revocations
        self._clock = clock
        self._store = DirectiveStore(directory)
        self._recovered: Sequence[Kept] = ()
        self._unsaved = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None  # from the first look on
        self._looks: Flight[None] = Flight("directives")
        self._readings: deque[Reading] = deque()  # two at most: nobody looks while one is left
        self._saves: Flight[None] = Flight("directives-kept")
        self._first: asyncio.Task[None] | None = None
        self._good_steady_ns: int | None = None
        self._refused = self._refused_total = 0
        self._errors: Mapping[str, str] = {}
        if settings.source is not None and settings.keys is not None:
            self.is_followed = True
            self._keys = settings.keys
            source, keys = Path(settings.source), Path(settings.keys)
            self._file = DirectiveFile(source, keys, self._act_soon)

    async def start(self) -> None:
        """Know what is revoked before the doors open, as far as it is to be known.

        On return what an earlier process kept is in force, and the source was looked at, or has
        not answered for ``START_TIMEOUT_S``; failing is no error here: :meth:`run` goes on.
        """
        if not self.is_followed:
            return
        recovered = await asyncio.to_thread(self._recover)
        if recovered.is_anew:
            self._learn(recovered, self._clock.now())
        self._first = asyncio.create_task(self.tick())
        await asyncio.wait((self._first,), timeout=START_TIMEOUT_S)

    async def run(self) -> None:
        """Follow the source for ever. Cancelled, it leaves what is held as it is."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._keep())

    async def tick(self) -> None:
        """Look once; return when what was new is in force.

        Raises:
            TimeoutError: An earlier look, cancelled, has not come back.
        """
        if self.is_followed:
            self._loop = asyncio.get_running_loop()
            await self._looks.run(self._look)
            while self._readings:
                self._take(self._readings.popleft())
        self.revocations.forget(self._clock.now())

    def statistics(self) -> DirectiveStatistics:
        """Tell how they are."""
        now = self._clock.now()
        table = self.revocations.statistics(now)
        good_ns = self._good_steady_ns
        age_ns = None if good_ns is None else now.steady_ns - good_ns
        return DirectiveStatistics(
            in_force=table.in_force,
            refused=self._refused,
            refused_total=self._refused_total,
            dropped_total=table.dropped,
            age_s=None if age_ns is None else age_ns / NS_PER_S,
            complaint=self._complaint(age_ns) if self.is_followed else None,
        )

    def _complaint(self, age_ns: int | None) -> str | None:
        causes = [f"directives.{name}: {why}" for name, why in self._errors.items()]
        if self._refused:
            causes.append(f"lines of the source that are not believed: {self._refused}")
        if age_ns is None:
            causes.append("never read well")
        elif age_ns > STALE_NS:
            causes.append(f"last read well {age_ns // NS_PER_S} s ago")
        return "; ".join(causes) or None

    async def _follow(self) -> None:
        if self._first is not None:
            first, self._first = self._first, None
            await first
        while True:
            await asyncio.sleep(POLL_S)
            await self.tick()

    async def _keep(self) -> None:
        """Write down what is held, each time after it has changed."""
        told = None
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            try:
                await self._saves.run(self._save)
            except OSError as error:
                why = error.strerror or type(error).__name__
                # What is held is as good without it; only a start during an outage would miss it.
                log.log(_level(why, told), "not written down for the next start: %s", why)
                told = why
                await asyncio.sleep(SAVE_RETRY_S)
                self._unsaved.set()
            else:
                told = None

    def _act_soon(self, believed: Sequence[Revocation]) -> None:
        """Have a portion act while the rest is judged; called by the thread that looks.

        Raises:
            RuntimeError: The loop is closed, and nobody waits for this look any more.
        """
        assert self._loop is not None, "a look comes first"
        self._loop.call_soon_threadsafe(self._act, believed)

    def _act(self, believed: Sequence[Revocation]) -> None:
        self._learn(Reading(believed=believed), self._clock.now())

    def _take(self, reading: Reading) -> None:
        """Act on one reading."""
        now = self._clock.now()
        self._tell(reading)
        if not reading.errors:
            self._good_steady_ns = now.steady_ns
        if reading.is_anew or reading.believed:
            self._learn(reading, now)

    def _learn(self, reading: Reading, now: Instant) -> None:
        table = self.revocations
        before = table.statistics(now)
        new = (table.replace if reading.is_anew else table.learn)(reading.believed, now)
        self._recovered = ()
        self._unsaved.set()
        after = table.statistics(now)
        if (lost := after.dropped - before.dropped) > 0:
            log.error("revocations left out for want of room, those that end first: %d", lost)
        if new or after.in_force < before.in_force:  # fewer: lifted, or no longer believed
            log.info("revocations in force: %d, before: %d", after.in_force, before.in_force)
        if new:
            self.listener(new)

    def _tell(self, reading: Reading) -> None:
        """Tell the log what is wrong, once."""
        for name, why in reading.errors.items():
            level = _level(why, self._errors.get(name))
            log.log(level, "directives.%s: %s; what was believed stays", name, why)
        if self._errors and not reading.errors:
            log.info("read well again")
        for line in reading.told:
            log.warning("not believed: %s", line)
        if (more := reading.refused_new - len(reading.told)) > 0:
            log.warning("not believed: more lines: %d", more)
        self._errors, self._refused = reading.errors, reading.refused
        self._refused_total += reading.refused_new

    def _look(self) -> None:
        """Read both files; runs in a thread, and what it brings is not lost with who waits."""
        self._readings.append(self._file.read(self._kept, self._clock.now().unix_ns))

    def _recover(self) -> Reading:
        """Judge what an earlier process kept; runs in a thread."""
        record = self._store.load()
        if record is None:
            return Reading()
        self._recovered = (
            record.directives
        )  # if not now, they are judged by the first keys read
        if record.keys != self._keys:
            return Reading()
        return self._file.recover(record.jwks.encode(), record.directives)

    def _kept(self) -> Iterable[Kept]:
        """Return what is to be judged anew; asked in the thread that looks."""
        held = self.revocations.held()
        kept = [
            Kept(signed=each.signed.decode(), forget_unix_s=each.forget_unix_s) for each in held
        ]
        return [*self._recovered, *kept]

    def _save(self) -> None:
        jwks = self._file.jwks.decode()
        self._store.save(Record(keys=self._keys, jwks=jwks, directives=list(self._kept())))


def _tell_nobody(_: Sequence[Revocation]) -> None:
    """Nobody is connected for longer than a request."""


def _level(cause: str, told: str | None) -> int:
    return logging.DEBUG if cause == told else logging.WARNING
