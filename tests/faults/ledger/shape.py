"""The vocabulary between a campaign and its ledger: what is sent, what came of it."""

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from tests.faults.ledger.words import SUBJECTS

Address: TypeAlias = tuple[str, int]

FACT_LANES: Final = ("bet", "wallet", "game", "bonus", "player")
CLIENT_LANES: Final = (*FACT_LANES, "telemetry")

_ROOMY: Final = {"quota": 100_000_000, "window_s": 1, "burst": 100_000_000}
SETTINGS: Final[dict[str, dict[str, object]]] = {
    **{
        f"limits.{name}": dict(_ROOMY)
        for name in ("player", "service", "brand", "address", "node")
    },
    # An intent that waits out a fault is not to be refused for its age.
    "clock": {"intent_max_age_s": 300},
}
"""Sections for :func:`tests.system.world.world` under which no event of the ledger's is refused:
limits that are charged and never used up."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How the ledger talks: so many connections, each with one request under way.

    Attributes:
        services: Connections of services, each with facts about players of its own.
        players: Connections of players' clients, each with one session, one event a request.
        batch: Events of a service's request, 1..200.
        per_s: Events a second of all together, on a fixed timetable; ``None``: flat out.
        fact_lanes: Whose facts the services state.
        client_lanes: Of what the players say.
        repeats: Whether a voice whose connection broke first sends again what was answered
            last, all of which must be duplicates.
        subjects: Players of each service. Few: events of one key are under way together, so
            that one may overtake another.
    """

    services: int = 12
    players: int = 4
    batch: int = 50
    per_s: float | None = None
    fact_lanes: tuple[str, ...] = FACT_LANES
    client_lanes: tuple[str, ...] = CLIENT_LANES
    repeats: bool = True
    subjects: int = SUBJECTS


@dataclass(frozen=True, slots=True)
class Account:
    """The books at one moment.

    Attributes:
        mark: Names this moment: :meth:`Ledger.audit` can be asked what was owed by then.
        claimed: Events that were ever sent, or are about to be.
        accepted: Those with an accepting verdict: what is owed.
        unanswered: Those claimed without a verdict so far.
        refused: Refusals by code, in events; one that is sent again may count often. A request
            that was refused whole counts with all its events.
        repeated: Events sent again although accepted, and rightly told ``duplicate``.
        broken: Requests whose answer never came, though the ledger did not hang up.
        complaints: Answers against the contract, in words; the first hundred.
        verdicts: Accepted since the last mark.
        seconds: Since the last mark, that much of it in which it was to talk.
        p50_ms: Of requests with an accepting verdict since the last mark; ``None``: none came.
        p99_ms: The same.
    """

    mark: int
    claimed: int
    accepted: int
    unanswered: int
    refused: dict[str, int]
    repeated: int
    broken: int
    complaints: tuple[str, ...]
    verdicts: int
    seconds: float
    p50_ms: float | None
    p99_ms: float | None


@dataclass(slots=True)
class Findings:
    """What an audit has to say.

    Attributes:
        owed: Obligations that were looked for.
        lost: Of them, those that are not there.
        delivered: Distinct events there.
        repeated: Records there once more, byte for byte, under the same numbers.
        dead: Dead letters of the ledger's events; each is a fault unless that was allowed.
        again: Events there under a second number; each a fault unless that was allowed.
        missing_numbers: Gaps in the numbers of all ``edgespool`` together.
        strays: Distinct records of others than this ledger.
        faults: Everything that must not be, in words, the first hundred; and how many more.
    """

    owed: int = 0
    lost: int = 0
    delivered: int = 0
    repeated: int = 0
    dead: int = 0
    again: int = 0
    missing_numbers: int = 0
    strays: int = 0
    faults: list[str] = field(default_factory=list[str])
