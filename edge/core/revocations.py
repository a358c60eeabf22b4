"""Which sessions, players and tokens are revoked now: signed revocations in, yes or no out.

Theory of operation
-------------------
A revocation that was once believed holds until it ends, whatever becomes of the document it
came in: a source that is cut short, rolled back or lost lifts nothing. It is changed, or lifted,
only by another one under the same ``id`` that was issued later: with an ``until`` that is over.
Such a one is remembered until what it lifted would have ended, lest an old copy revoke again.

Each request asks :meth:`Revocations.covers`, and mostly there is nothing to know; so the answer
is one attribute while nothing is revoked (0.03 µs), and three look-ups when something is
(0.3 µs). Several documents may revoke one name: the one that ends last counts.

Times are the wall clock's, because documents state them so; what has ended is compared each
time, and swept out when the shell looks at its source.

Full, the table keeps those that end last: of two revocations the one that would soon be over
anyway is the smaller loss. Whoever signs more than :data:`REVOCATIONS_MAX` is told so.
"""

import heapq
from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Final

import msgspec

from edge.core.instant import NS_PER_S, Instant
from edge.core.principal import Kind, Principal

REVOCATIONS_MAX: Final = 10_000
"""Each is verified at a start, 0.2 ms: two seconds. Seven new ones a minute, each for a token's
longest life of a day, would fill it; who needs more bans players at their issuer."""

_PLAYER: Final = Kind.PLAYER

_by_issue: Final = attrgetter("issued_unix_s", "until_unix_s", "signed")
_by_end: Final = attrgetter("forget_unix_s")


class Revocation(msgspec.Struct, frozen=True, kw_only=True):
    """One signed revocation, believed. It has a session, or a subject, or serial numbers.

    Attributes:
        id: Its name; one of this name that was issued later replaces it.
        issued_unix_s: When it was issued, by its issuer's clock, unix s.
        until_unix_s: When it ends (exclusive), unix s.
        forget_unix_s: When neither it nor what it replaced could still be in force, unix s.
        session: A player's session, lower-case UUID text; ``""``: none.
        subject: A player, in all sessions; ``""``: none. Never a service, whose name a player
            might have chosen.
        jtis: Tokens, of players or services, by their serial numbers; those of different issuers
            never collide. Source: RFC 7519 §4.1.7.
        signed: The document itself, for whoever keeps it.
    """

    id: str
    issued_unix_s: int
    until_unix_s: int
    forget_unix_s: int
    session: str = ""
    subject: str = ""
    jtis: tuple[str, ...] = ()
    signed: bytes = b""


class Statistics(msgspec.Struct, frozen=True):
    """How full the table is.

    Attributes:
        in_force: Revocations that hold now.
        dropped: Left out for want of room, ever.
    """

    in_force: int
    dropped: int


class Revocations:
    """The revocations in force. Loop thread.

    Args:
        revocations_max: Kept at once; beyond it those that end first are left out.
    """

    __slots__ = (
        "_dropped", "_forget_unix_ns", "_has_any", "_held", "_jtis", "_max", "_sessions",
        "_subjects",
    )  # fmt: skip

    def __init__(self, revocations_max: int = REVOCATIONS_MAX) -> None:
        self._max = revocations_max
        self._dropped = 0
        self._held: dict[str, Revocation] = {}
        self._index()

    def covers(self, principal: Principal, now: Instant) -> bool:
        """Whether *principal* is believed no longer; asked by each request."""
        return self._has_any and self._until_unix_ns(principal) > now.unix_ns

    def learn(self, told: Iterable[Revocation], now: Instant) -> Sequence[Revocation]:
        """Take in what a source says, beside what was said before; 7 ms for one more of 10,000.

        Args:
            told: In any order; for each id the one issued last counts, of two issued in one
                second the one that ends last, and of two that end together always the same.
                All of one id that are new belong into one call: a lift that is over has nothing
                to lift in another, and is forgotten.
            now: What has ended by then only lifts what it replaces.

        Returns:
            Those that are in force now, and were not before.
        """
        learnt = {new.id for new in sorted(told, key=_by_issue) if self._take(new)}
        if learnt:
            self._sweep(now)
        held = (self._held[name] for name in learnt if name in self._held)
        return [new for new in held if _is_on(new, now)]

    def replace(self, told: Iterable[Revocation], now: Instant) -> Sequence[Revocation]:
        """Begin anew: the keys changed, and nothing is believed but *told*.

        Returns:
            All that are in force now.
        """
        self._held = {}
        self._index()
        return self.learn(told, now)

    def forget(self, now: Instant) -> None:
        """Sweep out what has ended, if anything has."""
        if self._held and self._forget_unix_ns <= now.unix_ns:
            self._sweep(now)

    def held(self) -> tuple[Revocation, ...]:
        """Return all that is remembered, also what only lifts. Any thread: copied at once."""
        return tuple(self._held.values())

    def statistics(self, now: Instant) -> Statistics:
        """Tell how full the table is."""
        in_force = sum(_is_on(revocation, now) for revocation in self._held.values())
        return Statistics(in_force, self._dropped)

    def _until_unix_ns(self, principal: Principal) -> int:
        """Tell until when a principal is revoked under any of its names; 0: it is not."""
        until_unix_ns = self._jtis.get(principal.jti, 0)
        if principal.kind is not _PLAYER:
            return until_unix_ns
        session_unix_ns = self._sessions.get(principal.session, 0)
        return max(until_unix_ns, session_unix_ns, self._subjects.get(principal.subject, 0))

    def _take(self, new: Revocation) -> bool:
        """Hold *new* unless one of its id that counts more is held; tell whether it is."""
        known = self._held.get(new.id)
        if known is not None:
            if _by_issue(new) <= _by_issue(known):
                return False
            forget_unix_s = max(new.forget_unix_s, known.forget_unix_s)
            new = msgspec.structs.replace(new, forget_unix_s=forget_unix_s)
        self._held[new.id] = new
        return True

    def _sweep(self, now: Instant) -> None:
        """Let go what is over, and what there is no room for."""
        held = [each for each in self._held.values() if not _is_over(each, now)]
        if (excess := len(held) - self._max) > 0:
            held = heapq.nlargest(self._max, held, key=_by_end)
            self._dropped += excess
        self._held = {each.id: each for each in held}
        self._index()

    def _index(self) -> None:
        """List every name anew, with the time until which it is revoked, unix ns."""
        self._sessions: dict[str, int] = {}
        self._subjects: dict[str, int] = {}
        self._jtis: dict[str, int] = {}
        for each in self._held.values():
            until_unix_ns = each.until_unix_s * NS_PER_S
            if each.session:
                _extend(self._sessions, each.session, until_unix_ns)
            if each.subject:
                _extend(self._subjects, each.subject, until_unix_ns)
            for jti in each.jtis:
                _extend(self._jtis, jti, until_unix_ns)
        self._has_any = bool(self._held)
        ends = (each.forget_unix_s for each in self._held.values())
        self._forget_unix_ns = min(ends, default=0) * NS_PER_S


def _is_on(revocation: Revocation, now: Instant) -> bool:
    return revocation.until_unix_s * NS_PER_S > now.unix_ns


def _is_over(revocation: Revocation, now: Instant) -> bool:
    return revocation.forget_unix_s * NS_PER_S <= now.unix_ns


def _extend(names: dict[str, int], name: str, until_unix_ns: int) -> None:
    if until_unix_ns > names.get(name, 0):
        names[name] = until_unix_ns
