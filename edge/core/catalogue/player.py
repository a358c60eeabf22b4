"""What lane ``player`` carries: sessions, location checks, limits, exclusions, verification.

PII: ``device_id`` is P2, a keyed hash made by the sender. Exclusions, limits, reality checks
and ``rg_state`` are P4, since they let a reader infer addiction. A location is a verdict, never
a coordinate; an age is a band, never a date of birth; a verification is a level, never a
document.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from edge.core.catalogue.forms import (
    Count,
    Hmac64,
    Id,
    Initiator,
    KycLevel,
    Millis,
    Money,
    Ordinal,
    Platform,
    SignedMinor,
    Text,
    UnixMs,
    Vertical,
)
from edge.core.event import Payload
from edge.core.reject import Reason, Reject

ExclusionScope: TypeAlias = Annotated[
    tuple[Vertical | Literal["sports"], ...], Meta(min_length=1, max_length=9)
]
"""What a player is excluded from: the verticals of a stake, and ``sports``, whose bets are
slips. An exclusion from nothing is a sender's error; nine are all there are."""


class SessionStarted(Payload, frozen=True, kw_only=True):
    """A player logged in."""

    login_method: Literal["password", "passkey", "otp", "sso"]
    device_id: Hmac64
    platform: Platform
    app_version: Text
    is_new_device: bool
    mfa_used: bool
    failed_attempts: Annotated[int, Meta(ge=0, le=10)]
    vip_level: Annotated[int, Meta(ge=0, le=20)]
    age_band: Literal["18_20", "21_24", "25_plus"]
    kyc_level: KycLevel
    rg_state: Literal["none", "limited", "timeout", "excluded"]


class SessionEnded(Payload, frozen=True, kw_only=True):
    """A player's session is over, however it came to that."""

    reason: Literal[
        "manual", "expired", "system", "admin", "multiple_device", "session_limit", "excluded"
    ]
    duration_ms: Millis
    events_last_seq: Count


class LocationChecked(Payload, frozen=True, kw_only=True):
    """A locating service said whether the player is where play is allowed."""

    check_id: Id
    provider: Id
    result: Literal["inside", "outside", "uncertain", "failed"]
    trigger: Literal["login", "first_bet", "ip_change", "interval", "reconnect"]
    distance_to_border_m_bucket: Literal["lt_1600", "1600_8000", "gt_8000"]
    vpn_or_proxy: bool
    valid_until_ms: UnixMs


class LimitChanged(Payload, frozen=True, kw_only=True):
    """A limit on money (``amount``) or on time (``duration_ms``) was set or changed."""

    limit_type: Literal["deposit", "loss", "stake", "session", "play"]
    period: Literal["session", "daily", "weekly", "monthly"]
    amount: Money | UnsetType = UNSET
    duration_ms: Millis | UnsetType = UNSET
    direction: Literal["set", "decrease", "increase", "remove"]
    requested_at_ms: UnixMs
    effective_at_ms: UnixMs
    initiator: Initiator
    limit_id: Id
    revision: Ordinal

    def check(self) -> None:
        """Demand exactly one of the two measures of a limit.

        Raises:
            Reject: SCHEMA_VIOLATION.
        """
        if (self.amount is UNSET) == (self.duration_ms is UNSET):
            # A missing member is pointed at; of two that exclude each other, the second.
            pointer = "/data/amount" if self.amount is UNSET else "/data/duration_ms"
            raise Reject(
                Reason.SCHEMA_VIOLATION, "amount or duration_ms, not both", pointer=pointer
            )


class ExclusionSet(Payload, frozen=True, kw_only=True):
    """A player may not play for a time, or for ever."""

    exclusion_id: Id
    kind: Literal["self_exclusion", "timeout", "operator_block", "regulator_register"]
    register: Literal["none", "gamstop", "oasis", "rofus", "spelpaus", "cruks", "other"]
    start_ms: UnixMs
    end_ms: UnixMs | None
    permanent: bool
    scope: ExclusionScope


class RealityCheckAcknowledged(Payload, frozen=True, kw_only=True):
    """A player answered the reminder of how long they have played, and at what cost."""

    check_no: Count
    shown_at_ms: UnixMs
    action: Literal["continue", "stop", "history"]
    elapsed_ms: Millis
    net_position_minor: SignedMinor


class KycStatusChanged(Payload, frozen=True, kw_only=True):
    """What is known of a player's identity changed."""

    from_level: KycLevel
    to_level: KycLevel
    status: Literal["unverified", "pending", "verified", "rejected", "expired"]
    reason_code: Id
    revision: Ordinal
