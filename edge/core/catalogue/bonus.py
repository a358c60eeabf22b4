"""What lane ``bonus`` carries: offers claimed, grants credited and closed.

PII: P3, gambling behaviour.
"""

from typing import Literal

from msgspec import UNSET, UnsetType

from edge.core.catalogue.forms import Count, Id, Initiator, Minor, Money, PromoCode, UnixMs
from edge.core.event import Payload


class OfferClaimed(Payload, frozen=True, kw_only=True):
    """A player asks for a bonus on offer."""

    offer_id: Id
    claim_id: Id
    promo_code: PromoCode | UnsetType = UNSET
    channel: Id


class GrantCredited(Payload, frozen=True, kw_only=True):
    """A bonus was granted.

    Attributes:
        wager_requirement_e2: Times the amount, times 100: 3500 is 35-fold.
    """

    grant_id: Id
    offer_id: Id
    kind: Literal[
        "cash", "deposit_match", "free_rounds", "free_bet", "cashback", "tournament", "wheel"
    ]
    amount: Money
    free_rounds: Count
    wager_requirement_e2: Count
    expires_at_ms: UnixMs
    max_bet_minor: Minor | UnsetType = UNSET
    trigger: Literal["signup", "deposit", "claim", "segment", "manual", "loyalty"]


class GrantClosed(Payload, frozen=True, kw_only=True):
    """A grant came to its end."""

    grant_id: Id
    outcome: Literal["converted", "forfeited", "expired", "cancelled", "won", "lost"]
    wagered_minor: Minor
    converted_minor: Minor
    initiator: Initiator
