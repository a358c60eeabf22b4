"""May this be sent now? A principal and an authority in; charged, or refused with the wait.

Theory of operation
-------------------
Up to five quotas stand in an event's way: ``address``, once per request and keyed by the
sender's network; then for each event ``player`` (keyed by its id) or ``service`` (by its
``client_id``), ``brand`` where one is set, and ``node``. Each is a set of leaky buckets
(:mod:`edge.core.gcra`). An event is charged to all of its quotas or to none, so who is refused
by one has not paid the others; the wait told is the longest of those that lack room, hence the
first instant at which the same event would pass if nothing else came.

An event that an earlier stage refused costs one unit of the same quotas where all have room,
and nothing where one has not: probing is not free, and never worse than being refused. What it
would have cost if accepted does not matter, not even if that is nothing.

An event's ``time`` is checked after it was charged, so events with a skewed clock are not free
either. Both sides are cut to whole ms before they are compared, and the bounds are inclusive.

Source: design.md §3a rule 7.
"""

from collections.abc import Iterable
from ipaddress import IPv6Address, ip_address
from typing import Final, Literal, TypeAlias

import msgspec

from edge.core.event import Event
from edge.core.gcra import Buckets
from edge.core.instant import NS_PER_MS, NS_PER_S, Instant
from edge.core.lane import Authority
from edge.core.principal import Kind, Principal
from edge.core.reject import Reason, Reject

CLOCK_SKEW_FLAG: Final = "clock_skew"

QuotaName: TypeAlias = Literal["address", "player", "service", "brand", "node"]

_MS_PER_S: Final = 1000
# A module's name is read faster than an enum's member: check_clock is 1.4 times as fast.
_PLAYER: Final = Kind.PLAYER
_INTENT: Final = Authority.INTENT
_FACT: Final = Authority.FACT
_PREFIX_V6: Final = 64  # what one household or one server gets: design.md §10


