"""The two closed sets every event belongs to: a lane, and a class of authority; how lanes are."""

import enum


class Lane(enum.StrEnum):
    """A class of events with its own spool, forwarder, quota and topic.

    A lane is a bulkhead: when one is full, failing or stuck, the others do not notice.
    """

    PLAYER = "player"
    WALLET = "wallet"
    BET = "bet"
    GAME = "game"
    BONUS = "bonus"
    TELEMETRY = "telemetry"

    @property
    def topic(self) -> str:
        """The origin's topic for this lane's events."""
        return f"edge.{self.value}.v1"

    @property
    def holds_money(self) -> bool:
        """Whether the last ``spool.reserve_bytes`` are open to this lane."""
        return self in (Lane.WALLET, Lane.BET)


class LaneState(enum.StrEnum):
    """Whether a lane would take an event now, as sockets are told when they open."""

    OPEN = "open"
    FULL = "full"
    FAILED = "failed"


class Authority(enum.StrEnum):
    """Who may say such a thing: a client asks or reports, a service states."""

    INTENT = "intent"
    OBSERVATION = "observation"
    FACT = "fact"
