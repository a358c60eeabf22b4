"""Wires what sockets need: who is let in, who is there, and what is pushed to them.

A part of the composition root, :mod:`edge.app`.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge.config import Config
from edge.shell.forward import Timing
from edge.shell.governor import Governor
from edge.shell.http import Ingest
from edge.shell.origin import open_push_reader
from edge.shell.stream.door import StreamDoor
from edge.shell.stream.host import Host, limits_of, times_of
from edge.shell.stream.hub import Hub
from edge.shell.stream.registry import Registry
from edge.shell.stream.socket_wire import SocketProtocol
from edge.shell.stream.speaking import WireLimits
from edge.shell.stream.talk import Talk


@dataclass(frozen=True, slots=True)
class Streams:
    """All there is for sockets; nothing of it is started.

    Attributes:
        door: ``GET /v1/stream``.
        registry: The open sockets.
        hub: Gives out pushes.
    """

    door: StreamDoor
    registry: Registry[Talk]
    hub: Hub


def stream_of(
    config: Config,
    ingest: Ingest,
    governor: Governor,
    timing: Timing,
    lanes: Callable[[], Mapping[str, str]],
) -> Streams:
    """Wire sockets behind the same house as requests.

    Args:
        config: The settings.
        ingest: The other door: what it knows, this one is to know as well.
        governor: Gives frames their turn among requests.
        timing: Clocks, dice and waits.
        lanes: Says how each lane is.
    """
    settings = config.stream
    registry = Registry[Talk](
        config.limits.connections, per_session=settings.sockets_per_session
    )
    hub = Hub(open_push_reader(config.origin), registry, timing)
    host = Host(
        house=ingest.house,
        keys=ingest.keys,
        clock=ingest.clock,
        meters=ingest.meters,
        refusals=ingest.refusals,
        registry=registry,
        pushes=hub,
        lanes=lanes,
        rng=random.Random(),  # noqa: S311  # spreads clients, no secret
        times=times_of(settings),
        limits=limits_of(settings),
    )
    limits = WireLimits(
        frames_per_s=settings.frames_per_s, control_frames_per_s=settings.control_frames_per_s
    )

    def make_protocol(talk: Talk) -> SocketProtocol:
        return SocketProtocol(talk, governor, ingest.clock, limits)

    origins = frozenset(config.http.allowed_origins)
    door = StreamDoor(host, ingest.life, origins, make_protocol)
    return Streams(door, registry, hub)