class Quota(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """One quota: *burst* units at once, then *quota* per *window_s*.

    Attributes:
        name: Whose it is.
        quota: Units per window, at least 1.
        window_s: s, at least 1.
        burst: Units, at least 1.
        intent: Units an intent costs, 0 to *burst*: more could never be paid, which is a
            mistake in the settings.
        observation: As *intent*.
        fact: As *intent*.
    """

    name: QuotaName
    quota: int
    window_s: int
    burst: int
    intent: int = 1
    observation: int = 1
    fact: int = 1


class QuotaState(msgspec.Struct, frozen=True, gc=False):
    """What is left of one quota.

    Attributes:
        quota: Which.
        remaining: Units that have room now.
        more_s: After how many whole s, rounded up, there will be one more; 0 when full.
    """

    quota: Quota
    remaining: int
    more_s: int


class ClockRules(msgspec.Struct, frozen=True, kw_only=True):
    """How far a sender's clock may be off.

    Attributes:
        intent_max_age_s: An older intent is refused.
        observation_max_age_s: An older observation is refused.
        future_max_s: Further in the future a client's event is refused, a fact flagged.
    """

    intent_max_age_s: int
    observation_max_age_s: int
    future_max_s: int


class Quotas:
    """All quotas of this process.

    Args:
        quotas: At most one of a name; a name that is absent is no limit.
    """

    def __init__(self, quotas: Iterable[Quota]) -> None:
        self._gates = {quota.name: _Gate(quota) for quota in quotas}
        self._address = self._gates.get("address")
        self._player = self._gates.get("player")
        self._service = self._gates.get("service")
        self._brand = self._gates.get("brand")
        self._node = self._gates.get("node")

    def charge_address(self, address: str, now: Instant) -> None:
        """Take one unit of the address quota, for a request whose head was read.

        Args:
            address: From :func:`address_key`.
            now: Steady clock.

        Raises:
            Reject: RATE_EXCEEDED for the whole request, with the wait.
        """
        if self._address is not None:
            _refuse(self._address.buckets.take(address, 1, now.steady_ns))

    def charge(
        self, principal: Principal, brand: str, authority: Authority, now: Instant
    ) -> None:
        """Take what an event costs from all of its quotas, or nothing from any.

        Args:
            principal: Who sent it.
            brand: The event's, for a service; a player's is the token's.
            authority: Decides what it costs.
            now: Steady clock.

        Raises:
            Reject: RATE_EXCEEDED, with the wait.
        """
        _refuse(_take(self.met(principal, brand), authority, now.steady_ns))

    def open_tab(self, principal: Principal, events: int, now: Instant) -> "Tab":
        """Begin to charge the events of one request.

        Args:
            principal: Who sent them.
            events: How many there are.
            now: Steady clock.
        """
        return Tab(self, principal, events, now)

    def charge_probe(self, principal: Principal, brand: str, now: Instant) -> None:
        """Take one unit of each of its quotas for an event refused earlier, if all have room.

        Args:
            principal: Who sent it.
            brand: As in :meth:`charge`; ``""`` where none could be read.
            now: Steady clock.
        """
        _take(self.met(principal, brand), None, now.steady_ns)

    def state(self, principal: Principal, address: str, now: Instant) -> list[QuotaState]:
        """Return what is left of each quota that a request of *principal* meets.

        A service's brands are left out: they are a matter of each event.

        Args:
            principal: Who asks.
            address: From :func:`address_key`.
            now: Steady clock.
        """
        met = self.met(principal, principal.brand)
        if self._address is not None:
            met.append((self._address, address))
        states: list[QuotaState] = []
        for gate, key in met:
            remaining, more_ns = gate.buckets.room(key, now.steady_ns)
            states.append(QuotaState(gate.quota, remaining, -(-more_ns // NS_PER_S)))
        return states

    def statistics(self) -> dict[str, tuple[int, int]]:
        """Return by name how many keys are remembered, and how many were forgotten early."""
        return {
            name: (len(gate.buckets), gate.buckets.forgotten_early)
            for name, gate in self._gates.items()
        }

    def met(self, principal: Principal, brand: str) -> list[tuple["_Gate", str]]:
        """Return the quotas an event meets, each with its key.

        Nobody meets, and so could use up, the quota of a brand that is not theirs.
        """
        if principal.kind is _PLAYER:
            own, key, brand = self._player, principal.subject, principal.brand
        else:
            own, key = self._service, principal.client_id
        met = [] if own is None else [(own, key)]
        is_theirs = principal.brands is None or brand in principal.brands
        if self._brand is not None and brand and is_theirs:
            met.append((self._brand, brand))
        if self._node is not None:
            met.append((self._node, ""))
        return met


class Tab:
    """What the events of one request are charged, one by one; to be settled at its end.

    Where the quotas have room for all of them at their dearest, whatever becomes of each, events
    are only counted: 0.1 µs each, where three buckets take 0.8. Where they have not, each event
    is charged by itself.

    Args:
        quotas: All of them.
        principal: Who sent them.
        events: How many there are.
        now: Steady clock.
    """

    __slots__ = ("_counts", "_events", "_now", "_principal", "_quotas")

    def __init__(self, quotas: Quotas, principal: Principal, events: int, now: Instant) -> None:
        self._quotas = quotas
        self._principal = principal
        self._events = events
        self._now = now
        # By brand, for a service's events meet the quotas of several: how many of each
        # authority; ``None`` where each is charged by itself.
        self._counts: dict[str, dict[Authority | None, int] | None] = {}

    def charge(self, brand: str, authority: Authority) -> None:
        """Charge one event as :meth:`Quotas.charge` does.

        Args:
            brand: As there.
            authority: As there.

        Raises:
            Reject: RATE_EXCEEDED, with the wait.
        """
        counts = self._counts[brand] if brand in self._counts else self._begin(brand)
        if counts is None:
            self._quotas.charge(self._principal, brand, authority, self._now)
        else:
            counts[authority] += 1

    def charge_probe(self, brand: str) -> None:
        """Charge one event that was refused earlier as :meth:`Quotas.charge_probe` does."""
        counts = self._counts[brand] if brand in self._counts else self._begin(brand)
        if counts is None:
            self._quotas.charge_probe(self._principal, brand, self._now)
        else:
            counts[None] += 1

    def settle(self) -> None:
        """Pay what was counted."""
        for brand, counts in self._counts.items():
            if counts is not None:
                for gate, key in self._quotas.met(self._principal, brand):
                    units = sum(gate.costs[each] * events for each, events in counts.items())
                    wait_ns = gate.buckets.take(key, units, self._now.steady_ns)
                    assert not wait_ns, "there was room for more"

    def _begin(self, brand: str) -> dict[Authority | None, int] | None:
        # One event is not worth asking; who shares a quota with another brand of this request
        # shares the room for all of its events too.
        has_room = self._events > 1 and all(
            gate.buckets.room(key, self._now.steady_ns)[0] >= self._events * gate.dearest
            for gate, key in self._quotas.met(self._principal, brand)
        )
        self._counts[brand] = dict.fromkeys((*Authority, None), 0) if has_room else None
        return self._counts[brand]


class _Gate:
    """One quota and its buckets.

    Attributes:
        costs: Units by authority; ``None`` for what was refused before its authority counted.
        dearest: The largest of them.
    """

    __slots__ = ("buckets", "costs", "dearest", "quota")

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.buckets = Buckets(quota=quota.quota, window_s=quota.window_s, burst=quota.burst)
        self.costs: dict[Authority | None, int] = {
            Authority.INTENT: quota.intent,
            Authority.OBSERVATION: quota.observation,
            Authority.FACT: quota.fact,
            None: 1,
        }
        self.dearest = max(self.costs.values())
        assert self.dearest <= quota.burst


def _take(met: list[tuple[_Gate, str]], authority: Authority | None, now_ns: int) -> int:
    """Take from all or from none; return 0, or after how many ns all will have room."""
    longest_ns = 0
    paid: list[tuple[_Gate, str]] = []
    for due in met:
        gate, key = due
        wait_ns = gate.buckets.take(key, gate.costs[authority], now_ns)
        if wait_ns:
            longest_ns = max(longest_ns, wait_ns)
        else:
            paid.append(due)
    if longest_ns:
        for gate, key in paid:
            gate.buckets.give_back(key, gate.costs[authority])
    return longest_ns


def _refuse(wait_ns: int) -> None:
    if wait_ns:
        raise Reject(Reason.RATE_EXCEEDED, retry_after_ns=wait_ns)


def check_clock(event: Event, rules: ClockRules, now: Instant) -> str:
    """Compare an event's ``time`` with ours.

    Returns:
        The flag for a fact that is too far in the future, else ``""``. A fact is never too old:
        it happened.

    Raises:
        Reject: CLOCK_SKEW at ``/time``, for intents and observations.
    """
    age_ms = now.unix_ns // NS_PER_MS - event.time_ms
    is_future = -age_ms > rules.future_max_s * _MS_PER_S
    authority = event.spec.authority
    if authority is _FACT:
        return CLOCK_SKEW_FLAG if is_future else ""
    is_intent = authority is _INTENT
    age_max_s = rules.intent_max_age_s if is_intent else rules.observation_max_age_s
    if is_future or age_ms > age_max_s * _MS_PER_S:
        raise Reject(Reason.CLOCK_SKEW, f"{age_ms} ms old", pointer="/time")
    return ""


def address_key(address: str) -> str:
    """Return what the address quota counts: an IPv4 address, or the /64 of an IPv6 one.

    An IPv4 address mapped into IPv6 is the IPv4 address.

    Raises:
        ValueError: Not an address.

    Source: RFC 4291 §2.5.4 (interface identifiers of 64 bits), §2.5.5.2.
    """
    ip = ip_address(address)
    if isinstance(ip, IPv6Address):
        if ip.ipv4_mapped is None:
            host_bits = 128 - _PREFIX_V6
            return f"{IPv6Address(int(ip) >> host_bits << host_bits)}/{_PREFIX_V6}"
        ip = ip.ipv4_mapped
    return str(ip)
