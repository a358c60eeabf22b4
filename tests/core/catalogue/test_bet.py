"""Lane bet: parts make the whole, and a slip promises no more than its lines can pay."""

import itertools
import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, strategies as st

from edge.core.catalogue.bet import LEGS_BY_SLIP_TYPE
from edge.core.reject import Reason
from tests.core.catalogue.examples import money
from tests.core.catalogue.judging import ABSENT, changed, decoding_complaint, refusal


def leg(number: int, **members: object) -> dict[str, object]:
    """A leg on a fixture of its own, at odds of 2.0."""
    return {
        "leg_no": number,
        "fixture_id": f"fixture-{number}",
        "market_id": "winner",
        "outcome_id": "home",
        "odds_e4": 20_000,
        "live": False,
        "banker": False,
    } | members


def slip(
    slip_type: str, legs: list[dict[str, object]], sizes: list[int], **members: object
) -> dict[str, Any]:
    """A slip that stakes 100 a line and shows no payout, but for *members*."""
    bankers = sum(bool(one["banker"]) for one in legs)
    lines = sum(math.comb(len(legs) - bankers, size) for size in sizes) if sizes else 1
    changes: dict[str, object] = {
        "slip_type": slip_type,
        "system_sizes": sizes,
        "legs": legs,
        "total_stake": money(100 * lines),
        "max_payout_minor": 0,
        **members,
    }
    return changed(
        "bet.slip.submitted", {f"/data/{name}": value for name, value in changes.items()}
    )


def at(pointer: str) -> tuple[Reason, str]:
    """The verdict on a member that breaks an invariant."""
    return Reason.SCHEMA_VIOLATION, f"/data{pointer}"


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        pytest.param({}, None, id="cash and bonus"),
        pytest.param(
            {
                "/data/stake": money(0),
                "/data/stake_cash_minor": 0,
                "/data/stake_bonus_minor": 0,
            },
            None,
            id="nothing staked",
        ),
        pytest.param({"/data/stake": money(99)}, at("/stake/amount_minor"), id="too little"),
        pytest.param({"/data/stake_cash_minor": 61}, at("/stake/amount_minor"), id="too much"),
        pytest.param(
            {
                "/data/stake_cash_minor": 0,
                "/data/stake_bonus_minor": 100,
                "/data/free_round_id": "free-1",
            },
            None,
            id="free round",
        ),
        pytest.param(
            {"/data/free_round_id": "free-1"}, at("/stake_cash_minor"), id="free round for cash"
        ),
        pytest.param({"/data/jackpots": []}, None, id="no jackpot"),
        pytest.param(
            {"/data/jackpots/0/level": "?"}, at("/jackpots/0/level"), id="jackpot's level"
        ),
        pytest.param({"/data/bonus_id": "a b"}, at("/bonus_id"), id="bonus id"),
        pytest.param({"/data/balance_after_minor": ABSENT}, None, id="balance not told"),
    ],
)
def test_a_stake_is_the_sum_of_its_parts(
    changes: Mapping[str, object], verdict: tuple[Reason, str] | None
) -> None:
    assert refusal(changed("bet.round.staked", changes)) == verdict


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        pytest.param({}, None, id="win"),
        pytest.param(
            {
                "/data/payout": money(0),
                "/data/payout_cash_minor": 0,
                "/data/payout_bonus_minor": 0,
                "/data/win_type": "none",
            },
            None,
            id="loss",
        ),
        pytest.param({"/data/payout": money(0)}, at("/payout/amount_minor"), id="too little"),
        pytest.param({"/data/payout_cash_minor": 0}, at("/payout/amount_minor"), id="too much"),
    ],
)
def test_a_payout_is_the_sum_of_its_parts(
    changes: Mapping[str, object], verdict: tuple[Reason, str] | None
) -> None:
    assert refusal(changed("bet.round.settled", changes)) == verdict


@pytest.mark.parametrize(
    ("slip_type", "legs", "accepted"),
    [
        pytest.param(slip_type, legs, fewest <= legs <= most, id=f"{slip_type} of {legs}")
        for slip_type, (fewest, most) in {
            "single": (1, 1),
            "accumulator": (2, 20),
            "system": (3, 8),
        }.items()
        for legs in (1, 2, 3, 8, 9, 20)
    ],
)
def test_each_kind_of_slip_has_its_number_of_legs(
    slip_type: str, legs: int, *, accepted: bool
) -> None:
    sizes = [2] if slip_type == "system" else []
    event = slip(slip_type, [leg(number) for number in range(1, legs + 1)], sizes)

    assert refusal(event) == (None if accepted else at("/legs"))


