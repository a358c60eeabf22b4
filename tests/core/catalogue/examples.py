"""One valid event of each type, as a sender would write it."""

import copy
from collections.abc import Mapping
from typing import Any, Final

PLAYER: Final = "player-0001"
SESSION: Final = "019856f0-0000-7000-8000-00000000aaaa"
SLIP: Final = "019856f0-0000-7000-8000-00000000bbbb"
TIME: Final = "2026-07-31T20:00:00.000Z"
TIME_MS: Final = 1_785_528_000_000
"""``TIME``, as unix ms."""


def money(amount_minor: int, currency: str = "EUR") -> dict[str, Any]:
    """An amount as it is written."""
    return {"amount_minor": amount_minor, "currency": currency}


_ROUND: Final = {
    "provider_id": "studio-1",
    "game_id": "book-of-tests",
    "game_session_id": "gs-1",
    "round_id": "round-1",
}
_HMAC64: Final = "0123456789abcdef" * 4

_DATA: Final[Mapping[str, dict[str, Any]]] = {
    "player.session.started": {
        "login_method": "passkey",
        "device_id": _HMAC64,
        "platform": "web",
        "app_version": "4.12.0",
        "is_new_device": False,
        "mfa_used": True,
        "failed_attempts": 0,
        "vip_level": 3,
        "age_band": "25_plus",
        "kyc_level": 2,
        "rg_state": "none",
    },
    "player.session.ended": {
        "reason": "manual",
        "duration_ms": 3_600_000,
        "events_last_seq": 412,
    },
    "player.location.checked": {
        "check_id": "check-1",
        "provider": "locator",
        "result": "inside",
        "trigger": "login",
        "distance_to_border_m_bucket": "gt_8000",
        "vpn_or_proxy": False,
        "valid_until_ms": TIME_MS + 1_200_000,
    },
    "player.limit.changed": {
        "limit_type": "deposit",
        "period": "daily",
        "amount": money(10_000),
        "direction": "decrease",
        "requested_at_ms": TIME_MS,
        "effective_at_ms": TIME_MS,
        "initiator": "player",
        "limit_id": "limit-1",
        "revision": 2,
    },
    "player.exclusion.set": {
        "exclusion_id": "exclusion-1",
        "kind": "self_exclusion",
        "register": "gamstop",
        "start_ms": TIME_MS,
        "end_ms": None,
        "permanent": True,
        "scope": ["slots", "sports"],
    },
    "player.reality_check.acknowledged": {
        "check_no": 1,
        "shown_at_ms": TIME_MS - 2_000,
        "action": "continue",
        "elapsed_ms": 3_600_000,
        "net_position_minor": -1_250,
    },
    "player.kyc.status_changed": {
        "from_level": 1,
        "to_level": 2,
        "status": "verified",
        "reason_code": "document_ok",
        "revision": 3,
    },
    "wallet.deposit.requested": {
        "payment_intent_id": "intent-1",
        "amount": money(5_000),
        "method": "card_debit",
        "bonus_opt_in": True,
    },
    "wallet.deposit.settled": {
        "psp_id": "psp-1",
        "payment_id": "payment-1",
        "amount": money(5_000),
        "status": "approved",
        "decline_code": "none",
        "deposit_number": 1,
        "initiated_at_ms": TIME_MS - 4_000,
        "executed_at_ms": TIME_MS,
    },
    "wallet.withdrawal.requested": {
        "withdrawal_id": "withdrawal-1",
        "amount": money(20_000),
        "method": "bank",
        "destination_token": "tok_1",
    },
    "wallet.withdrawal.settled": {
        "withdrawal_id": "withdrawal-1",
        "amount": money(20_000),
        "status": "paid",
        "hold_reason": "none",
        "initiator": "operator",
        "initiated_at_ms": TIME_MS - 60_000,
        "executed_at_ms": TIME_MS,
    },
    "bet.round.staked": {
        **_ROUND,
        "transaction_id": "stake-1",
        "stake": money(100),
        "stake_cash_minor": 60,
        "stake_bonus_minor": 40,
        "free_round_id": None,
        "bonus_id": "bonus-1",
        "vertical": "slots",
        "jackpots": [{"jackpot_id": "mega", "level": "grand"}],
        "balance_after_minor": 4_900,
        "feature": "base",
    },
    "bet.round.settled": {
        **_ROUND,
        "transaction_id": "payout-1",
        "payout": money(250),
        "payout_cash_minor": 150,
        "payout_bonus_minor": 100,
        "win_type": "base",
        "round_closed": True,
        "balance_after_minor": 5_150,
    },
    "bet.round.rolled_back": {
        "provider_id": "studio-1",
        "game_id": "book-of-tests",
        "round_id": "round-1",
        "transaction_id": "rollback-1",
        "reference_transaction_id": "stake-1",
        "reason": "provider_timeout",
        "amount": money(100),
    },
    # A Yankee with odds of 2.0: 6 doubles, 4 trebles and a fourfold pay 24 + 32 + 16 units.
    "bet.slip.submitted": {
        "slip_id": SLIP,
        "slip_type": "system",
        "system_sizes": [2, 3, 4],
        "stake_mode": "unit",
        "unit_stake_minor": 100,
        "total_stake": money(1_100),
        "legs": [
            {
                "leg_no": number,
                "fixture_id": f"fixture-{number}",
                "market_id": "total",
                "outcome_id": "over",
                "specifiers": "total=2.5",
                "odds_e4": 20_000,
                "live": False,
                "banker": False,
            }
            for number in range(1, 5)
        ],
        "accept_odds_change": "higher",
        "bet_builder": False,
        "max_payout_minor": 7_200,
    },
    "bet.slip.decided": {
        "slip_id": SLIP,
        "decision": "accepted",
        "reject_code": "none",
        "legs": [{"leg_no": number, "odds_e4": 20_000} for number in range(1, 5)],
        "total_stake": money(1_100),
        "transaction_id": "slip-stake-1",
        "accepted_at_ms": TIME_MS,
    },
    "bet.slip.settled": {
        "slip_id": SLIP,
        "settlement_no": 1,
        "status": "won",
        "payout": money(7_200),
        "legs": [{"leg_no": number, "result": "won"} for number in range(1, 5)],
        "transaction_id": "slip-payout-1",
    },
    "game.session.opened": {
        "game_session_id": "gs-1",
        "game_id": "book-of-tests",
        "provider_id": "studio-1",
        "vertical": "slots",
        "currency": "EUR",
        "rtp_profile_e4": 9_650,
        "mode": "real",
        "jackpot_ids": ["mega", "local"],
    },
    "game.spin.requested": {
        "game_session_id": "gs-1",
        "request_id": "spin-1",
        "game_id": "book-of-tests",
        "vertical": "slots",
        "stake": money(100),
        "input": "pointer",
        "since_last_ms": 2_700,
        "trusted_event": True,
    },
    "game.jackpot.won": {
        "jackpot_id": "mega",
        "level": "grand",
        "cycle_no": 7,
        "award_seq": 19,
        "round_id": "round-1",
        "transaction_id": "jackpot-1",
        "amount": money(1_234_567),
        "trigger": "must_hit_by",
        "pool_before_minor": 1_234_567,
        "pool_after_minor": 100_000,
    },
    "bonus.offer.claimed": {
        "offer_id": "offer-1",
        "claim_id": "claim-1",
        "promo_code": "WELCOME-100",
        "channel": "lobby",
    },
    "bonus.grant.credited": {
        "grant_id": "grant-1",
        "offer_id": "offer-1",
        "kind": "deposit_match",
        "amount": money(5_000),
        "free_rounds": 0,
        "wager_requirement_e2": 3_500,
        "expires_at_ms": TIME_MS + 604_800_000,
        "max_bet_minor": 500,
        "trigger": "claim",
    },
    "bonus.grant.closed": {
        "grant_id": "grant-1",
        "outcome": "converted",
        "wagered_minor": 175_000,
        "converted_minor": 5_000,
        "initiator": "player",
    },
    "telemetry.interaction.batch": {
        "t0_ms": TIME_MS - 1_000,
        "viewport": {"w": 1_280, "h": 720},
        "samples": [
            [0, "m", 640, 360, 0, 1],
            [16, "d", 644, 361, 1, 1],
            [90, "u", 644, 361, 0, 1],
        ],
        "target": "spin-button",
    },
    "telemetry.device.snapshot": {
        "platform": "web",
        "os": "Windows",
        "os_version": "11",
        "browser_family": "Firefox",
        "major": 152,
        "screen": {"w": 2_560, "h": 1_440, "dpr_e2": 150},
        "tz_offset_min": -120,
        "lang": "pt-BR",
        "webdriver": False,
        "headless_hints": 0,
        "touch_points": 0,
        "cpu_class": "x86-64",
        "mem_gb_bucket": 8,
        "network": "wifi",
        "fps_p50": 60,
        "frame_drop_pct": 1,
        "fp_hash": _HMAC64,
    },
}

TYPES: Final = tuple(_DATA)
"""The 25 types, in the catalogue's order."""

_FROM_CLIENTS: Final = frozenset(
    {
        "player.reality_check.acknowledged",
        "wallet.deposit.requested",
        "wallet.withdrawal.requested",
        "bet.slip.submitted",
        "game.spin.requested",
        "bonus.offer.claimed",
        "telemetry.interaction.batch",
        "telemetry.device.snapshot",
    }
)
_KEYED_BY_SESSION: Final = frozenset({"player.session.started", "player.session.ended"})


def example(event_type: str) -> dict[str, Any]:
    """A complete event of *event_type*; the caller may change it.

    A client's number in the session is the type's place in the catalogue.
    """
    place = TYPES.index(event_type) + 1
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": f"019856f0-0000-7000-8000-{place:012x}",
        "source": "urn:example:sender",
        "type": event_type,
        "time": TIME,
        "subject": PLAYER,
        "data": copy.deepcopy(_DATA[event_type]),
    }
    if event_type in _FROM_CLIENTS:
        return event | {"session": SESSION, "seq": place}
    if event_type in _KEYED_BY_SESSION:
        event["session"] = SESSION
    return event | {"brand": "acme", "jurisdiction": "MT"}
