"""What each voice says: a pure function of (run, voice, number), so that nothing is stored.

In: the number of an event; out: the event, as often as it is asked for. Written by hand from
the catalogue, as a client's developer would, not derived from the gateway's types. A voice has
subjects of its own, so that what the origin shows of one key comes from one voice, in its order.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, Protocol, TypeAlias

from edge.demo.issuer import Issuer

Event: TypeAlias = dict[str, object]
Payload: TypeAlias = dict[str, object]
Make: TypeAlias = Callable[[int, str], Payload]

SUBJECTS: Final = 16
"""Players that one service speaks about, if nothing else is asked for: enough for several keys
in each of its batches."""

BRAND: Final = "north"
JURISDICTION: Final = "MT"

_WORD: Final = (1 << 64) - 1


class Voice(Protocol):
    """Somebody who sends events, and knows each of them again by its number."""

    @property
    def k(self) -> str:
        """What keeps its requests on one node."""
        ...

    def token(self, issuer: Issuer) -> str:
        """Have a token signed that says who speaks."""
        ...

    def event(self, number: int, unix_ms: int) -> Event:
        """Return what it said as *number*, from 0, at *unix_ms*."""
        ...

    def envelope(self, number: int, unix_ms: int) -> Event:
        """Return what the origin must show of it."""
        ...


@dataclass(frozen=True, slots=True)
class Service:
    """A backend that states facts of several lanes about players of its own.

    Attributes:
        run: 32 bits that tell this ledger's events from any other's.
        voice: 16 bits.
        lanes: Whose facts it states, in a drawn order.
        subjects: Players of its own, each a key.
    """

    run: int
    voice: int
    lanes: tuple[str, ...]
    subjects: int = SUBJECTS

    @property
    def k(self) -> str:
        """What keeps its requests on one node: its shard of players."""
        return f"shard-{self.voice}"

    def token(self, issuer: Issuer) -> str:
        """Have a token signed for the lanes."""
        return issuer.service(f"service-{self.voice}", *self.lanes)

    def event(self, number: int, unix_ms: int) -> Event:
        """Return the fact *number*, stated at *unix_ms*."""
        drawn = _drawn(self.run ^ self.voice << 32, number)
        kinds = FACTS[self.lanes[drawn % len(self.lanes)]]
        kind, make = kinds[(drawn >> 8) % len(kinds)]
        name = event_id(self.run, self.voice, number)
        return {
            "specversion": "1.0",
            "id": name,
            "source": "service://ledger",
            "type": kind,
            "time": timestamp(unix_ms),
            "subject": f"player-{self.run:08x}-{self.voice:04x}-{(drawn >> 16) % self.subjects}",
            "brand": BRAND,
            "jurisdiction": JURISDICTION,
            "data": make(drawn >> 24, name),
        }

    def envelope(self, number: int, unix_ms: int) -> Event:
        """Return what the origin must show of it: all of it."""
        return self.event(number, unix_ms)


@dataclass(frozen=True, slots=True)
class Player:
    """A player's client in one session, whose numbers run on.

    Attributes:
        run: 32 bits that tell this ledger's events from any other's.
        voice: 16 bits.
        lanes: Of its intents and observations, in a drawn order.
    """

    run: int
    voice: int
    lanes: tuple[str, ...]

    @property
    def k(self) -> str:
        """What keeps its requests on one node: the player."""
        return self.subject

    @property
    def subject(self) -> str:
        """The player id."""
        return f"player-{self.run:08x}-{self.voice:04x}"

    @property
    def session(self) -> str:
        """The session's UUID, in the form of version 8 (RFC 9562 §5.8)."""
        return f"{self.run:08x}-{self.voice:04x}-8000-8001-000000000000"

    def token(self, issuer: Issuer) -> str:
        """Have a token signed for the session."""
        return issuer.sign(
            sub=self.subject,
            sid=self.session,
            brand=BRAND,
            jurisdiction=JURISDICTION,
            scope="events:write",
        )

    def event(self, number: int, unix_ms: int) -> Event:
        """Return the session's event *number* + 1, said at *unix_ms*."""
        drawn = _drawn(self.run ^ self.voice << 32, number)
        kinds = INTENTS[self.lanes[drawn % len(self.lanes)]]
        kind, make = kinds[(drawn >> 8) % len(kinds)]
        name = event_id(self.run, self.voice, number)
        return {
            "specversion": "1.0",
            "id": name,
            "source": "app://ledger",
            "type": kind,
            "time": timestamp(unix_ms),
            "subject": self.subject,
            "session": self.session,
            "seq": number + 1,
            "data": make(drawn >> 24, name),
        }

    def envelope(self, number: int, unix_ms: int) -> Event:
        """Return what the origin must show of it: what the token says beside it."""
        own = {"brand": BRAND, "jurisdiction": JURISDICTION}
        return self.event(number, unix_ms) | own