def test_every_kind_of_slip_has_a_number_of_legs() -> None:
    assert set(LEGS_BY_SLIP_TYPE) == {"single", "accumulator", "system"}


@pytest.mark.parametrize("legs", [0, 21])
def test_no_slip_is_empty_or_endless(legs: int) -> None:
    event = slip("accumulator", [leg(min(n, 20)) for n in range(1, legs + 1)], [])

    assert str(decoding_complaint(event)).endswith("at `$.data.legs`")


SAME_FIXTURE = {"fixture_id": "fixture-1"}


@pytest.mark.parametrize(
    ("second", "bet_builder", "verdict"),
    [
        pytest.param({}, False, None, id="two fixtures"),
        pytest.param({"leg_no": 1}, False, at("/legs/1/leg_no"), id="number twice"),
        pytest.param({"leg_no": 3}, False, at("/legs/1/leg_no"), id="number left out"),
        pytest.param(SAME_FIXTURE, False, at("/legs/1/outcome_id"), id="same outcome"),
        pytest.param(SAME_FIXTURE, True, at("/legs/1/outcome_id"), id="same outcome, built"),
        pytest.param(
            SAME_FIXTURE | {"market_id": "goals"},
            False,
            at("/legs/1/fixture_id"),
            id="same fixture",
        ),
        pytest.param(
            SAME_FIXTURE | {"market_id": "goals"}, True, None, id="same fixture, built"
        ),
        pytest.param(
            SAME_FIXTURE | {"outcome_id": "away"}, True, None, id="same market, built"
        ),
        pytest.param(
            SAME_FIXTURE | {"specifiers": "handicap=1"}, True, None, id="another line, built"
        ),
        pytest.param({"market_id": "?"}, False, at("/legs/1/market_id"), id="market's form"),
        pytest.param(
            {"specifiers": "a\nb"}, False, at("/legs/1/specifiers"), id="specifiers' form"
        ),
        pytest.param(
            {"specifiers": "ada@example.com"},
            False,
            (Reason.PII_LEAK, "/data/legs/1/specifiers"),
            id="address in specifiers",
        ),
    ],
)
def test_legs_are_numbered_and_differ(
    second: dict[str, object], *, bet_builder: bool, verdict: tuple[Reason, str] | None
) -> None:
    event = slip("accumulator", [leg(1), leg(2, **second)], [], bet_builder=bet_builder)

    assert refusal(event) == verdict


@pytest.mark.parametrize(
    ("slip_type", "legs", "bankers", "sizes", "verdict"),
    [
        pytest.param("system", 4, 0, [2, 3, 4], None, id="Yankee"),
        pytest.param("system", 8, 0, [2, 3, 4, 5, 6, 7, 8], None, id="Goliath"),
        pytest.param("system", 8, 0, [1, 2, 3, 4, 5, 6, 7, 8], None, id="all there is"),
        pytest.param("system", 4, 1, [2, 3], None, id="one banker"),
        pytest.param("system", 3, 2, [1], None, id="two bankers"),
        pytest.param("system", 3, 3, [1], at("/system_sizes/0"), id="bankers only"),
        pytest.param("system", 4, 1, [2, 4], at("/system_sizes/1"), id="banker counted twice"),
        pytest.param("system", 4, 0, [5], at("/system_sizes/0"), id="more than there are"),
        pytest.param("system", 4, 0, [3, 2], at("/system_sizes/1"), id="not ascending"),
        pytest.param("system", 4, 0, [2, 2], at("/system_sizes/1"), id="a size twice"),
        pytest.param("system", 4, 0, [], at("/system_sizes"), id="no line"),
        pytest.param("accumulator", 4, 0, [4], at("/system_sizes"), id="not a system"),
        pytest.param("single", 1, 0, [1], at("/system_sizes"), id="a single has no sizes"),
        pytest.param("accumulator", 3, 2, [], None, id="bankers stand in the one line"),
    ],
)
def test_a_systems_sizes_fit_its_legs(
    slip_type: str,
    legs: int,
    bankers: int,
    sizes: list[int],
    verdict: tuple[Reason, str] | None,
) -> None:
    drawn = [leg(number, banker=number <= bankers) for number in range(1, legs + 1)]

    assert refusal(slip(slip_type, drawn, sizes)) == verdict


