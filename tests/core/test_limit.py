"""An event pays all of its quotas or none, a probe pays if it can, and a skewed clock is told."""

from collections.abc import Callable
from functools import partial

import msgspec
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from edge.core.event import Event
from edge.core.instant import NS_PER_MS, NS_PER_S, Instant
from edge.core.lane import Authority
from edge.core.limit import (
    CLOCK_SKEW_FLAG,
    ClockRules,
    Quota,
    QuotaName,
    Quotas,
    QuotaState,
    address_key,
    check_clock,
)
from edge.core.principal import Principal
from edge.core.reject import Reason, Reject
from tests.fakes_limit import FractionBuckets
from tests.fakes_stages import (
    FACT,
    INTENT,
    NOW_MS,
    OBSERVATION,
    PLAYER,
    SERVICE,
    at,
    client_event,
    fact,
)

START = Instant(unix_ns=0, steady_ns=10**15)
BOB = msgspec.structs.replace(PLAYER, subject="bob-0001")
BOUND = msgspec.structs.replace(SERVICE, brands=frozenset({"acme"}))


def later(seconds: float) -> Instant:
    """The steady clock after *seconds*; the other clock has no say here."""
    return Instant(unix_ns=0, steady_ns=START.steady_ns + round(seconds * NS_PER_S))


def one_a_second(name: QuotaName, burst: int) -> Quota:
    return Quota(name=name, quota=1, window_s=1, burst=burst)


def wait_ns(charge: Callable[[], None]) -> int:
    """The wait a charge is told; 0 if it was paid."""
    try:
        charge()
    except Reject as reject:
        refused = reject
    else:
        return 0
    assert refused.reason is Reason.RATE_EXCEEDED
    assert refused.retry_after_ns
    return refused.retry_after_ns


def paid(
    quotas: Quotas,
    principal: Principal = PLAYER,
    brand: str = "acme",
    authority: Authority = Authority.INTENT,
) -> int:
    """How many events in a row, of a hundred, are let in now."""
    charges = [
        wait_ns(lambda: quotas.charge(principal, brand, authority, START)) for _ in range(100)
    ]
    return charges.count(0)


def test_without_quotas_everything_is_paid() -> None:
    quotas = Quotas([])
    quotas.charge_address("203.0.113.9", START)

    assert paid(quotas) == 100
    assert quotas.state(PLAYER, "203.0.113.9", START) == []


@pytest.mark.parametrize(
    ("name", "principal", "expected"),
    [
        ("player", PLAYER, 3),
        ("player", SERVICE, 100),
        ("service", PLAYER, 100),
        ("service", SERVICE, 3),
        ("brand", PLAYER, 3),
        ("brand", SERVICE, 3),
        ("node", PLAYER, 3),
        ("node", SERVICE, 3),
        ("address", PLAYER, 100),
    ],
)
def test_a_quota_concerns_whom_it_names(
    name: QuotaName, principal: Principal, expected: int
) -> None:
    assert paid(Quotas([one_a_second(name, 3)]), principal) == expected


@pytest.mark.parametrize(
    ("name", "neighbour", "brand", "expected"),
    [
        pytest.param("player", BOB, "acme", 3, id="players have each their own"),
        pytest.param(
            "service",
            msgspec.structs.replace(SERVICE, client_id="games-2"),
            "acme",
            3,
            id="services have each their own",
        ),
        pytest.param("brand", BOB, "acme", 0, id="players of one brand share it"),
        pytest.param("brand", SERVICE, "acme", 0, id="and so do services"),
        pytest.param("brand", SERVICE, "other", 3, id="another brand has its own"),
        pytest.param("brand", SERVICE, "", 100, id="no brand has none"),
        pytest.param("brand", BOUND, "other", 100, id="a brand that is not theirs is not met"),
        pytest.param("node", SERVICE, "other", 0, id="all share the node"),
    ],
)
def test_what_one_uses_up_is_gone_for_those_who_share_it(
    name: QuotaName, neighbour: Principal, brand: str, expected: int
) -> None:
    quotas = Quotas([one_a_second(name, 3)])
    paid(quotas, SERVICE if name == "service" else PLAYER)

    assert paid(quotas, neighbour, brand) == expected


