"""Who speaks in a benchmark and what they say; out come whole HTTP requests as bytes.

Three loads. *single*: players' clients, each with its own token and session, ask for a spin,
one event per request, each the session's next number. *mixed*: the same, but of sixteen
events two report the pointer (24 samples) and one submits a betting slip, so three lanes sync
and forward. *batch*: a game server with one token states rounds of those players, 50 facts per
request, a stake and its settlement in turn.

Every id, business key and number is used once in a run, so each event must be accepted; a
duplicate is a mistake of ours. Each subject gets the same bytes.
"""

import itertools
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from loadtests.bench.tokens import Issuer

BATCH: Final = 50  # events, as the figures to reach have it
TABLES: Final = 2_000  # at which games are played
SHARDS: Final = 16  # of players, by which services choose ``k``
SAMPLES: Final = 24  # two seconds of a pointer, sampled at 12 Hz
FILL_BATCH: Final = 100  # events of one player while tables are filled: far below 256 KiB

_ONE: Final = b"application/cloudevents+json"
_MANY: Final = b"application/cloudevents-batch+json"
_SPINS: Final = ("spin",)
_MIXED: Final = ("slip", *["spin"] * 6, "pointer", *["spin"] * 7, "pointer")

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Load:
    """One way of sending.

    Attributes:
        name: In the table.
        connections: Kept alive, one request at a time on each.
        events: Per request.
        kinds: Of client events, in turn; none: a service's facts.
    """

    name: str
    connections: int
    events: int
    kinds: tuple[str, ...] = ()


LOADS: Final = (
    Load("single", connections=64, events=1, kinds=_SPINS),
    Load("mixed", connections=64, events=1, kinds=_MIXED),
    Load("batch", connections=16, events=BATCH),
)


class Player:
    """One player's client and its session.

    Attributes:
        subject: The player id.
        bearer: The token.
    """

    def __init__(self, number: int, issuer: Issuer) -> None:
        self.subject = f"player-{number:05d}"
        self.session = str(uuid.uuid4())
        self.brand = f"brand-{number % 4}"
        self.jurisdiction = ("MT", "GB", "SE", "DE")[number % 4]
        token = issuer.player(self.subject, self.session, self.brand, self.jurisdiction)
        self.bearer = token.encode()
        self._seq = 0

    def says(self, event: Event) -> Event:
        """Put the client's attributes to *event*, with the session's next number."""
        self._seq += 1
        own = {"source": "app://casino", "session": self.session, "seq": self._seq}
        return event | own | {"subject": self.subject}

    def played(self, event: Event) -> Event:
        """Put a game server's attributes to *event*, a fact about this player."""
        own = {"source": "service://games", "subject": self.subject}
        return event | own | {"brand": self.brand, "jurisdiction": self.jurisdiction}


