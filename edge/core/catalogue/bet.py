"""What lane ``bet`` carries: rounds staked, settled, rolled back; slips asked for and decided.

PII: all of it is P3, gambling behaviour. What needs a round's history, such as a settlement
before its stake, is legal here and for the origin to join.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from edge.core.catalogue.forms import (
    Id,
    Minor,
    Money,
    OddsE4,
    Ordinal,
    Text,
    UnixMs,
    Uuid,
    Vertical,
)
from edge.core.catalogue.lines import line_count, payout_minor_max
from edge.core.event import Payload
from edge.core.reject import Reason, Reject

LegNo: TypeAlias = Annotated[int, Meta(ge=1, le=20)]
SystemSize: TypeAlias = Annotated[int, Meta(ge=1, le=8)]

LEGS_BY_SLIP_TYPE: Final[Mapping[str, tuple[int, int]]] = {
    "single": (1, 1),
    "accumulator": (2, 20),
    "system": (3, 8),
}
"""Fewest and most legs. Eight keep a system at 255 lines or less, and at 0.05 ms."""


class JackpotShare(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One prize of one jackpot that a stake feeds.

    Attributes:
        level: Names the prize ("grand", "mini"); part of a key downstream, so an id.
    """

    jackpot_id: Id
    level: Id


class RoundStaked(Payload, frozen=True, kw_only=True):
    """A game server took a stake."""

    provider_id: Id
    game_id: Id
    game_session_id: Id
    round_id: Id
    transaction_id: Id
    stake: Money
    stake_cash_minor: Minor
    stake_bonus_minor: Minor
    free_round_id: Id | None
    bonus_id: Id | None
    vertical: Vertical
    jackpots: Annotated[tuple[JackpotShare, ...], Meta(max_length=8)]
    balance_after_minor: Minor | UnsetType = UNSET
    feature: Literal["base", "bonus_buy", "gamble"]

    def check(self) -> None:
        """Demand that the parts make the stake, and that a free round costs no cash.

        Raises:
            Reject: SCHEMA_VIOLATION.
        """
        if self.stake_cash_minor + self.stake_bonus_minor != self.stake.amount_minor:
            raise _violation("/stake/amount_minor", "not cash plus bonus")
        if self.stake_cash_minor and self.free_round_id is not None:
            raise _violation("/stake_cash_minor", "a free round costs cash")


class RoundSettled(Payload, frozen=True, kw_only=True):
    """A game server paid a round out; a payout of zero is a loss."""

    provider_id: Id
    game_id: Id
    game_session_id: Id
    round_id: Id
    transaction_id: Id
    payout: Money
    payout_cash_minor: Minor
    payout_bonus_minor: Minor
    win_type: Literal["none", "base", "feature", "free_round", "jackpot", "adjustment"]
    round_closed: bool
    balance_after_minor: Minor | UnsetType = UNSET

    def check(self) -> None:
        """Demand that the parts make the payout.

        Raises:
            Reject: SCHEMA_VIOLATION.
        """
        if self.payout_cash_minor + self.payout_bonus_minor != self.payout.amount_minor:
            raise _violation("/payout/amount_minor", "not cash plus bonus")


class RoundRolledBack(Payload, frozen=True, kw_only=True):
    """A game server took a transaction back.

    Attributes:
        transaction_id: Of the rollback itself.
        reference_transaction_id: Of what is taken back.
    """

    provider_id: Id
    game_id: Id
    round_id: Id
    transaction_id: Id
    reference_transaction_id: Id
    reason: Literal["provider_timeout", "game_error", "void", "operator", "duplicate"]
    amount: Money


class SlipLeg(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, gc=False):
    """One selection of a slip.

    Attributes:
        leg_no: Its place in ``legs``, from 1.
        specifiers: What tells two lines of one market apart ("total=2.5").
        odds_e4: Decimal odds the player saw, times 10,000.
        banker: Whether it stands in every line.
    """

    leg_no: LegNo
    fixture_id: Id
    market_id: Id
    outcome_id: Id
    specifiers: Text | UnsetType = UNSET
    odds_e4: OddsE4
    live: bool
    banker: bool


