"""How directives are, as Prometheus reads it."""

from collections.abc import Iterator

from prometheus_client.core import Metric

from edge.shell.directives import DirectiveStatistics
from edge.shell.families import counter, gauge


def directive_families(found: DirectiveStatistics) -> Iterator[Metric]:
    """Write one look at the directives."""
    yield gauge(
        "edge_directives",
        "Revocations in force; lines of the source that are not believed.",
        ("state",),
        ((("in_force",), found.in_force), (("refused",), found.refused)),
    )
    yield counter(
        "edge_directives_refused",
        "Lines that were not believed, each counted once.",
        (),
        [((), found.refused_total)],
    )
    yield counter(
        "edge_directives_dropped",
        "Revocations left out for want of room.",
        (),
        [((), found.dropped_total)],
    )
    yield gauge(
        "edge_directives_age_seconds",
        "Since the source and its keys were last read well; absent if never.",
        (),
        [] if found.age_s is None else [((), found.age_s)],
    )
