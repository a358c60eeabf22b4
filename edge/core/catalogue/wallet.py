"""What lane ``wallet`` carries: money into and out of a player's account.

PII: all of it is P3, financial behaviour. A means of payment is a kind or a token of the
payment provider's, never a card or account number.
"""

from typing import Literal, TypeAlias

from edge.core.catalogue.forms import Id, Initiator, Money, Ordinal, PositiveMoney, UnixMs
from edge.core.event import Payload

PaymentMethod: TypeAlias = Literal[
    "card_debit", "card_credit", "bank", "ewallet", "voucher", "crypto", "carrier"
]


class DepositRequested(Payload, frozen=True, kw_only=True):
    """A player asks to pay in."""

    payment_intent_id: Id
    amount: PositiveMoney
    method: PaymentMethod
    bonus_opt_in: bool


class DepositSettled(Payload, frozen=True, kw_only=True):
    """A payment provider decided on a deposit; ``decline_code`` of an approved one: ``none``."""

    psp_id: Id
    payment_id: Id
    amount: Money
    status: Literal["approved", "rejected", "cancelled", "reversed", "charged_back"]
    decline_code: Id
    deposit_number: Ordinal
    initiated_at_ms: UnixMs
    executed_at_ms: UnixMs


class WithdrawalRequested(Payload, frozen=True, kw_only=True):
    """A player asks to be paid out."""

    withdrawal_id: Id
    amount: PositiveMoney
    method: PaymentMethod
    destination_token: Id


class WithdrawalSettled(Payload, frozen=True, kw_only=True):
    """A withdrawal reached a state, final or not."""

    withdrawal_id: Id
    amount: Money
    status: Literal["pending", "held_review", "approved", "rejected", "paid", "cancelled"]
    hold_reason: Literal["none", "kyc", "aml", "bot", "rg", "limit"]
    initiator: Initiator
    initiated_at_ms: UnixMs
    executed_at_ms: UnixMs
