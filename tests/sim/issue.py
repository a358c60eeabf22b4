"""One envelope made of a claim, and what is known of it."""

import enum
from dataclasses import dataclass, field

from edge.core.lane import Lane
from tests.sim.claims import Claim

Number = tuple[bytes, int]
"""``edgespool`` and ``edgeseq``."""

Place = tuple[int, int]
"""Segment and offset."""


class State(enum.Enum):
    """What is known of an issue."""

    PENDING = "pending"
    HELD = "held"
    FAILED = "failed"
    MAYBE = "maybe"
    """The process that took it died before it said how it went, and it is still on disk."""
    GONE = "gone"
    """It must not be seen again."""


@dataclass(eq=False, slots=True)
class Issue:
    """One envelope.

    Attributes:
        claim: What it is of.
        envelope: Its bytes, without number.
        accepted_ms: When, by the edge's clock.
        rank: Its place in the order of acceptance.
        state: What is known of it.
        numbers: Under which it is at the origin, or buried.
        damaged: Where the simulation has damaged it on disk.
    """

    claim: Claim
    envelope: bytes
    accepted_ms: int
    rank: int
    state: State = State.PENDING
    numbers: set[Number] = field(default_factory=set[Number])
    damaged: set[Place] = field(default_factory=set[Place])

    @property
    def lane(self) -> Lane:
        """Its lane."""
        return self.claim.lane

    @property
    def is_damaged(self) -> bool:
        """Whether it is, anywhere."""
        return bool(self.damaged)