def test_a_player_pays_for_the_brand_of_its_token_whatever_it_states() -> None:
    quotas = Quotas([one_a_second("brand", 3)])

    assert paid(quotas, PLAYER, brand="other") == 3
    assert paid(quotas, SERVICE, brand="other") == 3
    assert paid(quotas, SERVICE, brand="acme") == 0


def test_an_event_refused_by_one_quota_has_not_paid_the_others() -> None:
    quotas = Quotas([one_a_second("player", 5), one_a_second("node", 3)])
    assert paid(quotas) == 3

    player, node = quotas.state(PLAYER, "", START)

    assert (player.remaining, node.remaining) == (2, 0)


def test_the_wait_told_is_the_longest_and_exact() -> None:
    slow = Quota(name="node", quota=1, window_s=7, burst=1)
    quotas = Quotas([one_a_second("player", 1), slow])
    quotas.charge(PLAYER, "", Authority.INTENT, START)

    told_ns = wait_ns(lambda: quotas.charge(PLAYER, "", Authority.INTENT, START))

    early = Instant(unix_ns=0, steady_ns=START.steady_ns + told_ns - 1)
    assert told_ns == 7 * NS_PER_S
    assert wait_ns(lambda: quotas.charge(PLAYER, "", Authority.INTENT, early)) == 1
    quotas.charge(PLAYER, "", Authority.INTENT, later(7))


@pytest.mark.parametrize(
    ("authority", "expected"),
    [(Authority.INTENT, 3), (Authority.OBSERVATION, 6), (Authority.FACT, 100)],
)
def test_each_authority_has_its_cost_and_nothing_is_free_but_zero(
    authority: Authority, expected: int
) -> None:
    quota = Quota(name="node", quota=1, window_s=1, burst=6, intent=2, observation=1, fact=0)

    assert paid(Quotas([quota]), authority=authority) == expected


@pytest.mark.parametrize("field", ["intent", "observation", "fact"])
def test_a_cost_above_the_burst_stops_the_start(field: str) -> None:
    quota = msgspec.structs.replace(one_a_second("node", 6), **{field: 7})

    with pytest.raises(AssertionError):
        Quotas([quota])


def test_a_probe_costs_one_even_where_events_are_free() -> None:
    free = msgspec.structs.replace(one_a_second("player", 3), intent=0)
    quotas = Quotas([free])

    quotas.charge_probe(PLAYER, "", START)

    assert quotas.state(PLAYER, "", START)[0].remaining == 2


def test_a_probe_that_one_quota_cannot_take_costs_nothing() -> None:
    quotas = Quotas([one_a_second("player", 5), one_a_second("node", 2)])
    for _ in range(9):
        quotas.charge_probe(PLAYER, "", START)

    assert [state.remaining for state in quotas.state(PLAYER, "", START)] == [3, 0]


def test_an_address_pays_per_request_and_is_refused_as_one() -> None:
    quotas = Quotas([one_a_second("address", 2)])
    charges = [wait_ns(lambda: quotas.charge_address("203.0.113.9", START)) for _ in range(3)]

    assert charges == [0, 0, NS_PER_S]
    assert wait_ns(lambda: quotas.charge_address("203.0.113.10", START)) == 0


def test_the_state_tells_each_quota_a_request_meets() -> None:
    quotas = [
        one_a_second("address", 2),
        Quota(name="node", quota=1000, window_s=1, burst=100),
        one_a_second("brand", 3),
        one_a_second("service", 4),
        Quota(name="player", quota=1, window_s=90, burst=5),
    ]
    address, node, brand, service, player = quotas
    house = Quotas(quotas)
    house.charge_address("203.0.113.9", START)
    house.charge(PLAYER, "acme", Authority.INTENT, START)

    assert house.state(PLAYER, "203.0.113.9", later(0.0005)) == [
        QuotaState(player, 4, 90),
        QuotaState(brand, 2, 1),
        QuotaState(node, 99, 1),
        QuotaState(address, 1, 1),
    ]
    assert house.state(SERVICE, "203.0.113.10", later(1)) == [
        QuotaState(service, 4, 0),
        QuotaState(node, 100, 0),
        QuotaState(address, 2, 0),
    ]


