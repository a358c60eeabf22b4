"""A house with real stages and a spool in memory: the gateway without its shell."""

from dataclasses import dataclass, field
from typing import Final

from typing_extensions import override

from edge.core.admit import House
from edge.core.authenticate import Gate, IssuerKeys, TokenCache
from edge.core.footprint import Footprints
from edge.core.keyset import read_key_set
from edge.core.lane import Lane
from edge.core.limit import ClockRules, Quota, Quotas
from edge.core.recall import Recall
from edge.core.record import Record
from edge.core.reject import Reject
from edge.core.seal import Sealer
from edge.core.shed import Shedder
from tests.fakes import AUDIENCE, ISSUER, JWKS, NOW

SECRET: Final = bytes(range(32))


@dataclass(frozen=True, eq=False, slots=True)
class FakeCommit:
    """A sync that never comes unless a test settles it; known by identity."""

    lane: Lane


@dataclass
class FakeKeys:
    """One issuer whose keys are always there."""

    held: IssuerKeys | None = field(
        default_factory=lambda: IssuerKeys(
            keys=read_key_set(JWKS, None).keys,
            generation=1,
            stale_steady_ns=NOW.steady_ns + 86_400 * 10**9,
        )
    )

    def keys_of(self, issuer: str) -> IssuerKeys | None:
        """Only ``ISSUER`` has any."""
        return self.held if issuer == ISSUER else None


@dataclass
class FakePressure:
    """As high as it is told."""

    is_high: bool = False


@dataclass
class FakeSpool:
    """Takes records into lists, one commit per lane until :meth:`next_commit`.

    Attributes:
        records: What was taken, by lane.
        refuses: Raised instead, by lane.
    """

    records: dict[Lane, list[Record]] = field(
        default_factory=lambda: {lane: list[Record]() for lane in Lane}
    )
    refuses: dict[Lane, Reject] = field(default_factory=dict[Lane, Reject])
    commits: dict[Lane, FakeCommit] = field(
        default_factory=lambda: {lane: FakeCommit(lane) for lane in Lane}
    )

    def append(self, lane: Lane, record: Record) -> FakeCommit:
        """Take one record, or refuse as told."""
        if lane in self.refuses:
            raise self.refuses[lane]
        self.records[lane].append(record)
        return self.commits[lane]

    def next_commit(self, lane: Lane) -> FakeCommit:
        """Begin another commit; return the one that was filling."""
        filled, self.commits[lane] = self.commits[lane], FakeCommit(lane)
        return filled


class BuggySpool(FakeSpool):
    """Takes one record, then meets a bug."""

    @override
    def append(self, lane: Lane, record: Record) -> FakeCommit:
        if self.records[lane]:
            raise ZeroDivisionError
        return super().append(lane, record)


def house(
    spool: FakeSpool,
    *quotas: Quota,
    keys: FakeKeys | None = None,
    pressure: FakePressure | None = None,
) -> House:
    """Wire every stage as the gateway does, around *spool*."""
    gate = Gate(
        audiences={ISSUER: AUDIENCE},
        keys=keys or FakeKeys(),
        cache=TokenCache(),
        lifetime_max_s=86_400,
    )
    return House(
        gate=gate,
        quotas=Quotas(quotas),
        clock_rules=ClockRules(intent_max_age_s=30, observation_max_age_s=300, future_max_s=2),
        recall=Recall(dedupe_window_s=86_400, dedupe_entries_max=1_000, sessions_max=100),
        footprints=Footprints(SECRET),
        shedder=Shedder(pressure or FakePressure()),
        sealer=Sealer("node-1", "region-1"),
        spool=spool,
    )
