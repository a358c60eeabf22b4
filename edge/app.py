"""The composition root: the only place that chooses concrete parts."""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import orjson
import uvloop
from prometheus_client import CollectorRegistry

from edge.config import Auth, Config, ConfigError, Limit, Limits
from edge.core.admit import House
from edge.core.authenticate import Gate, TokenCache
from edge.core.footprint import Footprints
from edge.core.instant import NS_PER_MS
from edge.core.lane import Lane
from edge.core.limit import ClockRules, Quota, QuotaName, Quotas
from edge.core.openapi import catalogue_document, openapi_document
from edge.core.recall import Recall
from edge.core.seal import Sealer
from edge.shell.admin import admin
from edge.shell.clock import Clock, SystemClock
from edge.shell.dead import DeadLetters
from edge.shell.forward import Forwarder, Timing
from edge.shell.front import Front, pages
from edge.shell.http import Ingest
from edge.shell.keys.keyring import Keyring
from edge.shell.life import Life
from edge.shell.listen import listen
from edge.shell.meters import Meters
from edge.shell.metrics import Figures
from edge.shell.readiness import Probes
from edge.shell.server import Gateway
from edge.shell.spool.disk import OsDisk
from edge.shell.spool.process import Spool
from origin_client.open import open_origin
from origin_client.origin import Origin, OriginError, OriginLocked

log: Final = logging.getLogger("edge.app")

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
        OriginLocked: Another process writes to the embedded origin.
    """
    clock = SystemClock()
    with (
        listen("http", config.http.host, config.http.port) as public,
        listen("admin", config.admin.host, config.admin.port) as private,
    ):
        gateway = build(config, clock)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(gateway.live(public, private))
    return 0


def build(config: Config, clock: Clock) -> Gateway:
    """Wire the house: open what is on disk, start nothing. Blocking.

    Raises:
        ConfigError: A setting cannot work on this machine.
        SpoolLocked: Another process has the spool.
        OriginLocked: Another process writes to the embedded origin.
    """
    meters, life, cache = Meters(), Life(), TokenCache()
    spool = Spool.open(config.spool, clock=clock)
    waiting = sum(lane.records_at_start for lane in spool.statistics().values())
    log.info("spool opened", extra={"records_waiting": waiting})
    keyring = Keyring(config.auth, Path(config.spool.path) / "keys", clock)
    recall = _remember(config, spool, clock)
    house = House(
        gate=_gate(config.auth, keyring, cache),
        quotas=Quotas(quotas_of(config.limits)),
        clock_rules=_clock_rules(config),
        recall=recall,
        footprints=Footprints(spool.secret),
        sealer=Sealer(config.node.name, config.node.region, _newest_ms(spool)),
        spool=spool,
    )
    dead_letters, origin = _dead_letters(config, spool), _origin(config)
    timing = Timing(clock, random.Random())  # noqa: S311  # jitter, not a secret
    forwarders = {
        lane: Forwarder(lane, spool.lane(lane), origin, dead_letters[lane], timing)
        for lane in Lane
    }
    figures = Figures(
        clock, meters, spool, forwarders, dead_letters, recall, house.quotas, cache, keyring
    )
    probes = Probes(life, keyring, spool, forwarders)
    ingest = Ingest(house, keyring, clock, meters, life)
    documents = {path: orjson.dumps(document()) for path, document in DOCUMENTS.items()}
    registry = CollectorRegistry(auto_describe=False)
    registry.register(figures)
    return Gateway(
        node=config.node,
        front=Front(
            ingest, pages(ingest, clock, documents, meters), house.quotas, clock, meters
        ),
        admin=admin(probes.read, registry),
        spool=spool,
        recall=recall,
        forwarders=list(forwarders.values()),
        origin=origin,
        keyring=keyring,
        life=life,
        loop_lag=meters.loop_lag_seconds,
        clock=clock,
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
        for footprint, accepted_ms in spool.footprints(lane):
            recall.rebuild(lane, footprint, accepted_ms)
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


def _dead_letters(config: Config, spool: Spool) -> Mapping[Lane, DeadLetters]:
    return {
        lane: DeadLetters(
            OsDisk(), spool.lane(lane).directory / "dead", bytes_max=config.spool.dead_bytes_max
        )
        for lane in Lane
    }


def _origin(config: Config) -> Origin:
    try:
        return open_origin(config.origin.url, config.origin.options)
    except OriginLocked:
        raise
    except OriginError as error:
        raise ConfigError("origin.url", str(error)) from error