def test_keys_are_counted_by_quota() -> None:
    quotas = Quotas([one_a_second("player", 2), one_a_second("address", 2)])
    quotas.charge(PLAYER, "", Authority.INTENT, START)
    quotas.charge(BOB, "", Authority.INTENT, START)

    assert quotas.statistics() == {"player": (2, 0), "address": (0, 0)}


class LimitStory(RuleBasedStateMachine):
    """Quotas against fractions: the same events come, the same are let in, with the same wait."""

    LIMITS = (
        Quota(name="player", quota=3, window_s=1, burst=3, observation=2, fact=0),
        Quota(name="service", quota=7, window_s=2, burst=4),
        Quota(name="brand", quota=2, window_s=1, burst=5, intent=2),
        Quota(name="node", quota=11, window_s=3, burst=6),
    )

    def __init__(self) -> None:
        super().__init__()
        self.quotas = Quotas(self.LIMITS)
        self.models = {
            quota.name: FractionBuckets(
                quota=quota.quota, window_s=quota.window_s, burst=quota.burst
            )
            for quota in self.LIMITS
        }
        self.now_ns = START.steady_ns

    def dues(
        self, principal: Principal, brand: str, authority: Authority | None
    ) -> list[tuple[FractionBuckets, str, int]]:
        """What an event costs, quota by quota; a probe costs one of each."""
        if principal.kind is PLAYER.kind:
            own, brand = {"player": principal.subject}, principal.brand
        else:
            own = {"service": principal.client_id}
        keys = {**own, "brand": brand, "node": "node"}
        return [
            (
                self.models[quota.name],
                keys[quota.name],
                getattr(quota, authority.value) if authority else 1,
            )
            for quota in self.LIMITS
            if quota.name in keys
        ]

    @rule(
        principal=st.sampled_from([PLAYER, BOB, SERVICE]),
        brand=st.sampled_from(["acme", "other"]),
        authority=st.sampled_from([*Authority, None]),
    )
    def send(self, principal: Principal, brand: str, authority: Authority | None) -> None:
        """An event comes, or (``None``) one that an earlier stage refused."""
        now = Instant(unix_ns=0, steady_ns=self.now_ns)
        dues = self.dues(principal, brand, authority)
        expected_ns = max(model.wait_ns(key, units, self.now_ns) for model, key, units in dues)
        if not expected_ns:
            for model, key, units in dues:
                model.take(key, units, self.now_ns)

        if authority is None:
            self.quotas.charge_probe(principal, brand, now)
        else:
            told_ns = wait_ns(lambda: self.quotas.charge(principal, brand, authority, now))
            assert told_ns == expected_ns

    @rule(ns=st.one_of(st.integers(0, 2 * NS_PER_S), st.sampled_from([1, 333_333_333])))
    def wait(self, ns: int) -> None:
        """Time passes."""
        self.now_ns += ns


def test_quotas_and_fractions_that_never_forget_always_agree() -> None:
    run_state_machine_as_test(
        LimitStory, settings=settings(max_examples=80, stateful_step_count=30, deadline=None)
    )


RULES = ClockRules(intent_max_age_s=30, observation_max_age_s=300, future_max_s=2)
SKEWED = (Reason.CLOCK_SKEW, "/time")


