"""Owns every issuer's keys: where they come from, how old they are, when they are renewed.

Theory of operation
-------------------
Each issuer has one source, a URL or a mounted file, and a *ring*: the keys now believed and the
moment at which its source was last found good. Requests only ever look at the ring, so an
issuer that hangs costs them nothing. A task per issuer renews it in the background, in a thread
of its own: an issuer never waits for another one's resolver, and never has two fetches at once.
A resolver or a FIFO may hang for ever; what hangs is given up, and keeps nobody from leaving.

*Renewing.* A URL is fetched every ``jwks_refresh_s``, a file is read every five seconds; its
content is compared, so it does not matter how it was replaced (Kubernetes swaps a symlink). A
good set replaces the old one, and the same set again only makes it young: the generation moves
exactly when the keys do, because with it every remembered token of that issuer has to be
verified anew. Whatever goes wrong, the last good set stays, the reason is told, and the next
try comes after 1, 2, 4, ... seconds, at most 30.

*Ageing.* A set not confirmed for ``jwks_stale_max_s`` is not believed any more. Ages run on the
steady clock; only the set that an earlier process left on disk (URLs only: a file is on disk
already) brings its age from the wall clock.

*Asking again.* A token may name a key that its issuer has begun to use since. Then the door
waits for one more renewal, which everybody who needs it shares; at most one per 30 s and
issuer is made for that, whatever names strangers invent. No name is remembered, so there is
no table of unknown names to fill.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from edge.config import Auth
from edge.core.authenticate import IssuerKeys
from edge.core.instant import NS_PER_S, Instant
from edge.core.keyset import Algorithm, KeySet, KeySetRefused, read_key_set
from edge.shell.clock import Clock
from edge.shell.keys.fetch import FetchFailed
from edge.shell.keys.flight import Flight
from edge.shell.keys.refetched import Refetched
from edge.shell.keys.source import FETCH_TIMEOUT_S, KeySource, open_source

log: Final = logging.getLogger("edge.keys")

RENEWAL_TIMEOUT_S: Final = FETCH_TIMEOUT_S + 0.5
"""The fetch, then reading and storing the set. Also cuts off a resolver that hangs."""

BACKOFF_FIRST_NS: Final = 1 * NS_PER_S
BACKOFF_MAX_NS: Final = 30 * NS_PER_S
"""With the fetch itself, 32 s: a key withdrawn during an outage is gone a minute after it."""

_DOUBLINGS_MAX: Final = 5
"""1 s doubled five times is past the bound; more would only make a larger number."""

REFETCH_WAIT_S: Final = RENEWAL_TIMEOUT_S + 0.5
"""How long a request waits for newer keys: one renewal, and noticing that it is wanted."""

POLL_S: Final = 0.25
"""How often the clock is looked at for what is due; sleeping until then would miss a machine
that was suspended."""


@dataclass(frozen=True, slots=True)
class KeyStatistics:
    """How one issuer's keys are, for readiness and metrics.

    Attributes:
        issuer: Its name in the settings.
        keys: How many are usable; 0 when there never were any.
        generation: How often they changed since the start; 0 when there never were any.
        age_s: Since the source was last found good; ``None`` when it never was.
        is_stale: Whether they are too old to be believed.
        error: Why the last renewal failed; ``None`` if it did not.
    """

    issuer: str
    keys: int
    generation: int
    age_s: float | None
    is_stale: bool
    error: str | None


@dataclass(slots=True)
class _Ring:
    """One issuer's keys and their source.

    Attributes:
        issuer: Its name in the settings.
        fallback: The algorithm of keys that name none.
        source: Where the key set is read.
        flight: Its one reading under way, if any.
        held: The keys; ``None`` until there are some.
        good_steady_ns: When the source was last found good.
        due_steady_ns: When to renew; ``None`` is at once.
        refetch_steady_ns: From when on an unknown ``kid`` may ask again; ``None`` is now.
        failures: In a row.
        error: Why the last renewal failed.
        is_renewing: Whether one is under way.
        wanted: Set to end the wait for the next poll.
        landed: Set when the renewal under way, or the next one, has ended.
    """

    issuer: str
    fallback: Algorithm | None
    source: KeySource
    flight: Flight[KeySet] = field(default_factory=Flight[KeySet])
    held: IssuerKeys | None = None
    good_steady_ns: int = 0
    due_steady_ns: int | None = None
    refetch_steady_ns: int | None = None
    failures: int = 0
    error: str | None = None
    is_renewing: bool = False
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    landed: asyncio.Event = field(default_factory=asyncio.Event)

    def is_due(self, now: Instant) -> bool:
        return self.due_steady_ns is None or now.steady_ns >= self.due_steady_ns

    def want(self) -> None:
        self.due_steady_ns = None
        self.wanted.set()

    def accept(self, key_set: KeySet, good_steady_ns: int, stale_max_ns: int) -> None:
        """Believe a set that was good at *good_steady_ns*."""
        keys, generation = key_set.keys, 1
        if self.held is not None:
            is_same = keys == self.held.keys
            generation = self.held.generation + (not is_same)
        if self.held is None or self.held.generation != generation:
            log.info("%s: generation %d, %s", self.issuer, generation, _told(key_set))
        self.held = IssuerKeys(keys, generation, good_steady_ns + stale_max_ns)
        self.good_steady_ns = good_steady_ns

    def succeed(self, now: Instant) -> None:
        """Plan the next renewal after one that went well."""
        if self.error is not None:
            log.info("%s: renewed again after %d failures", self.issuer, self.failures)
        self.failures, self.error = 0, None
        self._plan(now, self.source.interval_ns)

    def fail(self, why: str, now: Instant) -> None:
        """Keep what there is, and plan the next try; the log is told once per cause."""
        level = logging.DEBUG if why == self.error else logging.WARNING
        log.log(level, "%s: keys not renewed: %s", self.issuer, why)
        backoff_ns = BACKOFF_FIRST_NS << min(self.failures, _DOUBLINGS_MAX)
        self.failures, self.error = self.failures + 1, why
        self._plan(now, min(backoff_ns, BACKOFF_MAX_NS, self.source.interval_ns))

    def _plan(self, now: Instant, wait_ns: int) -> None:
        # A wish that came while the source was being read is for another reading.
        if self.due_steady_ns is not None:
            self.due_steady_ns = now.steady_ns + wait_ns


def _told(key_set: KeySet) -> str:
    return f"keys {sorted(key_set.keys)}, not used {list(key_set.skipped)}"


class Keyring:
    """Every issuer's keys; what the core asks as its ``Keys``.

    Args:
        auth: The issuers, and how long keys stay fresh and credible.
        directory: Where last good sets are kept; made when first needed.
        clock: Both clocks.

    Raises:
        ConfigError: An issuer's URL may not be fetched.
    """

    def __init__(self, auth: Auth, directory: Path, clock: Clock) -> None:
        self._clock = clock
        self._stale_max_ns = auth.jwks_stale_max_s * NS_PER_S
        self._rings: dict[str, _Ring] = {}
        for number, issuer in enumerate(auth.issuers):
            path = f"auth.issuers[{number}]"
            source = open_source(issuer, path, directory, auth.jwks_refresh_s)
            self._rings[issuer.issuer] = _Ring(issuer.issuer, issuer.algorithm, source)

    def keys_of(self, issuer: str) -> IssuerKeys | None:
        """The keys of *issuer* at hand, without waiting; ``None`` if it never had any."""
        ring = self._rings.get(issuer)
        return None if ring is None else ring.held

    async def start(self) -> None:
        """Have keys before the doors open, if they are to be had.

        On return each issuer's last good set is loaded and its source was tried once; that
        takes at most ``RENEWAL_TIMEOUT_S``, and failing is no error here: :meth:`run` goes on.
        """
        for ring in self._rings.values():
            await asyncio.to_thread(self._recover, ring)
        await self.tick()

    async def run(self) -> None:
        """Renew what is due, for ever. Cancelled, it leaves the keys as they are."""
        async with asyncio.TaskGroup() as tasks:
            for ring in self._rings.values():
                tasks.create_task(self._tend(ring))

    async def tick(self) -> None:
        """Renew every issuer that is due by the clock; return when each has ended."""
        async with asyncio.TaskGroup() as tasks:
            for ring in self._rings.values():
                tasks.create_task(self._renew_if_due(ring))

    async def refetch(self, issuer: str) -> Refetched:
        """Wait for newer keys, because a token names one that *issuer* does not seem to have.

        Cancelled, it leaves the renewal running for the others.

        Returns:
            Whether there are others now, or why not; at once when the source was asked less
            than its ``refetch_interval_ns`` ago. A reading that is under way already may have
            been too early for the key: if it brings nothing new, that is ``TOO_SOON``, too.
        """
        ring, now = self._rings[issuer], self._clock.now()
        is_earlier = ring.is_renewing
        if not is_earlier and not ring.is_due(now):
            if ring.refetch_steady_ns is not None and now.steady_ns < ring.refetch_steady_ns:
                return Refetched.TOO_SOON if ring.error is None else Refetched.FAILED
            ring.refetch_steady_ns = now.steady_ns + ring.source.refetch_interval_ns
            ring.want()
        before = ring.held
        try:
            async with asyncio.timeout(REFETCH_WAIT_S):
                await ring.landed.wait()
        except TimeoutError:
            return Refetched.FAILED
        if _generation(ring.held) != _generation(before):
            return Refetched.CHANGED
        if ring.error is not None:
            return Refetched.FAILED
        return Refetched.TOO_SOON if is_earlier else Refetched.SAME

    def reload(self) -> None:
        """Have every source read again soon (SIGHUP); never waits."""
        for ring in self._rings.values():
            ring.want()

    def statistics(self) -> tuple[KeyStatistics, ...]:
        """Tell how each issuer's keys are, in the order of the settings."""
        now = self._clock.now()
        return tuple(_statistics(ring, now) for ring in self._rings.values())

    async def _tend(self, ring: _Ring) -> None:
        while True:
            ring.wanted.clear()
            await self._renew_if_due(ring)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await ring.wanted.wait()

    async def _renew_if_due(self, ring: _Ring) -> None:
        if ring.is_renewing or not ring.is_due(self._clock.now()):
            return
        ring.is_renewing = True
        try:
            await self._renew(ring)
        finally:
            ring.is_renewing = False
            ring.landed.set()
            ring.landed = asyncio.Event()

    async def _renew(self, ring: _Ring) -> None:
        asked = self._clock.now()
        ring.due_steady_ns = asked.steady_ns
        try:
            async with asyncio.timeout(RENEWAL_TIMEOUT_S):
                key_set = await ring.flight.run(partial(_obtain, ring, asked.unix_ns))
        except (FetchFailed, KeySetRefused) as error:
            ring.fail(str(error), self._clock.now())
        except TimeoutError:
            ring.fail(f"no answer within {RENEWAL_TIMEOUT_S:g} s", self._clock.now())
        except OSError as error:
            ring.fail(error.strerror or type(error).__name__, self._clock.now())
        except Exception:
            # The supervisor of this task: a bug here must not close the doors.
            log.exception("%s: a bug", ring.issuer)
            ring.fail("internal error", self._clock.now())
        else:
            ring.accept(key_set, asked.steady_ns, self._stale_max_ns)
            ring.succeed(self._clock.now())

    def _recover(self, ring: _Ring) -> None:
        """Believe what an earlier process left, as long as its age allows."""
        kept = None if ring.source.last_good is None else ring.source.last_good.load()
        if kept is None:
            return
        octets, fetched_unix_ns = kept
        now = self._clock.now()
        # A clock that was set back since makes it look younger than new: then it is new.
        age_ns = max(0, now.unix_ns - fetched_unix_ns)
        try:
            key_set = read_key_set(octets, ring.fallback)
        except KeySetRefused as error:
            log.warning("%s: last good keys not used: %s", ring.issuer, error)
            return
        ring.accept(key_set, now.steady_ns - age_ns, self._stale_max_ns)


def _obtain(ring: _Ring, asked_unix_ns: int) -> KeySet:
    """Read the source, and keep what is good for the next start; runs in the ring's thread."""
    octets = ring.source.read()
    key_set = read_key_set(octets, ring.fallback)
    if ring.source.last_good is not None:
        try:
            ring.source.last_good.save(octets, asked_unix_ns)
        except OSError as error:
            # The keys are as good without it; only a start during an outage would miss it.
            log.warning("%s: last good keys not saved: %s", ring.issuer, error.strerror)
    return key_set


def _generation(held: IssuerKeys | None) -> int:
    return 0 if held is None else held.generation


def _statistics(ring: _Ring, now: Instant) -> KeyStatistics:
    held = ring.held
    return KeyStatistics(
        issuer=ring.issuer,
        keys=0 if held is None else len(held.keys),
        generation=_generation(held),
        age_s=None if held is None else (now.steady_ns - ring.good_steady_ns) / NS_PER_S,
        is_stale=held is not None and now.steady_ns >= held.stale_steady_ns,
        error=ring.error,
    )
