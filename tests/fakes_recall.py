"""Recall as the house uses it, for the tests that tell it stories."""

from typing import Final, TypeAlias

from edge.core.event import Event
from edge.core.footprint import Footprints
from edge.core.instant import NS_PER_MS, Instant
from edge.core.lane import Lane
from edge.core.principal import Principal
from edge.core.recall import Duplicate, Recall
from edge.core.record import Commit, Footprint
from edge.core.reject import Reason, Reject
from edge.core.session_window import Standing
from tests.fakes_stages import (
    FACT,
    NOW_MS,
    PLAYER,
    SECRET,
    SERVICE,
    SESSION_FACT,
    FakeCommit,
    at,
)

WINDOW_S: Final = 1000
NOW: Final = at(NOW_MS)
CONFLICT: Final = Reason.IDEMPOTENCY_CONFLICT

Answer: TypeAlias = Standing | tuple[str, Commit | None] | tuple[Reason, str | None]


class House:
    """Recall as the house uses it: an event comes, and is remembered if it is a first copy.

    Attributes:
        recall: What is tested.
        commits: By lane, the commit that takes the next record.
    """

    def __init__(self, *, entries_max: int = 1000, sessions_max: int = 1000) -> None:
        self.bounds = (entries_max, sessions_max)
        self.footprints = Footprints(SECRET)
        self.restart()

    def restart(self) -> None:
        """Forget everything, as a killed process does."""
        entries_max, sessions_max = self.bounds
        self.recall = Recall(
            dedupe_window_s=WINDOW_S,
            dedupe_entries_max=entries_max,
            sessions_max=sessions_max,
        )
        self.commits: dict[Lane, FakeCommit] = {}

    def footprint(self, event: Event) -> Footprint:
        """The event's, from whoever may send it."""
        return self.footprints.of(event, sender(event))

    def ask(
        self, event: Event, now: Instant = NOW, principal: Principal | None = None
    ) -> Answer:
        """What recall says, remembering nothing of a first copy."""
        footprint = self.footprints.of(event, principal or sender(event))
        try:
            answer = self.recall.recall(event, footprint, now)
        except Reject as reject:
            return reject.reason, reject.pointer
        return ("duplicate", answer.commit) if isinstance(answer, Duplicate) else answer

    def send(self, event: Event, now: Instant = NOW) -> Answer:
        """What recall says; a first copy joins the lane's commit."""
        answer = self.ask(event, now)
        if isinstance(answer, Standing):
            lane = event.spec.lane
            commit = self.commits.setdefault(lane, FakeCommit(lane))
            now_ms = now.unix_ns // NS_PER_MS
            self.recall.remember(lane, self.footprint(event), now_ms, commit)
        return answer

    def settle(self, lane: Lane, *, held: bool = True) -> FakeCommit:
        """The lane's sync ends."""
        commit = self.commits.pop(lane)
        self.recall.settle(commit, held=held)
        return commit

    def accept(self, event: Event, now: Instant = NOW) -> None:
        """Send a first copy and make it durable."""
        assert isinstance(self.send(event, now), Standing)
        self.settle(event.spec.lane)


def sender(event: Event) -> Principal:
    """Who may say *event*."""
    return SERVICE if event.spec in (FACT, SESSION_FACT) else PLAYER
