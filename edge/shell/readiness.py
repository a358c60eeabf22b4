"""Is this node to be sent requests? Each part's state in, one line per probe out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from edge.core.lane import Lane, LaneState
from edge.shell.admin import OK, Readiness
from edge.shell.directives import DirectiveStatistics
from edge.shell.keys.keyring import KeyStatistics
from edge.shell.life import Life
from edge.shell.pressure import Pressure
from edge.shell.resources import Resources
from edge.shell.spool.bulkhead import LaneStatistics

FULL_BYTES: Final = 64 << 10
"""With less room a lane is as good as full: the largest event, of 32 KiB, may not fit."""


class Keyring(Protocol):
    """Every issuer's keys."""

    def statistics(self) -> Iterable[KeyStatistics]:
        """Tell how they are."""
        ...


class Directives(Protocol):
    """What the origin directs."""

    @property
    def is_followed(self) -> bool:
        """Whether there is a source at all."""
        ...

    def statistics(self) -> DirectiveStatistics:
        """Tell how they are."""
        ...


class Spool(Protocol):
    """Every lane's files."""

    def statistics(self) -> Mapping[Lane, LaneStatistics]:
        """Tell every figure, by lane."""
        ...


class Pushes(Protocol):
    """Reads what the origin has for sockets."""

    @property
    def are_wanted(self) -> bool:
        """Whether anybody ever wanted some; before, none are read."""
        ...

    def health(self) -> str | None:
        """Name the cause when none are read."""
        ...


class Forwarder(Protocol):
    """Carries one lane to the origin."""

    def health(self) -> str | None:
        """Name the cause when it is not forwarding."""
        ...


class Origin(Protocol):
    """Where the lanes go."""

    def health(self, topic: str | None = None) -> str | None:
        """Name the cause when publishing to *topic*, or to any, does not work."""
        ...


@dataclass(frozen=True, slots=True)
class Probes:
    """Everything readiness depends on, and everything an operator wants to know beside it.

    Attributes:
        life: A process that leaves is not ready.
        keyring: Without any keys at all nobody can be let in.
        directives: Stale ones are told, and no more: what was revoked still is.
        spool: Without a writable spool nothing can be accepted.
        forwarders: Never make a node unready: the spool is there for their outages.
        origin: As the forwarders; knows why one of them waits in a publish.
        resources: Short ones are told, and no more: existing connections are still served.
        pressure: As *resources*.
        pushes: As the forwarders.
    """

    life: Life
    keyring: Keyring
    directives: Directives
    spool: Spool
    forwarders: Mapping[Lane, Forwarder]
    origin: Origin
    resources: Resources
    pressure: Pressure
    pushes: Pushes

    def read(self) -> Readiness:
        """Ask every part."""
        lanes, scarce = self.spool.statistics(), self.pressure.causes()
        keys = self._keys()
        spool = _spool(lanes)
        life = "leaving" if self.life.is_leaving else OK
        forwards = {
            f"forward.{lane}": forwarder.health() or self.origin.health(lane.topic) or OK
            for lane, forwarder in self.forwarders.items()
        }
        origin = self.origin.health() or OK
        is_ready = (keys, spool, life) == (OK, OK, OK)
        probes = {"keys": keys, "spool": spool, "life": life, "origin": origin}
        told = self._directives() | self._pushes() | self._scarce(scarce) | _room(lanes, scarce)
        return Readiness(is_ready, probes | told | forwards)

    def _keys(self) -> str:
        """One issuer with believed keys is enough to be of use to somebody."""
        issuers = list(self.keyring.statistics())
        usable = [s for s in issuers if s.keys and not s.is_stale]
        if usable:
            return OK
        causes = [f"{s.issuer}: {s.error or 'no keys yet'}" for s in issuers]
        return "; ".join(causes) or "no issuer is set: add one under [[auth.issuers]]"

    def _directives(self) -> dict[str, str]:
        """Say how old revocations are, where there is a source of them."""
        if not self.directives.is_followed:
            return {}
        return {"directives": self.directives.statistics().complaint or OK}

    def _pushes(self) -> dict[str, str]:
        """Say whether pushes are read, where somebody wants them."""
        return {"pushes": self.pushes.health() or OK} if self.pushes.are_wanted else {}

    def _scarce(self, causes: Mapping[str, bool]) -> dict[str, str]:
        """Say whether memory is short, and what telemetry is shed for."""
        found = self.resources
        memory = f"{found.memory_bytes} bytes of {found.memory_max}: no new connections"
        shedding = ", ".join(name for name, is_scarce in causes.items() if is_scarce)
        return {
            "memory": memory if found.is_memory_high else OK,
            "telemetry": f"shed for want of {shedding}" if shedding else OK,
        }


def lane_states(
    statistics: Mapping[Lane, LaneStatistics], *, is_disk_full: bool
) -> dict[str, str]:
    """Say of each lane whether an event would be taken now."""
    return {
        lane.value: _state(each, is_disk_full=is_disk_full) for lane, each in statistics.items()
    }


def _state(lane: LaneStatistics, *, is_disk_full: bool) -> LaneState:
    if not lane.is_writable:
        return LaneState.FAILED
    is_full = is_disk_full or lane.room_bytes < FULL_BYTES
    return LaneState.FULL if is_full else LaneState.OPEN


def _room(
    statistics: Mapping[Lane, LaneStatistics], causes: Mapping[str, bool]
) -> dict[str, str]:
    """Say who is told to come back, and what ends it."""
    full = [lane for lane, s in statistics.items() if s.room_bytes < FULL_BYTES]
    lanes = f"{', '.join(full)}: lane_full until the origin takes what waits"
    disk = "full: every lane answers lane_full until there is room"
    return {"room": lanes if full else OK, "disk": disk if causes["disk"] else OK}


def _spool(statistics: Mapping[Lane, LaneStatistics]) -> str:
    causes = [f"{lane}: {s.complaint}" for lane, s in statistics.items() if not s.is_writable]
    return "; ".join(causes) or OK
