"""The process's figures as Prometheus reads them: each part's own numbers, under fixed names.

Once nothing is pending, by lane,

    accepted + edge_late_durable_total + edge_spool_records_at_start
        = edge_forwarded_total + edge_dead_total + edge_quarantined_total + edge_spool_records

and ``edge_events_received_total`` is the sum of ``edge_events_total``. No label ever names a
player, a session or an address.

Source: design.md §10, "Metrics".
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from edge.core.authenticate import TokenCache
from edge.core.instant import NS_PER_MS
from edge.core.lane import Lane
from edge.core.limit import Quotas
from edge.core.recall import Recall
from edge.shell.clock import Clock
from edge.shell.courier import CourierStatistics
from edge.shell.directive_figures import directive_families
from edge.shell.directives import DirectiveStatistics
from edge.shell.doorkeeper import Doorkeeper
from edge.shell.families import counter, gauge, histogram
from edge.shell.forward import Statistics
from edge.shell.governor import Governor
from edge.shell.keys.keyring import KeyStatistics
from edge.shell.meters import Meters
from edge.shell.pressure import Pressure
from edge.shell.resources import Resources
from edge.shell.spool.bulkhead import LaneStatistics
from edge.shell.stream.figures import Sockets, stream_families
from edge.shell.stream.hub import HubStatistics

_MS_PER_S: Final = 1000


class Forwarder(Protocol):
    """Carries one lane to the origin."""

    def statistics(self) -> Statistics:
        """Return what has been done so far."""
        ...


class Courier(Protocol):
    """Carries what may be lost."""

    def statistics(self) -> CourierStatistics:
        """Return what became of it."""
        ...


class Origin(Protocol):
    """Where the lanes go."""

    def health(self, topic: str | None = None) -> str | None:
        """Name the cause when publishing to *topic* does not work."""
        ...


class DeadLetters(Protocol):
    """One lane's dead letters."""

    def bytes_used(self) -> int:
        """Return what they take up on disk."""
        ...

    def redriven(self) -> int:
        """Return how many the origin took in the end."""
        ...


class Spool(Protocol):
    """Every lane's files."""

    def statistics(self) -> Mapping[Lane, LaneStatistics]:
        """Tell every figure, by lane."""
        ...


class Keyring(Protocol):
    """Every issuer's keys."""

    def statistics(self) -> Iterable[KeyStatistics]:
        """Tell how they are."""
        ...


class Directives(Protocol):
    """What the origin directs."""

    def statistics(self) -> DirectiveStatistics:
        """Tell how they are."""
        ...


class Pushes(Protocol):
    """Events for players."""

    def statistics(self) -> HubStatistics:
        """Tell what became of those read so far."""
        ...