def event_id(run: int, voice: int, number: int) -> str:
    """Write the name of one event, in the form of version 8 (RFC 9562 §5.8)."""
    return f"{run:08x}-{voice:04x}-8000-8000-{number:012x}"


def number_of(name: str, run: int) -> tuple[int, int] | None:
    """Read voice and number out of an event's name; ``None``: it is not this run's."""
    prefix, middle = f"{run:08x}-", "-8000-8000-"
    if len(name) != 36 or name[:9] != prefix or name[13:24] != middle:
        return None
    try:
        found = int(name[9:13], 16), int(name[24:], 16)
    except ValueError:
        return None
    return found if event_id(run, *found) == name else None


def timestamp(unix_ms: int) -> str:
    """Write unix ms as the origin shows it: RFC 3339, UTC, three digits."""
    return f"{_second(unix_ms // 1000)}.{unix_ms % 1000:03d}Z"


@lru_cache(maxsize=64)  # all of a second's events: 0.1 µs instead of 2
def _second(unix_s: int) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%dT%H:%M:%S}"


def _drawn(salt: int, number: int) -> int:
    """Draw 64 bits for *number*: always the same, and unlike its neighbours'.

    Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators" (SplitMix64).
    """
    mixed = (salt * 0xD1342543DE82EF95 + (number + 1) * 0x9E3779B97F4A7C15) & _WORD
    mixed = ((mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9) & _WORD
    mixed = ((mixed ^ mixed >> 27) * 0x94D049BB133111EB) & _WORD
    return mixed ^ mixed >> 31


def _money(amount_minor: int) -> Payload:
    return {"amount_minor": amount_minor, "currency": "EUR"}


def _of_round(drawn: int, name: str) -> Payload:
    return {
        "provider_id": "studio-1",
        "game_id": "book-of-sun",
        "game_session_id": f"gs-{drawn % 2000}",
        "round_id": f"r-{drawn % 1_000_003}",
        "transaction_id": name,
    }


def _staked(drawn: int, name: str) -> Payload:
    stake_minor = 20 + drawn % 480
    return _of_round(drawn, name) | {
        "stake": _money(stake_minor),
        "stake_cash_minor": stake_minor,
        "stake_bonus_minor": 0,
        "free_round_id": None,
        "bonus_id": None,
        "vertical": "slots",
        "jackpots": [{"jackpot_id": "jp-grand", "level": "grand"}],
        "balance_after_minor": 10_000 + drawn % 90_000,
        "feature": "base",
    }


def _settled(drawn: int, name: str) -> Payload:
    payout_minor = drawn % 7 * 10
    return _of_round(drawn, name) | {
        "payout": _money(payout_minor),
        "payout_cash_minor": payout_minor,
        "payout_bonus_minor": 0,
        "win_type": "base" if payout_minor else "none",
        "round_closed": True,
    }


def _deposit_settled(drawn: int, name: str) -> Payload:
    return {
        "psp_id": "psp-1",
        "payment_id": name,
        "amount": _money(1000 + drawn % 9000),
        "status": "approved",
        "decline_code": "none",
        "deposit_number": 1 + drawn % 50,
        "initiated_at_ms": 1_771_099_200_000 + drawn % 1_000_000,
        "executed_at_ms": 1_771_099_300_000 + drawn % 1_000_000,
    }


def _session_opened(drawn: int, name: str) -> Payload:
    return {
        "game_session_id": name,
        "game_id": f"game-{drawn % 300}",
        "provider_id": "studio-1",
        "vertical": "slots",
        "currency": "EUR",
        "rtp_profile_e4": 9600,
        "mode": "real",
        "jackpot_ids": ["jp-grand"],
    }


def _grant_credited(drawn: int, name: str) -> Payload:
    return {
        "grant_id": name,
        "offer_id": f"offer-{drawn % 40}",
        "kind": "free_rounds",
        "amount": _money(0),
        "free_rounds": 1 + drawn % 20,
        "wager_requirement_e2": 3500,
        "expires_at_ms": 1_771_099_200_000 + drawn % 86_400_000,
        "trigger": "claim",
    }


def _location_checked(drawn: int, name: str) -> Payload:
    return {
        "check_id": name,
        "provider": "geo-1",
        "result": "inside",
        "trigger": "interval",
        "distance_to_border_m_bucket": "gt_8000",
        "vpn_or_proxy": drawn % 100 == 0,
        "valid_until_ms": 1_771_099_200_000 + drawn % 86_400_000,
    }


def _spin(drawn: int, name: str) -> Payload:
    return {
        "game_session_id": f"gs-{drawn % 2000}",
        "request_id": name,
        "game_id": "book-of-sun",
        "vertical": "slots",
        "stake": _money(20 + drawn % 480),
        "input": "pointer",
        "since_last_ms": 2_500 + drawn % 900,
        "trusted_event": True,
    }


def _deposit_requested(drawn: int, name: str) -> Payload:
    return {
        "payment_intent_id": name,
        "amount": _money(1000 + drawn % 9000),
        "method": "card_debit",
        "bonus_opt_in": drawn % 2 == 0,
    }


def _reality_check(drawn: int, name: str) -> Payload:
    return {
        "check_no": int(name[-12:], 16),
        "shown_at_ms": 1_771_099_200_000 + drawn % 1_000_000,
        "action": "continue",
        "elapsed_ms": drawn % 3_600_000,
        "net_position_minor": drawn % 20_000 - 10_000,
    }


def _offer_claimed(drawn: int, name: str) -> Payload:
    del drawn
    return {"offer_id": name, "claim_id": name, "promo_code": "FRIDAY", "channel": "web"}


def _slip(drawn: int, name: str) -> Payload:
    legs = [
        {
            "leg_no": leg,
            "fixture_id": f"fx-{drawn % 400 + leg}",
            "market_id": "mk-18",
            "outcome_id": "over",
            "specifiers": "total=2.5",
            "odds_e4": odds_e4,
            "live": False,
            "banker": False,
        }
        for leg, odds_e4 in ((1, 18_500), (2, 21_000))
    ]
    return {
        "slip_id": name,
        "slip_type": "accumulator",
        "system_sizes": [],
        "stake_mode": "unit",
        "unit_stake_minor": 1000,
        "total_stake": _money(1000),
        "legs": legs,
        "accept_odds_change": "higher",
        "bet_builder": False,
        # 1000 at 1.85 and 2.10, rounded down: all that the catalogue's bound allows.
        "max_payout_minor": 3885,
    }


def _pointer(drawn: int, name: str) -> Payload:
    del name
    samples = [
        [at * 83, "m", (drawn + at * 37) % 1920, (drawn + at * 23) % 1080, 0, 1]
        for at in range(12)
    ]
    return {
        "t0_ms": 1_771_099_200_000 + drawn % 1_000_000,
        "viewport": {"w": 1920, "h": 1080},
        "samples": samples,
        "target": "spin_button",
    }


FACTS: Final[Mapping[str, tuple[tuple[str, Make], ...]]] = {
    "bet": (("bet.round.staked", _staked), ("bet.round.settled", _settled)),
    "wallet": (("wallet.deposit.settled", _deposit_settled),),
    "game": (("game.session.opened", _session_opened),),
    "bonus": (("bonus.grant.credited", _grant_credited),),
    "player": (("player.location.checked", _location_checked),),
}
"""What a service states, by lane; each has a business key of its own, drawn from its name."""

INTENTS: Final[Mapping[str, tuple[tuple[str, Make], ...]]] = {
    "bet": (("bet.slip.submitted", _slip),),
    "wallet": (("wallet.deposit.requested", _deposit_requested),),
    "game": (("game.spin.requested", _spin),),
    "bonus": (("bonus.offer.claimed", _offer_claimed),),
    "player": (("player.reality_check.acknowledged", _reality_check),),
    "telemetry": (("telemetry.interaction.batch", _pointer),),
}
"""What a player's client says, by lane."""
