"""Wires what leads from the spool to the origin: for a gateway, and for one that is no more.

A part of the composition root, :mod:`edge.app`.
"""

import random
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from edge.config import Config
from edge.core.lane import Lane
from edge.shell.clock import Clock, SystemClock
from edge.shell.courier import Courier
from edge.shell.dead import DEAD_DIRECTORY, DeadLetters
from edge.shell.dead_copies import CopiedLetters
from edge.shell.drain import Drain, Drained
from edge.shell.forward import Forwarder, Timing
from edge.shell.letterhead import Letterhead
from edge.shell.origin import open_origin
from edge.shell.pace import Pace
from edge.shell.patience import Patience
from edge.shell.redrive import Redrive, Report
from edge.shell.spool.disk import OsDisk
from edge.shell.spool.inspect import lane_directories
from edge.shell.spool.process import Spool
from origin_client.notice import DEAD_TOPIC, REFUSED_TOPIC
from origin_client.origin import Origin, OriginUnavailable


@dataclass(frozen=True, slots=True)
class WayOut:
    """What leads from the spool to the origin; nothing of it is started.

    Attributes:
        origin: Where to; one for all.
        dead_letters: What it will never take, by lane.
        forwarders: Carry the lanes.
        samples: Carries samples of refusals.
        copies: Carries copies of dead letters.
    """

    origin: Origin
    dead_letters: Mapping[Lane, DeadLetters]
    forwarders: Mapping[Lane, Forwarder]
    samples: Courier
    copies: Courier


def drain_spool(config: Config, stop: threading.Event, timeout_s: float | None) -> Drained:
    """Forward everything that waits in a spool nobody owns. Blocking.

    Args:
        config: Of spool and origin.
        stop: Set from outside: end now.
        timeout_s: End after so long; ``None``: when all is done.

    Raises:
        ConfigError: There is no spool, or a setting cannot work on this machine.
        SpoolLocked: Another process has the spool.
        OSError: A directory of the spool cannot be read.
    """
    clock = SystemClock()
    lane_directories(Path(config.spool.path))  # must be there: opening would make it
    with (
        closing(Spool.open(config.spool, clock=clock)) as spool,
        closing(open_origin(config.origin)) as origin,
    ):
        out = way_out(config, spool, origin, timing_of(clock))
        drain = Drain(spool, out.forwarders, out.dead_letters, [out.copies], clock)
        return drain.run(stop, timeout_s)


def redrive(
    config: Config, lanes: Collection[Lane], stop: threading.Event, timeout_s: float
) -> Iterator[tuple[Lane, Report]]:
    """Send dead letters again, lane by lane; tell what became of them. Blocking.

    Args:
        config: Of spool and origin.
        lanes: Only these.
        stop: Set from outside: end now.
        timeout_s: How long an origin that does not answer is waited for.

    Raises:
        ConfigError: There is no spool, or no such origin.
        SpoolLocked: Another redrive runs.
        OriginUnavailable: Not all was sent; what was acknowledged is removed.
        OSError: The disk refused.
    """
    directories = lane_directories(Path(config.spool.path))
    origin = open_origin(config.origin)
    with Patience(origin, SystemClock(), stop, timeout_s) as patience:
        for lane, directory in directories:
            if lane in lanes:
                letters = directory / DEAD_DIRECTORY
                try:
                    yield lane, Redrive(lane, letters, origin, OsDisk(), patience).run()
                except OriginUnavailable as error:
                    raise OriginUnavailable(patience.cause or str(error)) from error


def timing_of(clock: Clock, pace: Pace | None = None) -> Timing:
    """Take real dice; without a *pace* a backlog goes as fast as the origin takes it."""
    timing = Timing(clock, random.Random())  # noqa: S311  # jitter, not a secret
    return timing if pace is None else replace(timing, rest_s=pace.rest_s)


def way_out(config: Config, spool: Spool, origin: Origin, timing: Timing) -> WayOut:
    """Wire what carries everything from *spool* to *origin*."""
    copies = Courier(DEAD_TOPIC, origin, timing)
    letterhead, bytes_max = letterhead_of(config), config.spool.dead_bytes_max
    dead_letters = {
        lane: DeadLetters(
            OsDisk(), spool.lane(lane).directory / DEAD_DIRECTORY, bytes_max=bytes_max
        )
        for lane in Lane
    }
    forwarders = {
        lane: Forwarder(
            lane,
            spool.lane(lane),
            origin,
            CopiedLetters(lane, dead_letters[lane], copies, letterhead, timing.clock),
            timing,
        )
        for lane in Lane
    }
    samples = Courier(REFUSED_TOPIC, origin, timing)
    return WayOut(origin, dead_letters, forwarders, samples, copies)


def letterhead_of(config: Config) -> Letterhead:
    """Return the name this node writes under."""
    return Letterhead(config.node.name, config.node.region)
