"""Who is served next when more is asked than the node can do, and who is refused.

In: who came, and the time at each turn of the event loop; out: who is served in this turn and
who is sent away. It owns the line of those who wait, and the judgement whether this is only a
burst or an overload.

Theory of operation
-------------------
One turn of the loop begins a handful of requests; what it cannot begin waits in line. So the
line measures exactly one thing: how long this process's processor makes requests wait. A request
that waits for a disk has had its turn, and takes nobody's.

How many are *waiting* says little, for a batch of 200 takes fifty times what an event takes.
How *long* they wait says all (RFC 8289), and the time from turn to turn tells what a request
takes just now: the *pace*. Two delays follow from it, each with a floor: how long one is
*fresh*, and for how long there must be work in a *standing* line.

**Calm.** First come, first served; nobody is refused. A burst makes a long line, but one that
ends. Only a line that has stood for ``INTERVAL_NS`` longer than it has not is an overload: more is
asked than can be done, and patience only makes everybody late. That it ends for a moment proves
nothing: all who share a sync are answered at once, and come back at once.

**Overloaded.** Last come, first served, as long as that one is *fresh*. Whoever has waited
longer is late: it waits on, up to ``WAIT_NS_MAX``, because a client that waits sends nothing,
and is refused then. But when a stall has made many late at once, those who are free may bring
less than can be done, for as long as the late ones wait. What passes from turn to turn, less the
pace of what was begun, is time to *spare*: for each that could have been begun in it two of those
that wait longest are refused at once, for their connections may then bring something fresh. If
nobody at all is fresh, some are refused at each look. If even that brings nobody, late ones are
served after all, the last first. So the processor is kept busy, and but for a pause of all clients
with requests that are answered in time, whether there are twenty connections or ten thousand.

It is over as it began, by weighing: when the whole line, late or not, has stood for ``CALM_NS``
less than it has not. That it stands for a moment proves nothing either: a second that each hiccup
began anew never ended at nine tenths of what the node can do.

A line that one turn takes whole does not stand, and some three turns are under way besides: in
calm, all of a fixed set of clients may wait for four or five turns. So the turn in calm also says
how late everybody may be.

Source: RFC 8289 (CoDel: a burst is worked off within an interval, a standing queue is not);
B. Maurer, "Fail at Scale", ACM Queue 13 (8), 2015 (controlled delay, adaptive LIFO).
"""

from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from edge.core.instant import NS_PER_MS, NS_PER_S

WAIT_NS_MAX: Final = 1 * NS_PER_S
"""What waits longer is refused: clients wait no longer than that before they ask again."""

INTERVAL_NS: Final = 500 * NS_PER_MS
"""A line that is worked off within it was a burst: 350 batches of 50 at once, say."""

CALM_NS: Final = 1 * NS_PER_S
"""An overload is over when the line has not stood for so much longer than it has: as long as the
last refused waited. However long it lasted, that is enough."""

FRESH_NS_MIN: Final = 16 * NS_PER_MS
"""Five turns: as long as a request is under way once it has begun. Of two turns the processor,
which also syncs and forwards, had too often nobody to serve."""

FRESH_TURNS: Final = 8
"""Times the pace: so many big batches may come together by chance."""

STANDING_NS_MIN: Final = 4 * NS_PER_MS
"""A line beside a turn that is full: half a turn more. Some three turns' requests are under way
besides, so whoever is in line waits for five times that."""

STANDING_TURNS: Final = 8
"""Times the pace: a closed loop of sixteen connections with batches is no overload."""

TURN_NS: Final = 3 * NS_PER_MS
"""The work of one turn in an overload. What is accepted takes some three turns: begun in one,
synced during the next, answered in the one after that. Shorter ones share too few syncs."""

CALM_TURN_NS: Final = 5 * NS_PER_MS
"""In calm, where nobody is refused for it. What comes at once should begin at once: cut in two,
it shares two syncs instead of one. Of 8, at 1.6 times what the node can do (simulated), turns took
so many lines whole that none stood for long, and everybody waited 30 ms."""

