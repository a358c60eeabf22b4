"""What stands in for the way to ``edge.refused.v1`` and ``edge.dead.v1``."""

from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from edge.shell.clock import Clock
from edge.shell.letterhead import Letterhead
from edge.shell.refusals import Refusals
from origin_client.origin import Outgoing
from tests.fakes import FakeClock

LETTERHEAD: Final = Letterhead("n-1", "r-1")


@dataclass
class RecordingCourier:
    """Keeps what it is offered."""

    records: list[Outgoing] = field(default_factory=list[Outgoing])

    def offer(self, record: Outgoing) -> None:
        """Keep it."""
        self.records.append(record)

    def told(self) -> list[dict[str, Any]]:
        """The CloudEvents, in order."""
        return [msgspec.json.decode(record.value) for record in self.records]


def refusals(courier: RecordingCourier | None = None, clock: Clock | None = None) -> Refusals:
    """Tells *courier* of what a door refuses."""
    return Refusals(LETTERHEAD, courier or RecordingCourier(), clock or FakeClock())
