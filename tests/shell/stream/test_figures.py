"""What sockets and pushes came to is exposed under its name."""

from edge.shell.stream.figures import stream_families
from edge.shell.stream.hub import HubStatistics
from tests.fakes_talk import Lobby


def test_every_figure_is_where_it_belongs() -> None:
    sockets = Lobby().registry
    sockets.frames["in"] = 2
    sockets.closed["4409"] = 3
    pushes = HubStatistics({"routed": 4}, sent=5, conflated=6, dropped=7)

    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in stream_families(sockets, pushes)
        for sample in family.samples
    }

    assert samples == {
        ("edge_stream_sockets",): 0,
        ("edge_stream_frames_total", "in"): 2,
        ("edge_stream_frames_total", "out"): 0,
        ("edge_stream_closed_total", "4409"): 3,
        ("edge_push_received_total", "routed"): 4,
        ("edge_push_sent_total",): 5,
        ("edge_push_conflated_total",): 6,
        ("edge_push_dropped_total",): 7,
    }
