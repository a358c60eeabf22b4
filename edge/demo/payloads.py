"""What the events of an evening say: attributes and ``data``, as catalogue.md fixes them.

Plain dictionaries, written by hand from the document, not derived from the gateway's types:
what a client developer would write. Amounts are minor units of one currency.
"""

import random
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from edge.demo.ledger import Event

CURRENCY: Final = "EUR"
Payload = dict[str, object]


def unix_ms() -> int:
    """The machine's wall clock, as every client has one."""
    return time.time_ns() // 1_000_000


def timestamp(at_ms: int) -> str:
    """Write unix ms as the origin will show it: RFC 3339, UTC, three digits."""
    seconds, ms = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"


def some_uuid(rng: random.Random) -> str:
    """Draw a random UUID, the same for the same seed."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def money(amount_minor: int) -> Payload:
    """An amount in the evening's currency."""
    return {"amount_minor": amount_minor, "currency": CURRENCY}


@dataclass(slots=True)
class Visit:
    """One player's session, as the player's client and the services know it.

    Attributes:
        subject: The player id.
        brand: Where it plays.
        jurisdiction: Under whose law.
        rng: All chance of this visit; seeded.
        session: UUID.
        seq: The number of the session's last event.
    """

    subject: str
    brand: str
    jurisdiction: str
    rng: random.Random
    session: str = ""
    seq: int = 0
    opened_ms: int = field(default_factory=unix_ms)

    def __post_init__(self) -> None:
        self.session = self.session or some_uuid(self.rng)

    def says(self, kind: str, data: Payload) -> Event:
        """An intent or observation of the player's client, with the session's next number."""
        self.seq += 1
        return self._event(kind, "app://casino", data) | {
            "session": self.session,
            "seq": self.seq,
        }

    def fact(self, kind: str, data: Payload) -> Event:
        """What a service states about the player."""
        event = self._event(kind, f"service://{kind.partition('.')[0]}", data)
        return event | {"brand": self.brand, "jurisdiction": self.jurisdiction}

    def code(self, prefix: str) -> str:
        """A new identifier of somebody's."""
        return f"{prefix}-{self.rng.getrandbits(48):012x}"

    def _event(self, kind: str, source: str, data: Payload) -> Event:
        return {
            "specversion": "1.0",
            "id": some_uuid(self.rng),
            "source": source,
            "type": kind,
            "time": timestamp(unix_ms()),
            "subject": self.subject,
            "data": data,
        }


def session_started(visit: Visit) -> Event:
    """The PAM: this player is in. Its business key is the session."""
    data: Payload = {
        "login_method": "passkey",
        "device_id": f"{visit.rng.getrandbits(256):064x}",
        "platform": "web",
        "app_version": "5.2.1",
        "is_new_device": False,
        "mfa_used": True,
        "failed_attempts": 0,
        "vip_level": visit.rng.randrange(5),
        "age_band": "25_plus",
        "kyc_level": 2,
        "rg_state": "none",
    }
    return visit.fact("player.session.started", data) | {"session": visit.session}


def session_ended(visit: Visit) -> Event:
    """The PAM: this player is out."""
    data: Payload = {
        "reason": "manual",
        "duration_ms": max(unix_ms() - visit.opened_ms, 0),
        "events_last_seq": visit.seq,
    }
    return visit.fact("player.session.ended", data) | {"session": visit.session}


def deposit_requested(visit: Visit, amount_minor: int) -> Event:
    """The player asks to pay in."""
    data: Payload = {
        "payment_intent_id": visit.code("pi"),
        "amount": money(amount_minor),
        "method": "card_debit",
        "bonus_opt_in": True,
    }
    return visit.says("wallet.deposit.requested", data)


def deposit_settled(visit: Visit, amount_minor: int) -> Event:
    """The wallet: the money is there."""
    data: Payload = {
        "psp_id": "psp-1",
        "payment_id": visit.code("pay"),
        "amount": money(amount_minor),
        "status": "approved",
        "decline_code": "none",
        "deposit_number": 1,
        "initiated_at_ms": unix_ms() - 800,
        "executed_at_ms": unix_ms(),
    }
    return visit.fact("wallet.deposit.settled", data)


def withdrawal_requested(visit: Visit, withdrawal_id: str, amount_minor: int) -> Event:
    """The player asks to be paid out."""
    data: Payload = {
        "withdrawal_id": withdrawal_id,
        "amount": money(amount_minor),
        "method": "bank",
        "destination_token": visit.code("dest"),
    }
    return visit.says("wallet.withdrawal.requested", data)


def withdrawal_settled(visit: Visit, withdrawal_id: str, amount_minor: int) -> Event:
    """The wallet: paid."""
    data: Payload = {
        "withdrawal_id": withdrawal_id,
        "amount": money(amount_minor),
        "status": "paid",
        "hold_reason": "none",
        "initiator": "player",
        "initiated_at_ms": unix_ms() - 300,
        "executed_at_ms": unix_ms(),
    }
    return visit.fact("wallet.withdrawal.settled", data)


def offer_claimed(visit: Visit, offer_id: str) -> Event:
    """The player claims a bonus."""
    data: Payload = {
        "offer_id": offer_id,
        "claim_id": visit.code("claim"),
        "promo_code": "FRIDAY_NIGHT",
        "channel": "web",
    }
    return visit.says("bonus.offer.claimed", data)


def grant_credited(visit: Visit, offer_id: str) -> Event:
    """The bonus engine: here it is."""
    data: Payload = {
        "grant_id": visit.code("grant"),
        "offer_id": offer_id,
        "kind": "free_rounds",
        "amount": money(0),
        "free_rounds": 10,
        "wager_requirement_e2": 3500,
        "expires_at_ms": unix_ms() + 86_400_000,
        "trigger": "claim",
    }
    return visit.fact("bonus.grant.credited", data)


def interactions(visit: Visit) -> Event:
    """The client's telemetry: a few moves and a click."""
    rng = visit.rng
    moves: list[list[int | str]] = [
        [rng.randrange(60), "m", rng.randrange(1920), rng.randrange(1080), 0, 1]
        for _ in range(12)
    ]
    data: Payload = {
        "t0_ms": unix_ms() - 500,
        "viewport": {"w": 1920, "h": 1080},
        "samples": [*moves, [40, "c", 900, 640, 1, 1]],
        "target": "spin_button",
    }
    return visit.says("telemetry.interaction.batch", data)
