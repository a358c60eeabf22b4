"""Sockets and pushes in numbers, as Prometheus reads them."""

from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client.core import Metric

from edge.shell.families import counter, gauge
from edge.shell.stream.hub import HubStatistics


class Sockets(Protocol):
    """The open ones, and what all that ever were came to."""

    @property
    def frames(self) -> Mapping[str, int]:
        """Text frames by direction."""
        ...

    @property
    def closed(self) -> Mapping[str, int]:
        """Sockets that ended, by close code."""
        ...

    def __len__(self) -> int: ...


def stream_families(sockets: Sockets, pushes: HubStatistics) -> Iterator[Metric]:
    """Write one look at sockets and pushes."""
    yield gauge("edge_stream_sockets", "Open sockets.", (), [((), len(sockets))])
    yield counter(
        "edge_stream_frames",
        "Text frames of sockets.",
        ("direction",),
        (((direction,), count) for direction, count in sockets.frames.items()),
    )
    yield counter(
        "edge_stream_closed",
        "Sockets that ended, by close code.",
        ("code",),
        (((code,), count) for code, count in sockets.closed.items()),
    )
    yield counter(
        "edge_push_received",
        "Pushes read at the origin, by what became of them.",
        ("outcome",),
        (((outcome,), count) for outcome, count in pushes.received.items()),
    )
    for name, text, count in (
        ("edge_push_sent", "Pushes written to sockets.", pushes.sent),
        ("edge_push_conflated", "Pushes that a newer one replaced.", pushes.conflated),
        (
            "edge_push_dropped",
            "Pushes without room, or whose socket went, met a bug, or may not have them now.",
            pushes.dropped,
        ),
    ):
        yield counter(name, text, (), [((), count)])