class Casino:
    """All who speak, and the counter behind every name they use."""

    def __init__(self, issuer: Issuer, players: int) -> None:
        """Sign a token for each of *players*, and one for the game server."""
        self._run = uuid.uuid4().hex[:12]
        self._numbers = itertools.count(1)
        self._players = [Player(number, issuer) for number in range(players)]
        self._turns = itertools.cycle(self._players)
        self._shards = itertools.cycle(range(min(SHARDS, players)))
        self._service = issuer.service("game-server").encode()

    def requests(self, load: Load, count: int) -> list[bytes]:
        """Write *count* requests of *load*, with the present time in their events."""
        if not load.kinds:
            return [self._batch(load.events) for _ in range(count)]
        kinds = itertools.islice(itertools.cycle(load.kinds), count)
        return [self._single(kind) for kind in kinds]

    def greetings(self) -> list[bytes]:
        """Write one single event of every player: their tokens are known afterwards."""
        return [self._single("spin") for _ in self._players]

    def fillings(self, entries: int) -> list[tuple[int, bytes]]:
        """Write batches that fill the tables of the loads' lanes with *entries* each.

        Returns:
            Events and request of each; spins and rounds make two entries per event, an id and
            a business key, telemetry has no key.
        """
        keyed, unkeyed = -(-entries // 2), entries
        facts = [(FILL_BATCH, self._batch(FILL_BATCH)) for _ in range(0, keyed, FILL_BATCH)]
        spins = [self._filling("spin") for _ in range(0, keyed, FILL_BATCH)]
        pointers = [self._filling("pointer") for _ in range(0, unkeyed, FILL_BATCH)]
        return [*facts, *spins, *pointers]

    def _single(self, kind: str) -> bytes:
        player = next(self._turns)
        event = self._event(player, kind, _now())
        return request(orjson.dumps(event), _ONE, player.bearer, player.subject)

    def _filling(self, kind: str, count: int = FILL_BATCH) -> tuple[int, bytes]:
        player = next(self._turns)
        body = orjson.dumps(self._events(player, kind, count))
        return count, request(body, _MANY, player.bearer, player.subject)

    def _events(self, player: Player, kind: str, count: int) -> list[Event]:
        now = _now()
        return [self._event(player, kind, now) for _ in range(count)]

    def _batch(self, count: int) -> bytes:
        shard, now = next(self._shards), _now()
        players = itertools.islice(itertools.cycle(self._players[shard::SHARDS]), count // 2)
        events = [event for player in players for event in self._round(player, now)]
        return request(orjson.dumps(events), _MANY, self._service, f"shard-{shard}")

    def _event(self, player: Player, kind: str, now: str) -> Event:
        number = next(self._numbers)
        make = {"spin": _spin, "pointer": _pointer, "slip": _slip}[kind]
        return player.says(self._named(number, now) | make(number, self._name(number)))

    def _round(self, player: Player, now: str) -> Sequence[Event]:
        stake, win = next(self._numbers), next(self._numbers)
        names = self._name(stake), self._name(win)
        return (
            player.played(self._named(stake, now) | _staked(stake, names[0])),
            player.played(self._named(win, now) | _settled(stake, names[0], names[1])),
        )

    def _named(self, number: int, now: str) -> Event:
        return {"specversion": "1.0", "id": self._name(number), "time": now}

    def _name(self, number: int) -> str:
        """A UUID that nothing else in any run has; in the form of version 8 (RFC 9562 §5.8)."""
        return f"{self._run[:8]}-{self._run[8:]}-8000-8000-{number:012x}"


def request(body: bytes, media_type: bytes, bearer: bytes, k: str) -> bytes:
    """Write one POST as a client of a gateway behind a load balancer sends it."""
    head = (
        b"POST /v1/events?k=%b HTTP/1.1\r\n"
        b"host: edge.bench.example\r\n"
        b"user-agent: bench\r\n"
        b"accept: application/json\r\n"
        b"authorization: Bearer %b\r\n"
        b"content-type: %b\r\n"
        b"content-length: %d\r\n\r\n"
    )
    return head % (k.encode(), bearer, media_type, len(body)) + body


def _now() -> str:
    ms = time.time_ns() // 1_000_000
    return f"{datetime.fromtimestamp(ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def _spin(number: int, name: str) -> Event:
    return {
        "type": "game.spin.requested",
        "data": {
            "game_session_id": f"gs-{number % TABLES}",
            "request_id": name,
            "game_id": "book-of-sun",
            "vertical": "slots",
            "stake": {"amount_minor": 20 + number % 480, "currency": "EUR"},
            "input": "pointer",
            "since_last_ms": 2_500 + number % 900,
            "trusted_event": True,
        },
    }


def _pointer(number: int, name: str) -> Event:
    del name
    samples = [
        [at * 83, "m", (number + at * 37) % 1920, (number + at * 23) % 1080, 0, 1]
        for at in range(SAMPLES)
    ]
    return {
        "type": "telemetry.interaction.batch",
        "data": {
            "t0_ms": time.time_ns() // 1_000_000 - 2_000,
            "viewport": {"w": 1920, "h": 1080},
            "samples": samples,
            "target": "spin_button",
        },
    }


def _slip(number: int, name: str) -> Event:
    legs = [
        {
            "leg_no": leg,
            "fixture_id": f"fx-{(number + leg) % 400}",
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
        "type": "bet.slip.submitted",
        "data": {
            "slip_id": name,
            "slip_type": "accumulator",
            "system_sizes": [],
            "stake_mode": "unit",
            "unit_stake_minor": 1000,
            "total_stake": {"amount_minor": 1000, "currency": "EUR"},
            "legs": legs,
            "accept_odds_change": "higher",
            "bet_builder": False,
            # 1000 at 1.85 and 2.10, rounded down: all that the catalogue's bound allows.
            "max_payout_minor": 3885,
        },
    }


def _of_round(number: int, transaction: str) -> Event:
    return {
        "provider_id": "studio-1",
        "game_id": "book-of-sun",
        "game_session_id": f"gs-{number % TABLES}",
        "round_id": f"r-{number}",
        "transaction_id": transaction,
    }


def _staked(number: int, transaction: str) -> Event:
    stake_minor = 20 + number % 480
    return {
        "type": "bet.round.staked",
        "data": _of_round(number, transaction)
        | {
            "stake": {"amount_minor": stake_minor, "currency": "EUR"},
            "stake_cash_minor": stake_minor,
            "stake_bonus_minor": 0,
            "free_round_id": None,
            "bonus_id": None,
            "vertical": "slots",
            "jackpots": [{"jackpot_id": "jp-grand", "level": "grand"}],
            "balance_after_minor": 10_000 + number % 90_000,
            "feature": "base",
        },
    }


def _settled(number: int, stake: str, transaction: str) -> Event:
    del stake
    payout_minor = number % 7 * 10
    return {
        "type": "bet.round.settled",
        "data": _of_round(number, transaction)
        | {
            "payout": {"amount_minor": payout_minor, "currency": "EUR"},
            "payout_cash_minor": payout_minor,
            "payout_bonus_minor": 0,
            "win_type": "base" if payout_minor else "none",
            "round_closed": True,
            "balance_after_minor": 10_000 + number % 90_000,
        },
    }