PACE_NS_AT_FIRST: Final = NS_PER_MS // 4
"""Until it is known: between a single event's 0.1 ms and a small batch's."""

PACE_SHARE: Final = 4
"""The pace moves by a quarter of what a turn shows: it is known after ten turns, and one in which
another thread had the processor does not spoil it."""

REFUSED_PER_TURN: Final = 64
"""A refusal costs 25 µs, so this many together take a fifth of a turn."""

LOOK_NS: Final = 2 * NS_PER_MS
"""From look to look while only those wait who are late."""

FUTILE_MAX: Final = 4
"""So many such looks in a row refuse somebody, together as long as one is fresh; then those who
are late are served. Of 2, one in twenty would be late; of 8, the processor would wait too long."""

FUTILE_REFUSED: Final = 12
"""By each such look: of 4, at twice what the node can do, a fifth of that was not done, because it
takes a while until they ask again; more would be refused for clients that only paused."""

REFUSED_PER_SPARE: Final = 2
"""For each that could have been begun. One makes up for what is missing in the time in which a
client asks again; two in half of it, and cost a third of what that one would have."""

Waiter = TypeVar("Waiter")


@dataclass(frozen=True, slots=True)
class Turn(Generic[Waiter]):
    """What happens in one turn of the loop.

    Attributes:
        served: To be begun, in this order.
        refused: To be sent away.
        is_full: It did as much as a turn may, so there is more to do: the next one cannot come
            too soon. Else there is time until somebody comes, or ``LOOK_NS``.
    """

    served: Sequence[Waiter]
    refused: Sequence[Waiter]
    is_full: bool


