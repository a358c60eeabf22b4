"""An accepted event and what the edge knows of it in; the record that goes to disk out."""

from collections.abc import Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final

import msgspec

from edge.core import rfc3339
from edge.core.attributes import dataschema
from edge.core.event import Event
from edge.core.instant import NS_PER_MS, Instant
from edge.core.lane import Authority, Lane
from edge.core.principal import Principal
from edge.core.record import Footprint, Record

CONSTANTS_KEPT: Final = 1024
"""Beginnings of envelopes remembered: 25 types, for each of forty brands and places."""

_TELEMETRY: Final = Lane.TELEMETRY  # a module's name is read faster than an enum's member
_ENCODE: Final = msgspec.json.Encoder().encode
_EMPTY_SPOOL: Final[Mapping[Lane, int]] = MappingProxyType({})


class Sealer:
    """Writes envelopes in this node's name.

    An envelope is the event as decode encoded it, with the edge's members before the event's.
    They are the same for most events of a type and written once: an event costs 0.9 µs, where
    encoding an :class:`origin_client.envelope.Envelope` costs 3.

    Owns one number per lane: the last ``edgetime`` given, because the wall clock may be
    stepped back and an envelope's time may not.

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
        self._constants = lru_cache(CONSTANTS_KEPT)(self._write_constants)
        self._edgetime_ms = 0
        self._edgetime = b""

    def seal(
        self,
        event: Event,
        principal: Principal,
        footprint: Footprint,
        flags: Collection[str],
        now: Instant,
    ) -> Record:
        """Wrap one event for the origin.

        Args:
            event: Authorised, new, within its limits.
            principal: Who sent it; a player's brand and jurisdiction come from here.
            footprint: Stored beside the envelope for recall.
            flags: What the stages noticed, any order.
            now: The request's instant.
        """
        spec, wire = event.spec, event.wire
        lane = spec.lane
        edgetime_ms = now.unix_ns // NS_PER_MS
        if edgetime_ms < self._last_ms[lane]:  # noqa: PLR1730  # a call of max costs more
            edgetime_ms = self._last_ms[lane]
        self._last_ms[lane] = edgetime_ms
        if edgetime_ms != self._edgetime_ms:
            self._edgetime_ms = edgetime_ms
            self._edgetime = rfc3339.canonical(edgetime_ms).encode()
        constants = self._constants(
            spec.type,
            spec.authority,
            spec.versions[-1] if wire.dataschema is None else "",
            principal.brand if wire.brand is None else "",
            principal.jurisdiction if wire.jurisdiction is None else "",
            ",".join(sorted(flags)) if flags else "",
        )
        opening = b'{"edgetime":"%b",%b' % (self._edgetime, constants)
        key = wire.session if lane is _TELEMETRY else wire.subject
        assert key is not None, "telemetry has a session: decode saw to it"
        return Record(
            key=key.encode(),
            accepted_ms=edgetime_ms,
            footprint=footprint,
            envelope=event.json.replace(b"{", opening, 1),
        )

    def _write_constants(
        self,
        type_: str,
        authority: Authority,
        version: str,
        brand: str,
        jurisdiction: str,
        flags: str,
    ) -> bytes:
        """Write the members that the edge adds, but the time; what is empty it does not add."""
        always = {
            "edgenode": self._node,
            "edgeregion": self._region,
            "authority": authority,
        }
        perhaps = {
            "dataschema": version and dataschema(type_, version),
            "brand": brand,
            "jurisdiction": jurisdiction,
            "flags": flags,
        }
        members = always | {name: text for name, text in perhaps.items() if text}
        return _ENCODE(members)[1:-1] + b","
