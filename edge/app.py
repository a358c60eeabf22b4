"""The composition root: the only place that chooses concrete parts."""

import asyncio
import gc
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import orjson
import uvloop
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from edge.app_out import WayOut, letterhead_of, timing_of, way_out
from edge.app_stream import Streams, stream_of
from edge.config import Auth, Config, Limit, Limits
from edge.core.admit import House
from edge.core.asyncapi import asyncapi_document
from edge.core.authenticate import Gate, TokenCache
from edge.core.footprint import Footprints
from edge.core.instant import NS_PER_MS
from edge.core.lane import Lane
from edge.core.limit import ClockRules, Quota, QuotaName, Quotas
from edge.core.openapi import catalogue_document, openapi_document
from edge.core.recall import Recall
from edge.core.revocations import Revocations
from edge.core.seal import Sealer
from edge.core.shed import Shedder
from edge.shell.admin import admin
from edge.shell.clock import Clock, SystemClock
from edge.shell.directives import Directives
from edge.shell.doorkeeper import Doorkeeper
from edge.shell.front import Front, pages
from edge.shell.governor import Governor
from edge.shell.http import Ingest
from edge.shell.keys.keyring import Keyring
from edge.shell.life import Life
from edge.shell.listen import listen
from edge.shell.meters import Meters
from edge.shell.metrics import Figures
from edge.shell.origin import open_origin
from edge.shell.pace import Pace
from edge.shell.pressure import Pressure
from edge.shell.readiness import Probes, lane_states
from edge.shell.refusals import Refusals
from edge.shell.resources import Resources, raise_descriptors
from edge.shell.server import Gateway
from edge.shell.spool.process import Spool
from edge.shell.stream.door import StreamDoor
from edge.shell.stream.revoked import end_revoked
from origin_client.origin import Watchful

log: Final = logging.getLogger("edge.app")

GARBAGE_THRESHOLD: Final = 20_000
"""Containers made since the last look and still there: some hundred requests under way."""

DOCUMENTS: Final = {
    "/openapi.json": openapi_document,
    "/asyncapi.json": asyncapi_document,
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


@dataclass(frozen=True, slots=True)
class _Ground:
    """What everything else stands on; nothing of it is started."""

    clock: Clock
    meters: Meters
    life: Life
    tokens: TokenCache
    spool: Spool
    keyring: Keyring
    directives: Directives
    resources: Resources
    governor: Governor
    doorkeeper: Doorkeeper
    pressure: Pressure


def build(config: Config, clock: Clock) -> Gateway:
    """Wire the house: open what is on disk, start nothing. Blocking.

    Raises:
        ConfigError: A setting cannot work on this machine.
        SpoolLocked: Another process has the spool.
    """
    ground = _ground(config, clock)
    spool, meters = ground.spool, ground.meters
    house = _house(config, ground)
    timing = timing_of(clock, Pace(meters.count_received, clock))
    out = way_out(config, spool, open_origin(config.origin), timing)
    refusals = Refusals(letterhead_of(config), out.samples, clock)
    ingest = Ingest(house, ground.keyring, clock, meters, ground.life, refusals)
    stream = stream_of(config, ingest, ground.governor, timing, partial(_lane_states, spool))
    ground.directives.listener = partial(end_revoked, stream.registry)
    return Gateway(
        node=config.node,
        front=_front(ingest, stream.door),
        admin=_admin(ground, house, out, stream),
        spool=spool,
        recall=house.recall,
        forwarders=list(out.forwarders.values()),
        couriers=[out.samples, out.copies],
        dead_letters=list(out.dead_letters.values()),
        origin=out.origin,
        keyring=ground.keyring,
        directives=ground.directives,
        pushes=stream.hub,
        life=ground.life,
        doorkeeper=ground.doorkeeper,
        governor=ground.governor,
        resources=ground.resources,
        loop_lag=meters.loop_lag_seconds,
        clock=clock,
    )


def _ground(config: Config, clock: Clock) -> _Ground:
    meters = Meters()
    spool = Spool.open(config.spool, clock=clock)
    waiting = sum(lane.records_at_start for lane in spool.statistics().values())
    log.info("spool opened", extra={"records_waiting": waiting})
    resources = Resources(config.node.memory_max)
    governor = Governor(clock, meters)
    doorkeeper = Doorkeeper(resources.is_full, meters.requests_refused)
    directory = Path(config.spool.path)
    return _Ground(
        clock=clock,
        meters=meters,
        life=Life(),
        tokens=TokenCache(),
        spool=spool,
        keyring=Keyring(config.auth, directory / "keys", clock),
        directives=Directives(
            config.directives, directory / "directives", Revocations(), clock
        ),
        resources=resources,
        governor=governor,
        doorkeeper=doorkeeper,
        pressure=_pressure(spool, resources, doorkeeper, governor),
    )


def _admin(ground: _Ground, house: House, out: WayOut, stream: Streams) -> ASGIApp:
    """Have every part tell how it is."""
    figures = Figures(
        clock=ground.clock,
        meters=ground.meters,
        spool=ground.spool,
        forwarders=out.forwarders,
        origin=out.origin,
        samples=out.samples,
        copies=out.copies,
        dead_letters=out.dead_letters,
        recall=house.recall,
        quotas=house.quotas,
        tokens=ground.tokens,
        keyring=ground.keyring,
        directives=ground.directives,
        resources=ground.resources,
        pressure=ground.pressure,
        doorkeeper=ground.doorkeeper,
        governor=ground.governor,
        sockets=stream.registry,
        pushes=stream.hub,
    )
    probes = Probes(
        life=ground.life,
        keyring=ground.keyring,
        directives=ground.directives,
        spool=ground.spool,
        forwarders=out.forwarders,
        origin=out.origin,
        resources=ground.resources,
        pressure=ground.pressure,
        pushes=stream.hub,
    )
    registry = CollectorRegistry(auto_describe=False)
    registry.register(figures)
    return admin(probes.read, registry)


def _front(ingest: Ingest, stream: StreamDoor) -> Front:
    documents = {path: orjson.dumps(document()) for path, document in DOCUMENTS.items()}
    return Front(
        ingest=ingest,
        stream=stream,
        pages=pages(ingest, stream, ingest.clock, documents, ingest.meters),
        quotas=ingest.house.quotas,
        clock=ingest.clock,
        meters=ingest.meters,
        refusals=ingest.refusals,
    )


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


def _lane_states(spool: Spool) -> dict[str, str]:
    """Say what sockets are told of each lane."""
    return lane_states(spool.statistics(), is_disk_full=spool.room.is_full)


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


def _house(config: Config, ground: _Ground) -> House:
    return House(
        gate=_gate(config.auth, ground),
        quotas=Quotas(quotas_of(config.limits)),
        clock_rules=_clock_rules(config),
        recall=_remember(config, ground.spool, ground.clock),
        footprints=Footprints(ground.spool.secret),
        shedder=Shedder(ground.pressure),
        sealer=Sealer(config.node.name, config.node.region, _newest_ms(ground.spool)),
        spool=ground.spool,
    )


def _clock_rules(config: Config) -> ClockRules:
    clock = config.clock
    return ClockRules(
        intent_max_age_s=clock.intent_max_age_s,
        observation_max_age_s=clock.observation_max_age_s,
        future_max_s=clock.future_max_s,
    )


def _gate(auth: Auth, ground: _Ground) -> Gate:
    return Gate(
        audiences={issuer.issuer: issuer.audience for issuer in auth.issuers},
        keys=ground.keyring,
        cache=ground.tokens,
        lifetime_max_s=auth.lifetime_max_s,
        revocations=ground.directives.revocations,
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
