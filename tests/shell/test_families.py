"""Rows become families, under their labels."""

from edge.shell.families import counter, gauge, histogram
from edge.shell.meters import Histogram


def test_a_row_is_a_sample_under_its_labels() -> None:
    (one, two) = gauge("g", "text", ("a",), [(("x",), 1), (("y",), 2)]).samples
    (total,) = counter("c", "text", (), [((), 3)]).samples

    assert [(s.name, s.labels, s.value) for s in (one, two, total)] == [
        ("g", {"a": "x"}, 1),
        ("g", {"a": "y"}, 2),
        ("c_total", {}, 3),
    ]


def test_durations_are_counted_by_bound_and_added_up() -> None:
    durations = Histogram((0.5, 1.0))
    durations.observe(700_000_000)

    told = [
        (s.name, s.labels.get("le"), s.value) for s in histogram("h", "t", durations).samples
    ]

    assert told == [
        ("h_bucket", "0.5", 0),
        ("h_bucket", "1.0", 1),
        ("h_bucket", "+Inf", 1),
        ("h_count", None, 1),
        ("h_sum", None, 0.7),
    ]
