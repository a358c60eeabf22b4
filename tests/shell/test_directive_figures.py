"""What Prometheus reads of directives where there is little to read."""

from edge.shell.directive_figures import directive_families
from edge.shell.directives import DirectiveStatistics


def test_a_source_that_was_never_read_has_no_age_and_every_other_figure() -> None:
    nothing = DirectiveStatistics(
        in_force=0, refused=0, refused_total=0, dropped_total=0, age_s=None, complaint=None
    )

    told = {family.name: len(family.samples) for family in directive_families(nothing)}

    assert told == {
        "edge_directives": 2,
        "edge_directives_refused": 1,
        "edge_directives_dropped": 1,
        "edge_directives_age_seconds": 0,
    }