@pytest.mark.parametrize(
    ("mode", "unit_minor", "total_minor", "verdict"),
    [
        pytest.param("unit", 100, 1_100, None, id="eleven units"),
        pytest.param("unit", 0, 0, None, id="nothing"),
        pytest.param("unit", 100, 100, at("/total_stake/amount_minor"), id="one unit"),
        pytest.param("unit", 100, 1_101, at("/total_stake/amount_minor"), id="one more"),
        pytest.param("total", 100, 1_100, None, id="total that divides"),
        pytest.param("total", 90, 1_000, None, id="total that does not divide"),
        pytest.param("total", 0, 1_000, None, id="total less than its lines"),
        pytest.param("total", 91, 1_000, at("/unit_stake_minor"), id="units above the total"),
    ],
)
def test_a_total_is_the_unit_times_the_lines(
    mode: str, unit_minor: int, total_minor: int, verdict: tuple[Reason, str] | None
) -> None:
    event = slip(
        "system",
        [leg(number) for number in range(1, 5)],
        [2, 3, 4],
        stake_mode=mode,
        unit_stake_minor=unit_minor,
        total_stake=money(total_minor),
    )

    assert refusal(event) == verdict


@pytest.mark.parametrize(
    ("slip_type", "odds", "sizes", "payout_minor"),
    [
        pytest.param("single", [18_500], [], 185, id="single"),
        pytest.param("accumulator", [18_500, 21_000], [], 388, id="accumulator"),
        pytest.param("accumulator", [10_001] * 20, [], 100, id="accumulator of 20"),
        pytest.param("system", [20_000] * 4, [2, 3, 4], 7_200, id="Yankee"),
        pytest.param("system", [10_001] * 8, [1, 2, 3, 4, 5, 6, 7, 8], 25_500, id="255 lines"),
    ],
)
def test_a_slip_may_show_what_its_lines_can_pay_and_not_one_more(
    slip_type: str, odds: list[int], sizes: list[int], payout_minor: int
) -> None:
    legs = [leg(number, odds_e4=odds_e4) for number, odds_e4 in enumerate(odds, 1)]

    assert refusal(slip(slip_type, legs, sizes, max_payout_minor=payout_minor)) is None
    above = slip(slip_type, legs, sizes, max_payout_minor=payout_minor + 1)
    assert refusal(above) == at("/max_payout_minor")


def test_a_payout_beyond_exact_integers_is_refused_whatever_the_odds() -> None:
    legs = [leg(number, odds_e4=10**9) for number in range(1, 21)]

    largest = slip("accumulator", legs, [], max_payout_minor=2**53 - 1)
    beyond = slip("accumulator", legs, [], max_payout_minor=2**53)

    assert refusal(largest) is None
    assert str(decoding_complaint(beyond)).endswith("at `$.data.max_payout_minor`")


@given(
    st.lists(st.tuples(st.integers(10_001, 10**9), st.booleans()), min_size=3, max_size=8),
    st.sets(st.integers(1, 8), min_size=1).map(sorted),
    st.integers(0, 1_000),
)
def test_a_system_is_bounded_by_its_lines_written_down(
    drawn: list[tuple[int, bool]], sizes: list[int], unit_minor: int
) -> None:
    bankers = [odds for odds, banker in drawn if banker]
    others = [odds for odds, banker in drawn if not banker]
    lines = [
        (*bankers, *chosen) for size in sizes for chosen in itertools.combinations(others, size)
    ]
    payable_minor = sum(
        math.floor(unit_minor * math.prod(Fraction(odds, 10_000) for odds in line))
        for line in lines
    )
    legs = [leg(n, odds_e4=odds, banker=b) for n, (odds, b) in enumerate(drawn, 1)]

    def verdict(max_payout_minor: int) -> tuple[Reason, str | None] | None:
        event = slip(
            "system",
            legs,
            sizes,
            unit_stake_minor=unit_minor,
            total_stake=money(unit_minor * len(lines)),
            max_payout_minor=max_payout_minor,
        )
        return refusal(event)

    if max(sizes) > len(others):
        assert verdict(0) == at(f"/system_sizes/{sum(size <= len(others) for size in sizes)}")
    else:
        assert verdict(min(payable_minor, 2**53 - 1)) is None
        if payable_minor < 2**53 - 1:
            assert verdict(payable_minor + 1) == at("/max_payout_minor")


@pytest.mark.parametrize("event_type", ["bet.slip.decided", "bet.slip.settled"])
@pytest.mark.parametrize("number", [1, 3])
def test_the_legs_of_an_answered_slip_are_numbered_too(event_type: str, number: int) -> None:
    event = changed(event_type, {"/data/legs/1/leg_no": number})

    assert refusal(event) == at("/legs/1/leg_no")


def test_the_reason_of_a_void_is_free_text() -> None:
    said = changed("bet.slip.settled", {"/data/void_reason": "match abandonné"})
    leaking = changed("bet.slip.settled", {"/data/void_reason": "ask ada@example.com"})

    assert refusal(said) is None
    assert refusal(leaking) == (Reason.PII_LEAK, "/data/void_reason")
