"""What is exposed is what the parts counted, lane by lane, and nothing about a player."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from prometheus_client.core import Metric

from edge.core.authenticate import TokenCache
from edge.core.instant import NS_PER_MS
from edge.core.lane import Lane
from edge.core.limit import Quota, Quotas
from edge.core.recall import Recall
from edge.core.verdict import Outcome, Tally
from edge.shell.courier import CourierStatistics
from edge.shell.directives import DirectiveStatistics
from edge.shell.doorkeeper import Doorkeeper
from edge.shell.forward import Statistics
from edge.shell.governor import Governor
from edge.shell.keys.keyring import KeyStatistics
from edge.shell.meters import Meters
from edge.shell.metrics import Figures
from edge.shell.pressure import Pressure
from edge.shell.resources import Resources
from edge.shell.spool.bulkhead import LaneStatistics
from edge.shell.spool.shelf import Holdings
from edge.shell.stream.hub import HubStatistics
from tests.fakes import NOW, FakeClock
from tests.shell.test_readiness import (
    GOOD,
    NONE,
    STALE,
    FakeKeyring,
    FakeOrigin,
    lane_statistics,
)

NOW_MS = NOW.unix_ns // NS_PER_MS


class FakeSpool:
    """Every lane empty but ``bet``."""

    def statistics(self) -> Mapping[Lane, LaneStatistics]:
        """One busy lane among quiet ones."""
        busy = replace(
            lane_statistics(),
            holdings=Holdings(5, 500, 70, NOW_MS - 2500, NOW_MS - 9000),
            records_at_start=3,
            late_durable=1,
            quarantined=2,
            failed_syncs=4,
        )
        busy.sync_seconds.observe(1_500_000)
        return {lane: busy if lane is Lane.BET else lane_statistics() for lane in Lane}


class FakeForwarder:
    """Has forwarded a little."""

    def statistics(self) -> Statistics:
        """Seven, one dead, two failures."""
        return Statistics(forwarded=7, dead=1, failures=2)


class FakeDeadLetters:
    """Holds a little."""

    def bytes_used(self) -> int:
        """Nine bytes."""
        return 9

    def redriven(self) -> int:
        """Eleven letters."""
        return 11


class FakeSockets(Counter[str]):
    """None is open."""

    frames: Mapping[str, int] = {"in": 3}  # a Mapping: nobody writes it
    closed: Mapping[str, int] = {}  # as above


class FakePushes:
    """Read a few."""

    def statistics(self) -> HubStatistics:
        """Fourteen were sent."""
        return HubStatistics({"routed": 1}, sent=14, conflated=0, dropped=0)


class FakeDirectives:
    """Has a few in force."""

    def statistics(self) -> DirectiveStatistics:
        """Fifteen revocations."""
        return DirectiveStatistics(
            in_force=15,
            refused=2,
            refused_total=3,
            dropped_total=1,
            age_s=0.25,
            complaint=None,
        )


class FakeCourier:
    """Has carried a little."""

    def statistics(self) -> CourierStatistics:
        """Twelve arrived, thirteen did not."""
        return CourierStatistics(published=12, dropped=13)


def meters() -> Meters:
    """Three events received, one answered, one request refused."""
    counted = Meters()
    counted.received.update({"bet": 2, "none": 1})
    counted.conclude({Tally(Outcome.ACCEPTED, "none", "bet"): 1})
    counted.requests_refused["token_missing"] = 1
    counted.verdict_seconds.observe(1_500_000)
    return counted


def collected(*keys: KeyStatistics) -> Iterator[Metric]:
    quotas = Quotas([Quota(name="address", quota=1, window_s=1, burst=1)])
    quotas.charge_address("192.0.2.1", NOW)
    doorkeeper = Doorkeeper(lambda _: False, Counter())
    doorkeeper.let_in()
    governor = Governor(FakeClock(), Meters())
    governor.hold(17)
    return Figures(
        clock=FakeClock(),
        meters=meters(),
        spool=FakeSpool(),
        forwarders={lane: FakeForwarder() for lane in Lane},
        origin=FakeOrigin({"edge.bet.v1": "edge.bet.v1 does not exist"}),
        samples=FakeCourier(),
        copies=FakeCourier(),
        dead_letters={lane: FakeDeadLetters() for lane in Lane},
        recall=Recall(dedupe_window_s=60, dedupe_entries_max=8, sessions_max=8),
        quotas=quotas,
        tokens=TokenCache(),
        keyring=FakeKeyring(list(keys)),
        directives=FakeDirectives(),
        resources=Resources(1 << 40),
        pressure=Pressure({"spool": lambda: True, "memory": lambda: False}),
        doorkeeper=doorkeeper,
        governor=governor,
        sockets=FakeSockets(),
        pushes=FakePushes(),
    ).collect()


def samples() -> dict[str, float]:
    """Every sample as one would write a query."""
    return {
        f"{s.name}{{{','.join(f'{k}={v}' for k, v in s.labels.items())}}}": s.value
        for metric in collected(GOOD, STALE, NONE)
        for s in metric.samples
    }


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("edge_events_received_total{lane=bet}", 2),
        ("edge_events_received_total{lane=none}", 1),
        ("edge_events_received_total{lane=wallet}", 0),
        ("edge_events_total{outcome=accepted,reason=none,lane=bet}", 1),
        ("edge_requests_refused_total{reason=token_missing}", 1),
        ("edge_verdict_seconds_bucket{le=0.001}", 0),
        ("edge_verdict_seconds_bucket{le=0.002}", 1),
        ("edge_verdict_seconds_sum{}", 0.0015),
        ("edge_loop_lag_seconds_count{}", 0),
        ("edge_sync_seconds_count{lane=bet}", 1),
        ("edge_late_durable_total{lane=bet}", 1),
        ("edge_quarantined_total{lane=bet}", 2),
        ("edge_failed_syncs_total{lane=bet}", 4),
        ("edge_spool_records_at_start{lane=bet}", 3),
        ("edge_spool_records{lane=bet}", 5),
        ("edge_spool_bytes{lane=bet,state=waiting}", 500),
        ("edge_spool_bytes{lane=bet,state=retained}", 70),
        ("edge_spool_bytes{lane=game,state=dead}", 9),
        ("edge_spool_room_bytes{lane=bet}", 1 << 30),
        ("edge_spool_oldest_seconds{lane=bet}", 2.5),
        ("edge_spool_oldest_seconds{lane=game}", 0),
        ("edge_forwarded_total{lane=bet}", 7),
        ("edge_dead_total{lane=bet}", 1),
        ("edge_forward_failures_total{lane=bet}", 2),
        ("edge_redriven_total{lane=wallet}", 11),
        ("edge_refused_samples_total{outcome=published}", 12),
        ("edge_dead_copies_total{outcome=dropped}", 13),
        ("edge_origin_up{lane=bet}", 0),
        ("edge_origin_up{lane=wallet}", 1),
        ("edge_dedupe_reach_seconds{lane=bet}", 60),
        ("edge_dedupe_entries{lane=bet}", 0),
        ("edge_sessions{}", 0),
        ("edge_tokens{}", 0),
        ("edge_quota_keys{quota=address}", 1),
        ("edge_quota_keys_forgotten_total{quota=address}", 0),
        ("edge_keys{issuer=good}", 1),
        ("edge_keys{issuer=old}", 0),
        ("edge_keys_age_seconds{issuer=good}", 1),
        ("edge_directives{state=in_force}", 15),
        ("edge_directives{state=refused}", 2),
        ("edge_directives_refused_total{}", 3),
        ("edge_directives_dropped_total{}", 1),
        ("edge_directives_age_seconds{}", 0.25),
        ("edge_memory_max_bytes{}", 1 << 40),
        ("edge_connections{}", 1),
        ("edge_parked_requests{}", 0),
        ("edge_parked_bytes{}", 17),
        ("edge_overloaded{}", 0),
        ("edge_pressure{cause=spool}", 1),
        ("edge_pressure{cause=memory}", 0),
    ],
)
def test_a_figure_is_where_it_belongs(name: str, value: float) -> None:
    assert samples()[name] == value


def test_an_issuer_that_never_had_keys_has_no_age() -> None:
    assert "edge_keys_age_seconds{issuer=none}" not in samples()


def test_memory_and_room_for_connections_are_told() -> None:
    told = samples()

    assert told["edge_memory_bytes{}"] > 1 << 20
    assert told["edge_connections_max{}"] > 0


def test_no_label_could_ever_name_a_player() -> None:
    labels = {label for metric in collected(GOOD) for s in metric.samples for label in s.labels}

    assert labels == {
        "lane", "outcome", "reason", "state", "quota", "issuer", "cause", "le", "direction",
    }  # fmt: skip
