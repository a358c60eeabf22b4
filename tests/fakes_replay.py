"""A gateway for the replay: it judges like the real one, and fails as it is told."""

import enum
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple, cast

from typing_extensions import override

from loadtests.bets import Bet, Fact, Terms, facts_of
from loadtests.connection import NoAnswerError
from loadtests.ruling import Answer

TERMS = Terms(currency="EUR", brand="demo", jurisdiction="MT")


def bet(number: int, player: str = "player-1") -> Bet:
    """Some bet; another number is another bet."""
    return Bet(number + 2, f"{number}", f"r-{number}", player, "2026-11-22T20:00:00Z", 100, 0)


def facts(*players: str) -> list[Fact]:
    """One bet of each player: two facts, in this order."""
    return [
        fact
        for number, player in enumerate(players)
        for fact in facts_of(bet(number, player), TERMS)
    ]


class Mood(enum.Enum):
    """How a gateway treats one request."""

    FINE = "every event gets its verdict"
    AWAY = "no answer, and nothing is taken"
    MUTE = "everything is taken, and there is no answer"
    BUSY = "503 for the whole request"
    CUTTING = "the first events are taken, the rest is refused for now"
    STRICT = "the first event is refused for good, the rest is taken"
    SEALED = "the token is refused"


class Turn(NamedTuple):
    """One request's treatment.

    Attributes:
        mood: How.
        cut: How many a cutting gateway takes.
    """

    mood: Mood
    cut: int = 0


@dataclass
class MoodyGateway:
    """Knows an event again by its id; when its turns are over, it is fine.

    Attributes:
        turns: One for each request.
        taken: Events in the order in which they became durable.
        refused: Ids that were refused for good.
        requests: Path keys and tokens, in order.
    """

    turns: Iterator[Turn]
    taken: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    refused: set[object] = field(default_factory=set[object])
    requests: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def post(self, k: str, token: str, body: bytes) -> Answer:
        """Judge one batch.

        Raises:
            NoAnswerError: In a mood for that.
        """
        self.requests.append((k, token))
        events = cast("list[dict[str, object]]", json.loads(body))
        turn = next(self.turns, Turn(Mood.FINE))
        match turn.mood:
            case Mood.AWAY:
                raise NoAnswerError("away")
            case Mood.MUTE:
                self._judge(events)
                raise NoAnswerError("mute")
            case Mood.BUSY:
                return Answer(503, "1", b'{"code":"draining"}')
            case Mood.SEALED:
                return Answer(401, "", b'{"code":"token_expired"}')
            case Mood.STRICT:
                refused = [_refusal(0, "schema_violation", retryable=False)]
                self.refused.add(events[0]["id"])
                return _answer(202, self._judge(events[1:]), refused)
            case Mood.CUTTING:
                late = range(min(turn.cut, len(events)), len(events))
                refused = [_refusal(index, "rate_exceeded", retryable=True) for index in late]
                return _answer(202, self._judge(events[: turn.cut]), refused, 2500)
            case Mood.FINE:
                return _answer(202, self._judge(events), [])

    def _judge(self, events: Iterable[dict[str, object]]) -> Counter[str]:
        outcomes = Counter[str]()
        for event in events:
            is_known = any(known["id"] == event["id"] for known in self.taken)
            outcomes["duplicate" if is_known else "accepted"] += 1
            if not is_known:
                self.taken.append(event)
        return outcomes


@dataclass
class Purse:
    """Tokens that follow each other, the last for ever."""

    tokens: list[str] = field(default_factory=lambda: ["first"])

    @property
    def token(self) -> str:
        """As last read."""
        return self.tokens[0]

    def renew(self, refused: str) -> bool:
        """Go on to the last."""
        del self.tokens[:-1]
        return self.token != refused


@dataclass
class Nap:
    """Time that passes only while one waits."""

    now_s: float = 0.0
    pauses: list[float] = field(default_factory=list[float])

    def steady_s(self) -> float:
        """Tell the time."""
        return self.now_s

    def pause(self, seconds: float) -> None:
        """Let time pass."""
        self.pauses.append(seconds)
        self.now_s += seconds


class Longest(Random):
    """Always draws the longest."""

    @override
    def uniform(self, a: float, b: float) -> float:
        """The higher bound."""
        return max(a, b)


def _answer(
    status: int,
    outcomes: Counter[str],
    refused: list[dict[str, object]],
    retry_after_ms: int | None = None,
) -> Answer:
    verdicts = {
        "accepted": outcomes["accepted"],
        "duplicate": outcomes["duplicate"],
        "refused": refused,
        "retry_after_ms": retry_after_ms,
    }
    return Answer(status, "3" if retry_after_ms else "", json.dumps(verdicts).encode())


def _refusal(index: int, code: str, *, retryable: bool) -> dict[str, object]:
    return {"index": index, "id": None, "code": code, "pointer": "/x", "retryable": retryable}