@dataclass(frozen=True, slots=True, eq=False)  # registries tell collectors apart by identity
class Figures(Collector):
    """Reads every part's numbers when somebody asks. Loop thread.

    Attributes:
        clock: For ages.
        meters: What the doors count.
        spool: What waits on disk.
        forwarders: What went on to the origin, by lane.
        origin: Whether it takes what they bring.
        samples: Samples of refusals.
        copies: Copies of dead letters.
        dead_letters: How much room they take, by lane.
        recall: How much is remembered.
        quotas: How many keys are limited.
        tokens: How many are remembered.
        keyring: How old keys are.
        directives: What is revoked.
        resources: Memory, and room for connections.
        pressure: What telemetry is shed for.
        doorkeeper: Who is connected to the public port.
        governor: Whose requests wait there for their turn.
        sockets: The open ones.
        pushes: What became of those that were read.
    """

    clock: Clock
    meters: Meters
    spool: Spool
    forwarders: Mapping[Lane, Forwarder]
    origin: Origin
    samples: Courier
    copies: Courier
    dead_letters: Mapping[Lane, DeadLetters]
    recall: Recall
    quotas: Quotas
    tokens: TokenCache
    keyring: Keyring
    directives: Directives
    resources: Resources
    pressure: Pressure
    doorkeeper: Doorkeeper
    governor: Governor
    sockets: Sockets
    pushes: Pushes

    @override
    def collect(self) -> Iterator[Metric]:
        """Yield every metric there is, each lane in each, so that a zero is a zero."""
        yield from self._doors()
        yield from self._lanes()
        yield from self._forwarding()
        yield from self._tables()
        yield from self._keys()
        yield from directive_families(self.directives.statistics())
        yield from self._scarce()
        yield from stream_families(self.sockets, self.pushes.statistics())

    def _doors(self) -> Iterator[Metric]:
        meters = self.meters
        yield counter(
            "edge_events_received",
            "Events judged, by lane; none: not readable that far.",
            ("lane",),
            (((lane,), meters.received.get(lane, 0)) for lane in (*Lane, "none")),
        )
        yield counter(
            "edge_events",
            "Events by what became of them; they add up to those received.",
            ("outcome", "reason", "lane"),
            (((t.outcome, t.reason, t.lane), count) for t, count in meters.outcomes.items()),
        )
        yield counter(
            "edge_requests_refused",
            "Requests, and texts and tokens of sockets, refused whole, by code or http_<status>.",
            ("reason",),
            (((reason,), count) for reason, count in meters.requests_refused.items()),
        )
        yield histogram(
            "edge_verdict_seconds",
            "From a request's head to its answer, or from a frame to its last verdict.",
            meters.verdict_seconds,
        )
        yield histogram(
            "edge_loop_lag_seconds", "How late the event loop wakes.", meters.loop_lag_seconds
        )

    def _lanes(self) -> Iterator[Metric]:
        statistics = self.spool.statistics()
        for name, text, attribute in (
            (
                "edge_late_durable",
                "Events refused as overdue that became durable later.",
                "late_durable",
            ),
            (
                "edge_quarantined",
                "Damaged frames passed by the cursor; each is in dead/.",
                "quarantined",
            ),
            (
                "edge_failed_syncs",
                "Commits and segments that could not be written or synced.",
                "failed_syncs",
            ),
        ):
            rows = (((lane,), getattr(s, attribute)) for lane, s in statistics.items())
            yield counter(name, text, ("lane",), rows)
        yield gauge(
            "edge_spool_records_at_start",
            "Records that waited when the process started.",
            ("lane",),
            (((lane,), s.records_at_start) for lane, s in statistics.items()),
        )
        yield gauge(
            "edge_spool_records",
            "Records on disk that wait for the origin.",
            ("lane",),
            (((lane,), s.holdings.records_waiting) for lane, s in statistics.items()),
        )
        yield gauge("edge_spool_bytes", "Bytes on disk.", ("lane", "state"), self._bytes())
        yield gauge(
            "edge_spool_room_bytes",
            "Bytes that may still wait, as far as the settings go.",
            ("lane",),
            (((lane,), s.room_bytes) for lane, s in statistics.items()),
        )
        yield gauge(
            "edge_spool_oldest_seconds",
            "Age of the oldest record that waits; 0 when none does.",
            ("lane",),
            (
                ((lane,), self._age_s(s.holdings.oldest_waiting_ms))
                for lane, s in statistics.items()
            ),
        )
        sync = HistogramMetricFamily(
            "edge_sync_seconds", "Writing and syncing one group commit.", labels=("lane",)
        )
        for lane, s in statistics.items():
            sync.add_metric((lane,), s.sync_seconds.buckets(), s.sync_seconds.sum_s)
        yield sync

    def _bytes(self) -> Iterator[tuple[tuple[str, str], float]]:
        for lane, s in self.spool.statistics().items():
            yield (lane, "waiting"), s.holdings.bytes_waiting
            yield (lane, "retained"), s.holdings.bytes_retained
            yield (lane, "dead"), self.dead_letters[lane].bytes_used()

    def _forwarding(self) -> Iterator[Metric]:
        statistics = {lane: f.statistics() for lane, f in self.forwarders.items()}
        for name, text, attribute in (
            ("edge_forwarded", "Records the origin has acknowledged.", "forwarded"),
            ("edge_dead", "Records the origin refused for good; each is in dead/.", "dead"),
            ("edge_forward_failures", "Tries to forward that failed.", "failures"),
        ):
            rows = (((lane,), getattr(s, attribute)) for lane, s in statistics.items())
            yield counter(name, text, ("lane",), rows)
        yield gauge(
            "edge_origin_up",
            "Whether the lane's topic can be published to, as far as is known.",
            ("lane",),
            (((lane,), self.origin.health(lane.topic) is None) for lane in Lane),
        )
        yield counter(
            "edge_redriven",
            "Dead letters the origin took when they were sent again, ever.",
            ("lane",),
            (((lane,), letters.redriven()) for lane, letters in self.dead_letters.items()),
        )
        for name, text, courier in (
            ("edge_refused_samples", "Refusals told to the origin.", self.samples),
            ("edge_dead_copies", "Dead letters copied to the origin.", self.copies),
        ):
            counts = courier.statistics()
            told = ((("published",), counts.published), (("dropped",), counts.dropped))
            yield counter(name, text, ("outcome",), told)

    def _tables(self) -> Iterator[Metric]:
        memory, now = self.recall.statistics(), self.clock.now()
        yield gauge(
            "edge_dedupe_reach_seconds",
            "For how long back everything accepted is known again.",
            ("lane",),
            (((lane,), self.recall.reach_s(lane, now)) for lane in Lane),
        )
        yield gauge(
            "edge_dedupe_entries",
            "Ids and business keys remembered.",
            ("lane",),
            (((lane,), count) for lane, count in memory.entries.items()),
        )
        yield gauge("edge_sessions", "Session windows remembered.", (), [((), memory.sessions)])
        yield gauge("edge_tokens", "Verified tokens remembered.", (), [((), len(self.tokens))])
        quotas = self.quotas.statistics()
        yield gauge(
            "edge_quota_keys",
            "Keys that a quota remembers.",
            ("quota",),
            (((name,), keys) for name, (keys, _) in quotas.items()),
        )
        yield counter(
            "edge_quota_keys_forgotten",
            "Keys forgotten before their bucket had drained, because the table was full.",
            ("quota",),
            (((name,), forgotten) for name, (_, forgotten) in quotas.items()),
        )

    def _keys(self) -> Iterator[Metric]:
        issuers = list(self.keyring.statistics())
        yield gauge(
            "edge_keys",
            "Usable keys of an issuer.",
            ("issuer",),
            (((s.issuer,), 0 if s.is_stale else s.keys) for s in issuers),
        )
        yield gauge(
            "edge_keys_age_seconds",
            "Since an issuer's keys were last found good; absent if never.",
            ("issuer",),
            (((s.issuer,), s.age_s) for s in issuers if s.age_s is not None),
        )

    def _scarce(self) -> Iterator[Metric]:
        for name, text, value in (
            ("edge_memory_bytes", "Resident memory.", self.resources.memory_bytes),
            (
                "edge_memory_max_bytes",
                "From there on no new connections.",
                self.resources.memory_max,
            ),
            (
                "edge_connections",
                "Open connections of the public port.",
                self.doorkeeper.connections,
            ),
            (
                "edge_connections_max",
                "As many as there are descriptors for.",
                self.resources.connections_max,
            ),
            ("edge_parked_requests", "Read, and waiting for a turn.", self.governor.waiting),
            (
                "edge_parked_bytes",
                "Held of these, of what was sent ahead, and at sockets that are not heard.",
                self.governor.held_bytes,
            ),
            (
                "edge_overloaded",
                "More is asked than can be done: what waits too long is refused.",
                self.governor.is_overloaded,
            ),
        ):
            yield gauge(name, text, (), [((), value)])
        yield gauge(
            "edge_pressure",
            "Whether telemetry is shed, by what is scarce.",
            ("cause",),
            (((cause,), is_scarce) for cause, is_scarce in self.pressure.causes().items()),
        )

    def _age_s(self, accepted_ms: int | None) -> float:
        if accepted_ms is None:
            return 0
        return max(0, self.clock.now().unix_ns // NS_PER_MS - accepted_ms) / _MS_PER_S
