"""Counters that add up are believed; one that is off by one is named with its lane."""

import pytest

from edge.demo.metrics import Counters

SOUND = """\
# TYPE edge_events_received_total counter
edge_events_received_total{lane="bet"} 10.0
edge_events_received_total{lane="none"} 1.0
# TYPE edge_events_total counter
edge_events_total{lane="bet",outcome="accepted",reason="none"} 6.0
edge_events_total{lane="bet",outcome="duplicate",reason="none"} 1.0
edge_events_total{lane="bet",outcome="refused",reason="pii_leak"} 3.0
edge_events_total{lane="none",outcome="refused",reason="body_malformed"} 1.0
# TYPE edge_late_durable_total counter
edge_late_durable_total{lane="bet"} 1.0
# TYPE edge_spool_records_at_start gauge
edge_spool_records_at_start{lane="bet"} 4.0
# TYPE edge_forwarded_total counter
edge_forwarded_total{lane="bet"} 8.0
# TYPE edge_dead_total counter
edge_dead_total{lane="bet"} 1.0
# TYPE edge_quarantined_total counter
edge_quarantined_total{lane="bet"} 0.0
# TYPE edge_spool_records gauge
edge_spool_records{lane="bet"} 2.0
edge_spool_records{lane="wallet"} 0.0
"""


def test_counters_that_add_up() -> None:
    counters = Counters(SOUND)

    assert counters.imbalances() == []
    assert counters.waiting() == 2
    assert counters.of("edge_forwarded_total", "bet") == 8
    assert counters.of("edge_forwarded_total", "wallet") == 0


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('edge_events_received_total{lane="bet"} 10', "bet: received 11, told 10"),
        ('reason="pii_leak"} 3', "bet: received 10, told 11"),
        ('reason="body_malformed"} 1', "none: received 1, told 2"),
        ('edge_late_durable_total{lane="bet"} 1', "bet: came in 12, went out 11"),
        ('edge_spool_records_at_start{lane="bet"} 4', "bet: came in 12, went out 11"),
        ('edge_forwarded_total{lane="bet"} 8', "bet: came in 11, went out 12"),
        ('edge_dead_total{lane="bet"} 1', "bet: came in 11, went out 12"),
        ('edge_quarantined_total{lane="bet"} 0', "bet: came in 11, went out 12"),
        ('edge_spool_records{lane="wallet"} 0', "wallet: came in 0, went out 1"),
    ],
)
def test_one_too_many_of_anything_is_named(line: str, complaint: str) -> None:
    name, _, count = line.rpartition(" ")

    assert Counters(SOUND.replace(line, f"{name} {int(count) + 1}")).imbalances() == [complaint]
