"""The composition root: the only place that chooses concrete parts."""

import asyncio
import gc
import logging
import random
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import orjson
import uvloop
from prometheus_client import CollectorRegistry

from edge.config import Auth, Config, Limit, Limits
from edge.core.admit import House
from edge.core.authenticate import Gate, TokenCache
from edge.core.footprint import Footprints
from edge.core.instant import NS_PER_MS
from edge.core.lane import Lane
from edge.core.limit import ClockRules, Quota, QuotaName, Quotas
from edge.core.openapi import catalogue_document, openapi_document
from edge.core.recall import Recall
from edge.core.seal import Sealer
from edge.core.shed import Shedder
from edge.shell.admin import admin
from edge.shell.clock import Clock, SystemClock
from edge.shell.courier import Courier
from edge.shell.dead import DEAD_DIRECTORY, DeadLetters
from edge.shell.dead_copies import CopiedLetters
from edge.shell.doorkeeper import Doorkeeper
from edge.shell.drain import Drain, Drained
from edge.shell.forward import Forwarder, Timing
from edge.shell.front import Front, pages
from edge.shell.governor import Governor
from edge.shell.http import Ingest
from edge.shell.keys.keyring import Keyring
from edge.shell.letterhead import Letterhead
from edge.shell.life import Life
from edge.shell.listen import listen
from edge.shell.meters import Meters
from edge.shell.metrics import Figures
from edge.shell.origin import open_origin
from edge.shell.pace import Pace
from edge.shell.patience import Patience
from edge.shell.pressure import Pressure
from edge.shell.readiness import Probes
from edge.shell.redrive import Redrive, Report
from edge.shell.refusals import Refusals
from edge.shell.resources import Resources, raise_descriptors
from edge.shell.server import Gateway
from edge.shell.spool.disk import OsDisk
from edge.shell.spool.inspect import lane_directories
from edge.shell.spool.process import Spool
from origin_client.notice import DEAD_TOPIC, REFUSED_TOPIC
from origin_client.origin import Origin, OriginUnavailable, Watchful

log: Final = logging.getLogger("edge.app")

GARBAGE_THRESHOLD: Final = 20_000
"""Containers made since the last look and still there: some hundred requests under way."""

DOCUMENTS: Final = {
    "/openapi.json": openapi_document,
    "/v1/catalogue": catalogue_document,
}
"""What the public port serves beside its doors, by path."""


def serve(config: Config) -> int:
    """Run a gateway until it is told to leave; return the exit code.

    Raises:
        ConfigError: A setting cannot work on this machine.
        PortTaken: Another process listens there.
        SpoolLocked: Another process has the spool.
    """
    raise_descriptors()  # before anybody counts them
    clock = SystemClock()
    with (
        listen("http", config.http.host, config.http.port) as public,
        listen("admin", config.admin.host, config.admin.port) as private,
    ):
        gateway = build(config, clock)
        if isinstance(gateway.origin, Watchful):
            gateway.origin.watch([lane.topic for lane in Lane])
        _settle_garbage()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(gateway.live(public, private))
    return 0