class SlipSubmitted(Payload, frozen=True, kw_only=True):
    """A player asks for a bet on sports.

    Attributes:
        system_sizes: Legs per line besides the bankers, ascending; empty unless a system.
        unit_stake_minor: Stake of one line. Where the player stated the total, a line cannot
            stake more than its share of it, or ``max_payout_minor`` would have no bound.
        max_payout_minor: What the player was shown; operators cap it, free bets lower it.
    """

    slip_id: Uuid
    slip_type: Literal["single", "accumulator", "system"]
    system_sizes: Annotated[tuple[SystemSize, ...], Meta(max_length=8)]
    stake_mode: Literal["unit", "total"]
    unit_stake_minor: Minor
    total_stake: Money
    legs: Annotated[tuple[SlipLeg, ...], Meta(min_length=1, max_length=20)]
    accept_odds_change: Literal["none", "higher", "lower", "any"]
    bet_builder: bool
    free_bet_id: Id | UnsetType = UNSET
    max_payout_minor: Minor

    def check(self) -> None:
        """Demand a slip that can be drawn up, and promises no more than it can pay.

        Raises:
            Reject: SCHEMA_VIOLATION.
        """
        self._check_legs()
        others = [leg.odds_e4 for leg in self.legs if not leg.banker]
        bankers = [leg.odds_e4 for leg in self.legs if leg.banker]
        sizes: Sequence[int] = self.system_sizes
        if self.slip_type == "system":
            self._check_sizes(len(others))
        elif sizes:
            raise _violation("/system_sizes", "only a system has sizes")
        else:
            bankers, others, sizes = bankers + others, [], (0,)
        self._check_stake(line_count(len(others), sizes))
        payable_minor = payout_minor_max(
            self.unit_stake_minor, bankers=bankers, others=others, sizes=sizes
        )
        if self.max_payout_minor > payable_minor:
            raise _violation("/max_payout_minor", "more than the lines can pay")

    def _check_legs(self) -> None:
        fewest, most = LEGS_BY_SLIP_TYPE[self.slip_type]
        if not fewest <= len(self.legs) <= most:
            raise _violation("/legs", f"{len(self.legs)} legs in a {self.slip_type}")
        _check_leg_numbers([leg.leg_no for leg in self.legs])
        outcomes: set[object] = set()
        fixtures: set[str] = set()
        for place, leg in enumerate(self.legs):
            outcome = (leg.fixture_id, leg.market_id, leg.specifiers, leg.outcome_id)
            if outcome in outcomes:
                raise _violation(f"/legs/{place}/outcome_id", "the same outcome twice")
            if leg.fixture_id in fixtures and not self.bet_builder:
                raise _violation(f"/legs/{place}/fixture_id", "one fixture, no bet builder")
            outcomes.add(outcome)
            fixtures.add(leg.fixture_id)

    def _check_sizes(self, foldable: int) -> None:
        sizes = self.system_sizes
        if not sizes:
            raise _violation("/system_sizes", "a system without lines")
        for place, size in enumerate(sizes):
            if size > foldable or (place and size <= sizes[place - 1]):
                raise _violation(f"/system_sizes/{place}", "too large, or not ascending")

    def _check_stake(self, lines: int) -> None:
        staked_minor = self.unit_stake_minor * lines
        total_minor = self.total_stake.amount_minor
        if self.stake_mode == "unit" and staked_minor != total_minor:
            raise _violation("/total_stake/amount_minor", f"not {lines} times the unit")
        if staked_minor > total_minor:
            raise _violation("/unit_stake_minor", f"{lines} lines stake more than the total")


class DecidedLeg(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One leg as the bookmaker takes it, numbered as in the slip."""

    leg_no: LegNo
    odds_e4: OddsE4


class SlipDecided(Payload, frozen=True, kw_only=True):
    """The bookmaker answered a slip; ``reject_code`` of an accepted one: ``none``."""

    slip_id: Id
    decision: Literal["accepted", "rejected", "reoffered"]
    reject_code: Id
    legs: Annotated[tuple[DecidedLeg, ...], Meta(min_length=1, max_length=20)]
    total_stake: Money
    transaction_id: Id
    accepted_at_ms: UnixMs

    def check(self) -> None:
        """Demand that the legs are numbered from 1.

        Raises:
            Reject: SCHEMA_VIOLATION.
        """
        _check_leg_numbers([leg.leg_no for leg in self.legs])


class SettledLeg(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """How one leg ended, numbered as in the slip."""

    leg_no: LegNo
    result: Literal["won", "lost", "void", "half_won", "half_lost", "push"]


class SlipSettled(Payload, frozen=True, kw_only=True):
    """A slip was paid out, or paid out anew.

    Attributes:
        settlement_no: From 1; a resettlement counts on.
    """

    slip_id: Id
    settlement_no: Ordinal
    status: Literal[
        "won",
        "lost",
        "void",
        "half_won",
        "half_lost",
        "cashed_out",
        "partially_cashed_out",
        "returned",
    ]
    payout: Money
    legs: Annotated[tuple[SettledLeg, ...], Meta(min_length=1, max_length=20)]
    void_reason: Text | UnsetType = UNSET
    transaction_id: Id

    def check(self) -> None:
        """Demand that the legs are numbered from 1.

        Raises:
            Reject: SCHEMA_VIOLATION.
        """
        _check_leg_numbers([leg.leg_no for leg in self.legs])


def _check_leg_numbers(numbers: Sequence[int]) -> None:
    for place, number in enumerate(numbers):
        if number != place + 1:
            raise _violation(f"/legs/{place}/leg_no", f"{number} in place {place + 1}")


def _violation(member: str, detail: str) -> Reject:
    return Reject(Reason.SCHEMA_VIOLATION, detail, pointer=f"/data{member}")
