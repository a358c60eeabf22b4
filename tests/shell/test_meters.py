"""What is counted once is counted in the right place, and nothing is lost between two reads."""

from collections import Counter

from edge.core.lane import Lane
from edge.core.verdict import Outcome, Tally, Verdict
from edge.shell.meters import Histogram, Meters


def test_a_histogram_is_cumulative_and_its_bounds_inclusive() -> None:
    histogram = Histogram((0.001, 0.01))

    for duration_ns in (1_000_000, 1_000_001, 10_000_001):
        histogram.observe(duration_ns)

    assert histogram.buckets() == [("0.001", 1), ("0.01", 2), ("+Inf", 3)]
    assert histogram.sum_s == 0.012000002


def test_an_event_without_a_lane_is_received_under_none() -> None:
    meters = Meters()

    meters.receive(
        [
            Verdict(Outcome.REFUSED, None, None),
            Verdict(Outcome.ACCEPTED, Lane.BET, "i"),
        ]
    )

    assert meters.received == Counter({"none": 1, "bet": 1})


def test_outcomes_of_many_batches_add_up() -> None:
    meters = Meters()
    tally = Tally(Outcome.ACCEPTED, "none", "bet")

    meters.conclude({tally: 2})
    meters.conclude({tally: 3})

    assert meters.outcomes == Counter({tally: 5})