def _settle_garbage() -> None:
    """Have the collector look rarely, and never again at what the start has made.

    Requests leave hardly any cycles behind; looking for them cost 4 % of the processor and, with
    full tables, pauses.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)


def build(config: Config, clock: Clock) -> Gateway:
    """Wire the house: open what is on disk, start nothing. Blocking.

    Raises:
        ConfigError: A setting cannot work on this machine.
        SpoolLocked: Another process has the spool.
    """
    meters, life, cache = Meters(), Life(), TokenCache()
    spool = Spool.open(config.spool, clock=clock)
    waiting = sum(lane.records_at_start for lane in spool.statistics().values())
    log.info("spool opened", extra={"records_waiting": waiting})
    keyring = Keyring(config.auth, Path(config.spool.path) / "keys", clock)
    resources = Resources(config.node.memory_max)
    governor = Governor(clock, meters)
    doorkeeper = Doorkeeper(resources.is_full, meters.requests_refused)
    pressure = _pressure(spool, resources, doorkeeper, governor)
    house = _house(config, spool, _gate(config.auth, keyring, cache), pressure, clock)
    timing = _timing(clock, Pace(meters.count_received, clock))
    out = way_out(config, spool, open_origin(config.origin), timing)
    figures = Figures(
        clock=clock,
        meters=meters,
        spool=spool,
        forwarders=out.forwarders,
        origin=out.origin,
        samples=out.samples,
        copies=out.copies,
        dead_letters=out.dead_letters,
        recall=house.recall,
        quotas=house.quotas,
        tokens=cache,
        keyring=keyring,
        resources=resources,
        pressure=pressure,
        doorkeeper=doorkeeper,
        governor=governor,
    )
    probes = Probes(life, keyring, spool, out.forwarders, out.origin, resources, pressure)
    refusals = Refusals(_letterhead(config), out.samples, clock)
    ingest = Ingest(house, keyring, clock, meters, life, refusals)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(figures)
    return Gateway(
        node=config.node,
        front=_front(ingest),
        admin=admin(probes.read, registry),
        spool=spool,
        recall=house.recall,
        forwarders=list(out.forwarders.values()),
        couriers=[out.samples, out.copies],
        dead_letters=list(out.dead_letters.values()),
        origin=out.origin,
        keyring=keyring,
        life=life,
        doorkeeper=doorkeeper,
        governor=governor,
        resources=resources,
        loop_lag=meters.loop_lag_seconds,
        clock=clock,
    )


def _front(ingest: Ingest) -> Front:
    documents = {path: orjson.dumps(document()) for path, document in DOCUMENTS.items()}
    return Front(
        ingest=ingest,
        pages=pages(ingest, ingest.clock, documents, ingest.meters),
        quotas=ingest.house.quotas,
        clock=ingest.clock,
        meters=ingest.meters,
        refusals=ingest.refusals,
    )


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
        out = way_out(config, spool, origin, _timing(clock))
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


def _timing(clock: Clock, pace: Pace | None = None) -> Timing:
    """Take real dice; without a *pace* a backlog goes as fast as the origin takes it."""
    timing = Timing(clock, random.Random())  # noqa: S311  # jitter, not a secret
    return timing if pace is None else replace(timing, rest_s=pace.rest_s)


def way_out(config: Config, spool: Spool, origin: Origin, timing: Timing) -> WayOut:
    """Wire what carries everything from *spool* to *origin*."""
    copies = Courier(DEAD_TOPIC, origin, timing)
    letterhead, bytes_max = _letterhead(config), config.spool.dead_bytes_max
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


def quotas_of(limits: Limits) -> Sequence[Quota]:
    """Return the quotas that are set, as the core wants them."""
    named: dict[QuotaName, Limit | None] = {
        "address": limits.address,
        "player": limits.player,
        "service": limits.service,
        "brand": limits.brand,
        "node": limits.node,
    }
    return [
        Quota(
            name=name,
            quota=limit.quota,
            window_s=limit.window_s,
            burst=limit.burst,
            intent=limit.cost.intent,
            observation=limit.cost.observation,
            fact=limit.cost.fact,
        )
        for name, limit in named.items()
        if limit is not None
    ]


def _pressure(
    spool: Spool, resources: Resources, doorkeeper: Doorkeeper, governor: Governor
) -> Pressure:
    """List what telemetry is shed for."""
    return Pressure(
        {
            "spool": lambda: spool.budget.is_tight(Lane.TELEMETRY),
            "disk": lambda: spool.room.is_full,
            "memory": lambda: resources.is_memory_high,
            "descriptors": lambda: resources.has_no_descriptor(doorkeeper.connections),
            "processor": lambda: governor.is_overloaded,
        }
    )


def _house(config: Config, spool: Spool, gate: Gate, pressure: Pressure, clock: Clock) -> House:
    return House(
        gate=gate,
        quotas=Quotas(quotas_of(config.limits)),
        clock_rules=_clock_rules(config),
        recall=_remember(config, spool, clock),
        footprints=Footprints(spool.secret),
        shedder=Shedder(pressure),
        sealer=Sealer(config.node.name, config.node.region, _newest_ms(spool)),
        spool=spool,
    )


def _clock_rules(config: Config) -> ClockRules:
    clock = config.clock
    return ClockRules(
        intent_max_age_s=clock.intent_max_age_s,
        observation_max_age_s=clock.observation_max_age_s,
        future_max_s=clock.future_max_s,
    )


def _gate(auth: Auth, keyring: Keyring, cache: TokenCache) -> Gate:
    return Gate(
        audiences={issuer.issuer: issuer.audience for issuer in auth.issuers},
        keys=keyring,
        cache=cache,
        lifetime_max_s=auth.lifetime_max_s,
        takes_audience_list=auth.audience_list,
        takes_typ_jwt=auth.typ_jwt,
    )


def _remember(config: Config, spool: Spool, clock: Clock) -> Recall:
    """Rebuild the memory of what was accepted from what is on disk."""
    recall = Recall(
        dedupe_window_s=config.spool.dedupe_window_s,
        dedupe_entries_max=config.spool.dedupe_entries_max,
        sessions_max=config.spool.sessions_max,
    )
    for lane in Lane:
        for page in spool.pages(lane):
            recall.rebuild(lane, page)
        if spool.has_forgotten:
            recall.retain_from(lane, clock.now().unix_ns // NS_PER_MS)
    if spool.has_forgotten:
        log.error(
            "the spool's id was lost: what was accepted before this start is forwarded, and not "
            "known again here; the origin removes its retries by id and business key"
        )
    return recall


def _newest_ms(spool: Spool) -> Mapping[Lane, int]:
    """Tell where each lane's ``edgetime`` goes on, whatever the wall clock says now."""
    found = {lane: spool.lane(lane).newest_ms() for lane in Lane}
    return {lane: newest_ms for lane, newest_ms in found.items() if newest_ms is not None}


def _letterhead(config: Config) -> Letterhead:
    return Letterhead(config.node.name, config.node.region)
