"""An accepted event and what the edge knows of it in; the record that goes to disk out."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple

import msgspec

from edge.core.attributes import dataschema
from edge.core.event import Event, Spec
from edge.core.instant import NS_PER_MS, Instant
from edge.core.lane import Lane
from edge.core.principal import Principal
from edge.core.record import Footprint, Record
from origin_client.envelope import Envelope, encode

_CANONICAL_CHARS: Final = len("2026-07-31T20:00:00.000Z")

SECONDS_KEPT: Final = 1024
"""Formatted seconds remembered: the events of a busy node fall into few distinct seconds."""

_EMPTY_SPOOL: Final[Mapping[Lane, int]] = MappingProxyType({})


class Sealer:
    """Writes envelopes in this node's name.

    Owns one number per lane: the last ``edgetime`` given, because the wall clock may be
    stepped back and an envelope's time may not. What does not change from event to event is
    written once: an event costs 2.1 µs instead of 3.6.

    Args:
        node: ``edgenode``.
        region: ``edgeregion``.
        not_before_ms: By lane, the newest ``edgetime`` found on disk, unix ms: the wall clock
            may have been stepped back between two starts as well. None found: left out.
    """

    def __init__(
        self, node: str, region: str, not_before_ms: Mapping[Lane, int] = _EMPTY_SPOOL
    ) -> None:
        self._node = node
        self._region = region
        self._last_ms = {lane: not_before_ms.get(lane, 0) for lane in Lane}
        self._constants: dict[str, _Constants] = {}
        self._edgetime_ms = 0
        self._edgetime = rfc3339(0)

    def seal(
        self,
        event: Event,
        principal: Principal,
        footprint: Footprint,
        data: bytes,
        flags: Iterable[str],
        now: Instant,
    ) -> Record:
        """Wrap one event for the origin.

        Args:
            event: Authorised, new, within its limits.
            principal: Who sent it; a player's brand and jurisdiction come from here.
            footprint: Stored beside the envelope for recall.
            data: The payload, re-encoded.
            flags: What the stages noticed, any order.
            now: The request's instant.
        """
        spec, wire = event.spec, event.wire
        lane = spec.lane
        edgetime_ms = max(now.unix_ns // NS_PER_MS, self._last_ms[lane])
        self._last_ms[lane] = edgetime_ms
        if edgetime_ms != self._edgetime_ms:
            self._edgetime_ms, self._edgetime = edgetime_ms, rfc3339(edgetime_ms)
        constants = self._constants.get(spec.type) or self._write_constants(spec)
        envelope = Envelope(
            specversion=wire.specversion,
            id=wire.id,
            source=wire.source,
            type=spec.type,
            time=wire.time if _is_canonical(wire.time) else rfc3339(event.time_ms),
            subject=wire.subject,
            dataschema=wire.dataschema or constants.dataschema,
            brand=wire.brand or principal.brand,
            jurisdiction=wire.jurisdiction or principal.jurisdiction,
            session=wire.session,
            seq=wire.seq,
            traceparent=wire.traceparent,
            tracestate=wire.tracestate,
            edgenode=self._node,
            edgeregion=self._region,
            edgetime=self._edgetime,
            authority=constants.authority,
            flags=",".join(sorted(flags)),
            data=msgspec.Raw(data),
        )
        key = wire.session if lane is Lane.TELEMETRY else wire.subject
        assert key is not None, "telemetry has a session: decode saw to it"
        return Record(
            key=key.encode(),
            accepted_ms=edgetime_ms,
            footprint=footprint,
            envelope=encode(envelope),
        )

    def _write_constants(self, spec: Spec) -> "_Constants":
        constants = _Constants(
            dataschema=dataschema(spec.type, spec.versions[-1]),
            authority=spec.authority.value,
        )
        return self._constants.setdefault(spec.type, constants)


class _Constants(NamedTuple):
    """What every envelope of one type says.

    Attributes:
        dataschema: Of the newest version.
        authority: The type's.
    """

    dataschema: str
    authority: str


def rfc3339(unix_ms: int) -> str:
    """Format *unix_ms* as RFC 3339 in UTC with three digits.

    Source: RFC 3339 §5.6.
    """
    second, ms = divmod(unix_ms, 1000)
    return f"{_second(second)}.{ms:03d}Z"


def _is_canonical(time: str) -> bool:
    """Tell whether a time that decode let in is written as :func:`rfc3339` writes it."""
    return len(time) == _CANONICAL_CHARS and time[-1] == "Z" and time[-5] == "."


@lru_cache(SECONDS_KEPT)
def _second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat()[:19]  # strftime drops zeros of years
