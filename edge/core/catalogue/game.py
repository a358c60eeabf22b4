"""What lane ``game`` carries: game sessions, spins asked for, jackpots won.

PII: P3, gambling behaviour; ``input`` and ``since_last_ms`` tell how, not who.
"""

from typing import Annotated, Literal

from msgspec import Meta

from edge.core.catalogue.forms import (
    Count,
    Currency,
    Id,
    Millis,
    Minor,
    Money,
    Vertical,
)
from edge.core.event import Payload


class SessionOpened(Payload, frozen=True, kw_only=True):
    """A game was opened for a player.

    Attributes:
        rtp_profile_e4: Return to player, times 10,000.
        jackpot_ids: Jackpots this game feeds; eight, as many as one stake may name.
    """

    game_session_id: Id
    game_id: Id
    provider_id: Id
    vertical: Vertical
    currency: Currency
    rtp_profile_e4: Count
    mode: Literal["real", "demo"]
    jackpot_ids: Annotated[tuple[Id, ...], Meta(max_length=8)]


class SpinRequested(Payload, frozen=True, kw_only=True):
    """A player asks for one game cycle."""

    game_session_id: Id
    request_id: Id
    game_id: Id
    vertical: Vertical
    stake: Money
    input: Literal["pointer", "touch", "key", "autoplay", "quick"]
    since_last_ms: Millis
    trusted_event: bool


class JackpotWon(Payload, frozen=True, kw_only=True):
    """A jackpot's own service awarded one level of one cycle.

    Attributes:
        level: Names one prize of the jackpot ("grand", "mini"); part of a key, so an id.
        cycle_no: Which filling of the pool; counted from 0 or 1, as its service does.
        award_seq: The jackpot's single writer numbers its awards.
        pool_before_minor: Displayed pool, minor units of ``amount``'s currency.
        pool_after_minor: As before, after the reset.
    """

    jackpot_id: Id
    level: Id
    cycle_no: Count
    award_seq: Count
    round_id: Id
    transaction_id: Id
    amount: Money
    trigger: Literal["must_hit_by", "random", "symbol", "tournament"]
    pool_before_minor: Minor
    pool_after_minor: Minor
