"""What is said about rounds and slips: the player's intents and the game servers' facts."""

from dataclasses import dataclass

from edge.demo.ledger import Event
from edge.demo.payloads import CURRENCY, Payload, Visit, money, unix_ms

PROVIDER = "studio-7"


@dataclass(frozen=True, slots=True)
class Table:
    """One game a player has open.

    Attributes:
        game_id: Which.
        game_session_id: This player's sitting at it.
    """

    game_id: str
    game_session_id: str

    def opened(self, visit: Visit) -> Event:
        """The game server: the player sits down."""
        data: Payload = {
            "game_session_id": self.game_session_id,
            "game_id": self.game_id,
            "provider_id": PROVIDER,
            "vertical": "slots",
            "currency": CURRENCY,
            "rtp_profile_e4": 9600,
            "mode": "real",
            "jackpot_ids": ["jp-grand"],
        }
        return visit.fact("game.session.opened", data)

    def spin(self, visit: Visit, stake_minor: int) -> Event:
        """The player pulls."""
        data: Payload = {
            "game_session_id": self.game_session_id,
            "request_id": visit.code("spin"),
            "game_id": self.game_id,
            "vertical": "slots",
            "stake": money(stake_minor),
            "input": "pointer",
            "since_last_ms": 2500,
            "trusted_event": True,
        }
        return visit.says("game.spin.requested", data)


@dataclass(frozen=True, slots=True)
class Round:
    """One round at a table: staked, then settled or rolled back.

    Attributes:
        table: Where.
        round_id: Which.
        stake_minor: What it costs.
        stake_transaction: The transaction that took the stake.
    """

    table: Table
    round_id: str
    stake_minor: int
    stake_transaction: str

    def _ids(self, transaction_id: str) -> Payload:
        return {
            "provider_id": PROVIDER,
            "game_id": self.table.game_id,
            "game_session_id": self.table.game_session_id,
            "round_id": self.round_id,
            "transaction_id": transaction_id,
        }

    def staked(self, visit: Visit) -> Event:
        """The game server: the stake is taken."""
        data = self._ids(self.stake_transaction) | {
            "stake": money(self.stake_minor),
            "stake_cash_minor": self.stake_minor,
            "stake_bonus_minor": 0,
            "free_round_id": None,
            "bonus_id": None,
            "vertical": "slots",
            "jackpots": [{"jackpot_id": "jp-grand", "level": "grand"}],
            "feature": "base",
        }
        return visit.fact("bet.round.staked", data)

    def settled(self, visit: Visit, payout_minor: int) -> Event:
        """The game server: this is what it paid; zero is a loss."""
        data = self._ids(visit.code("tx")) | {
            "payout": money(payout_minor),
            "payout_cash_minor": payout_minor,
            "payout_bonus_minor": 0,
            "win_type": "base" if payout_minor else "none",
            "round_closed": True,
        }
        return visit.fact("bet.round.settled", data)

    def rolled_back(self, visit: Visit) -> Event:
        """The game server: forget the stake."""
        data: Payload = {
            "provider_id": PROVIDER,
            "game_id": self.table.game_id,
            "round_id": self.round_id,
            "transaction_id": visit.code("tx"),
            "reference_transaction_id": self.stake_transaction,
            "reason": "provider_timeout",
            "amount": money(self.stake_minor),
        }
        return visit.fact("bet.round.rolled_back", data)


def slip_submitted(visit: Visit, slip_id: str, specifiers: str = "total=2.5") -> Event:
    """The player places a double: 10.00 at 1.85 and 2.10."""
    legs: list[Payload] = [
        {
            "leg_no": at,
            "fixture_id": f"fx-{at}",
            "market_id": "mk-18",
            "outcome_id": "over",
            "specifiers": specifiers,
            "odds_e4": odds_e4,
            "live": False,
            "banker": False,
        }
        for at, odds_e4 in ((1, 18500), (2, 21000))
    ]
    data: Payload = {
        "slip_id": slip_id,
        "slip_type": "accumulator",
        "system_sizes": [],
        "stake_mode": "unit",
        "unit_stake_minor": 1000,
        "total_stake": money(1000),
        "legs": legs,
        "accept_odds_change": "higher",
        "bet_builder": False,
        # 1000 at 1.85 and 2.10, rounded down: all that the catalogue's bound allows.
        "max_payout_minor": 3885,
    }
    return visit.says("bet.slip.submitted", data)


def slip_decided(visit: Visit, slip_id: str) -> Event:
    """The trading desk: the slip stands."""
    data: Payload = {
        "slip_id": slip_id,
        "decision": "accepted",
        "reject_code": "none",
        "legs": [{"leg_no": 1, "odds_e4": 18500}, {"leg_no": 2, "odds_e4": 21000}],
        "total_stake": money(1000),
        "transaction_id": visit.code("tx"),
        "accepted_at_ms": unix_ms(),
    }
    return visit.fact("bet.slip.decided", data)
