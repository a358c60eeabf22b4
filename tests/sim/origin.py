"""A broker that fails in every way that ``origin_client.origin`` allows."""

import enum
from collections.abc import Callable, Sequence

from edge.core.lane import Lane
from origin_client.origin import OriginUnavailable, Outgoing, Refusal
from tests.sim.chance import Chance
from tests.sim.claims import names
from tests.sim.disk import Violation
from tests.sim.ledger import Ledger

_LANES = {lane.topic: lane for lane in Lane}


class Mood(enum.Enum):
    """What becomes of a publish."""

    WELL = enum.auto()
    DOWN = enum.auto()
    """Nothing is written."""
    FICKLE = enum.auto()
    """Sometimes only a part is written, and nobody knows."""


class SimOrigin:
    """Keeps nothing itself: the ledger looks at every record that is written.

    Args:
        ledger: Judges what comes.
        chance: What fails, and how much of it.
        meanwhile: Called in each publish: others go on.

    Attributes:
        mood: What becomes of the next publishes.
        poison: Claims it will never take, by name.
    """

    def __init__(self, ledger: Ledger, chance: Chance, meanwhile: Callable[[], None]) -> None:
        self.mood = Mood.WELL
        self.poison: set[tuple[bytes, bytes]] = set()
        self._ledger = ledger
        self._chance = chance
        self._meanwhile = meanwhile

    def publish(self, topic: str, records: Sequence[Outgoing]) -> list[Refusal]:
        """Write, refuse or fail.

        Raises:
            OriginUnavailable: What was written, nobody knows.
        """
        if not records:
            raise Violation("a publish of nothing")
        lane = _LANES[topic]
        self._meanwhile()
        if self.mood is Mood.DOWN:
            raise OriginUnavailable("down")
        if self.mood is Mood.FICKLE and self._chance.below(2):
            self._write_some(lane, records)
            raise OriginUnavailable("fickle")
        refused = [n for n, each in enumerate(records) if self._is_poison(each)]
        is_final = bool(refused) and not self._chance.below(3)
        if refused and not is_final and self._chance.below(2):
            # As a broker that stops at the first failure, and cannot tell whose it was.
            refused = list(range(refused[0], len(records)))
        taken = [each for n, each in enumerate(records) if n not in refused]
        for record in taken:
            self._ledger.published(lane, record)
        self._meanwhile()
        for record in taken:
            self._ledger.acknowledged(lane, record)
        return [Refusal(n, "poison", is_final=is_final) for n in refused]

    def health(self, topic: str | None = None) -> str | None:  # noqa: ARG002  # the protocol's
        """Never ill by itself."""
        return None

    def close(self) -> None:
        """Nothing is open."""

    def _write_some(self, lane: Lane, records: Sequence[Outgoing]) -> None:
        """Write a prefix of each key's records, or all, or nothing."""
        lengths: dict[bytes, int] = {}
        for record in records:
            if record.key not in lengths:
                lengths[record.key] = self._chance.below(len(records) + 1)
            if lengths[record.key] > 0 and not self._is_poison(record):
                lengths[record.key] -= 1
                self._ledger.published(lane, record)
            else:
                lengths[record.key] = 0

    def _is_poison(self, record: Outgoing) -> bool:
        return bool(self.poison) and names(record.value)[0] in self.poison