def clocked(event: Event, age_ms: int) -> str | tuple[Reason, str | None]:
    """What is said of *event* when its ``time`` is *age_ms* ago."""
    aged = msgspec.structs.replace(event, time_ms=NOW_MS - age_ms)
    now = Instant(unix_ns=at(NOW_MS).unix_ns + NS_PER_MS - 1, steady_ns=0)  # cut, not rounded
    try:
        return check_clock(aged, RULES, now)
    except Reject as reject:
        return reject.reason, reject.pointer


@pytest.mark.parametrize(
    ("event", "age_ms", "expected"),
    [
        pytest.param(client_event(INTENT), 30_000, "", id="intent, as old as it may be"),
        pytest.param(client_event(INTENT), 30_001, SKEWED, id="intent, too old"),
        pytest.param(client_event(INTENT), -2000, "", id="intent, as new as it may be"),
        pytest.param(client_event(INTENT), -2001, SKEWED, id="intent, too new"),
        pytest.param(client_event(OBSERVATION), 300_000, "", id="observation, old"),
        pytest.param(client_event(OBSERVATION), 300_001, SKEWED, id="observation, too old"),
        pytest.param(client_event(OBSERVATION), -2000, "", id="observation, new"),
        pytest.param(client_event(OBSERVATION), -2001, SKEWED, id="observation, too new"),
        pytest.param(fact(FACT), 10**12, "", id="a fact is never too old"),
        pytest.param(fact(FACT), -2000, "", id="fact, as new as it may be"),
        pytest.param(fact(FACT), -2001, CLOCK_SKEW_FLAG, id="fact, flagged"),
    ],
)
def test_a_clock_is_compared_to_the_ms(
    event: Event, age_ms: int, expected: str | tuple[Reason, str | None]
) -> None:
    assert clocked(event, age_ms) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("::1", "::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("::ffff:cb00:7109", "203.0.113.9"),
    ],
)
def test_an_address_is_counted_by_its_network(address: str, expected: str) -> None:
    assert address_key(address) == expected


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    try:
        key = address_key(text)
    except ValueError:
        return
    assert len(key) <= len("xxxx:xxxx:xxxx:xxxx::/64")


small_quotas = st.builds(
    Quota,
    name=st.just("node"),
    quota=st.integers(1, 3),
    window_s=st.just(1),
    burst=st.integers(3, 40),
    intent=st.integers(0, 3),
    observation=st.integers(0, 3),
    fact=st.integers(0, 3),
)
quota_sets = st.lists(small_quotas, min_size=4, max_size=4).map(
    lambda quotas: [
        msgspec.structs.replace(quota, name=name)
        for quota, name in zip(quotas, ("player", "service", "brand", "node"), strict=True)
    ]
)
requests = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(["acme", "borealis", ""]), st.sampled_from([*Authority, None])
        ),
        max_size=8,
    ),
    max_size=6,
)


def charged(charge: Callable[[], None]) -> int:
    """The wait told; 0 when it was paid."""
    try:
        charge()
    except Reject as reject:
        return reject.retry_after_ns or -1
    return 0


@given(quota_sets, requests, st.sampled_from([PLAYER, SERVICE]))
def test_a_tab_comes_to_what_its_events_cost_one_by_one(
    quotas: list[Quota],
    requests: list[list[tuple[str, Authority | None]]],
    principal: Principal,
) -> None:
    """Planted: a tab that asks for room for one event; one that pays twice when it is tight."""
    alone, together = Quotas(quotas), Quotas(quotas)
    for second, events in enumerate(requests):
        now = later(second)
        tab = together.open_tab(principal, len(events), now)
        for brand, authority in events:
            if authority is None:
                alone.charge_probe(principal, brand, now)
                tab.charge_probe(brand)
            else:
                assert charged(partial(tab.charge, brand, authority)) == charged(
                    partial(alone.charge, principal, brand, authority, now)
                )
        tab.settle()

        for brand in ("acme", "borealis"):
            assert [
                gate.buckets.room(key, now.steady_ns)
                for gate, key in together.met(principal, brand)
            ] == [
                gate.buckets.room(key, now.steady_ns)
                for gate, key in alone.met(principal, brand)
            ]