class WaitingLine(Generic[Waiter]):
    """The line, and whether it stands. All times are of the steady clock, ns.

    Attributes:
        is_overloaded: More is asked than can be done.
        turn_share: How many requests one turn begins, at least 1.
        waiting: Who is in it.
    """

    def __init__(self) -> None:
        self.is_overloaded = False
        self._came_ns: OrderedDict[Waiter, int] = OrderedDict()
        self.waiting: Final[Collection[Waiter]] = self._came_ns
        self._pace_ns = PACE_NS_AT_FIRST
        self._turned_ns = 0
        self._is_behind = False  # the last turn was full, and left somebody
        self._is_standing = False  # since it was weighed
        self._stood_ns = 0  # less what it did not
        self._weighed_ns = 0
        self._served = 0  # in the last turn
        self._futile = 0  # looks, in a row, that found nobody fresh
        self._spare_ns = 0  # left over: less than one is refused for
        self._divide()

    def __len__(self) -> int:
        return len(self._came_ns)

    def join(self, waiter: Waiter, now_ns: int) -> None:
        """Put somebody, who is not in it, at the end."""
        assert waiter not in self._came_ns
        self._came_ns[waiter] = now_ns

    def leave(self, waiter: Waiter) -> bool:
        """Take somebody out; return whether it was there."""
        was_there = self._came_ns.pop(waiter, None) is not None
        self._is_standing = self._is_standing and bool(self._came_ns)
        return was_there

    def take_turn(self, now_ns: int, beside: int) -> Turn[Waiter]:
        """Decide on one turn; who is served or refused is no more in line.

        Args:
            now_ns: Not before the turn before.
            beside: Requests begun since then that never stood in line; they take their share.
        """
        took_ns, begun = now_ns - self._turned_ns, beside + self._served
        self._turned_ns = now_ns
        if self._is_behind:
            self.learn(took_ns, begun)
        self._judge(now_ns)
        refused = self._expired(now_ns)
        count = max(self.turn_share - beside, 1)
        served = self._fresh(now_ns, count) if self.is_overloaded else self._first(count)
        if len(served) == count or not self.is_overloaded:
            self._futile = 0
        elif served:
            self._futile = 0
            spare = self._spare(took_ns, begun)
            refused += self._first(min(spare, REFUSED_PER_TURN - len(refused)))
        elif not refused:
            self._futile += 1
            if self._futile <= FUTILE_MAX:
                refused = self._first(FUTILE_REFUSED)
            else:
                served = self._last(count)
        self._is_standing = self._is_standing and bool(self._came_ns)
        self._served = len(served)
        is_full = len(served) == count or len(refused) == REFUSED_PER_TURN
        self._is_behind = is_full and bool(self._came_ns)
        return Turn(served, refused, is_full)

    def learn(self, took_ns: int, begun: int) -> None:
        """Take to heart what *begun* requests took, while the loop did not sleep."""
        if begun:
            self._pace_ns += (took_ns // begun - self._pace_ns) // PACE_SHARE
            self._pace_ns = max(self._pace_ns, 1)
            self._divide()

    def look(self, now_ns: int) -> bool:
        """See whether it is still overloaded; return that."""
        self._weigh(now_ns)
        return self.is_overloaded

    def _divide(self) -> None:
        """Reckon the share anew: of the pace and of whether it is overloaded."""
        turn_ns = TURN_NS if self.is_overloaded else CALM_TURN_NS
        self.turn_share = max(turn_ns // self._pace_ns, 1)

    def _judge(self, now_ns: int) -> None:
        self._weigh(now_ns)
        self._is_standing = len(self._came_ns) * self._pace_ns > self._standing_ns

    def _weigh(self, now_ns: int) -> None:
        since_ns = now_ns - self._weighed_ns
        self._weighed_ns = now_ns
        self._stood_ns += since_ns if self._is_standing else -since_ns
        self._stood_ns = min(max(self._stood_ns, 0), CALM_NS)
        if not self.is_overloaded and self._stood_ns >= INTERVAL_NS:
            self.is_overloaded, self._stood_ns = True, CALM_NS
            self._divide()
        elif self.is_overloaded and not self._stood_ns:
            self.is_overloaded = False
            self._divide()

    @property
    def _fresh_ns(self) -> int:
        return max(FRESH_NS_MIN, FRESH_TURNS * self._pace_ns)

    @property
    def _standing_ns(self) -> int:
        return max(STANDING_NS_MIN, STANDING_TURNS * self._pace_ns)

    def _spare(self, took_ns: int, begun: int) -> int:
        """Count who may be refused because *begun* requests left time for others.

        What took longer than a look was not the loop's: another thread had the processor.
        """
        spare_ns = self._spare_ns + min(took_ns, LOOK_NS) - begun * self._pace_ns
        each_ns = max(self._pace_ns // REFUSED_PER_SPARE, 1)
        count, self._spare_ns = divmod(max(spare_ns, 0), each_ns)
        return count

    def _expired(self, now_ns: int) -> list[Waiter]:
        expired: list[Waiter] = []
        while self._came_ns and len(expired) < REFUSED_PER_TURN:
            waiter = next(iter(self._came_ns))
            if now_ns - self._came_ns[waiter] < WAIT_NS_MAX:
                break
            del self._came_ns[waiter]
            expired.append(waiter)
        return expired

    def _first(self, count: int) -> list[Waiter]:
        count = min(count, len(self._came_ns))
        return [self._came_ns.popitem(last=False)[0] for _ in range(count)]

    def _last(self, count: int) -> list[Waiter]:
        count = min(count, len(self._came_ns))
        return [self._came_ns.popitem()[0] for _ in range(count)]

    def _fresh(self, now_ns: int, count: int) -> list[Waiter]:
        """Take the last that came, newest first, while they are fresh."""
        fresh: list[Waiter] = []
        while self._came_ns and len(fresh) < count:
            waiter, came_ns = self._came_ns.popitem()
            if now_ns - came_ns > self._fresh_ns:
                self._came_ns[waiter] = came_ns
                break
            fresh.append(waiter)
        return fresh
