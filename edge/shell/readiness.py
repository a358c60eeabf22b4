"""Is this node to be sent requests? Each part's state in, one line per probe out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from edge.core.lane import Lane
from edge.shell.admin import OK, Readiness
from edge.shell.keys.keyring import KeyStatistics
from edge.shell.life import Life
from edge.shell.spool.bulkhead import LaneStatistics


class Keyring(Protocol):
    """Every issuer's keys."""

    def statistics(self) -> Iterable[KeyStatistics]:
        """Tell how they are."""
        ...


class Spool(Protocol):
    """Every lane's files."""

    def statistics(self) -> Mapping[Lane, LaneStatistics]:
        """Tell every figure, by lane."""
        ...


class Forwarder(Protocol):
    """Carries one lane to the origin."""

    def health(self) -> str | None:
        """Name the cause when it is not forwarding."""
        ...


@dataclass(frozen=True, slots=True)
class Probes:
    """Everything readiness depends on, and everything an operator wants to know beside it.

    Attributes:
        life: A process that leaves is not ready.
        keyring: Without any keys at all nobody can be let in.
        spool: Without a writable spool nothing can be accepted.
        forwarders: Never make a node unready: the spool is there for their outages.
    """

    life: Life
    keyring: Keyring
    spool: Spool
    forwarders: Mapping[Lane, Forwarder]

    def read(self) -> Readiness:
        """Ask every part."""
        keys = self._keys()
        spool = self._spool()
        life = "leaving" if self.life.is_leaving else OK
        forwards = {
            f"forward.{lane}": forwarder.health() or OK
            for lane, forwarder in self.forwarders.items()
        }
        is_ready = (keys, spool, life) == (OK, OK, OK)
        return Readiness(is_ready, {"keys": keys, "spool": spool, "life": life, **forwards})

    def _keys(self) -> str:
        """One issuer with believed keys is enough to be of use to somebody."""
        issuers = list(self.keyring.statistics())
        usable = [s for s in issuers if s.keys and not s.is_stale]
        if usable:
            return OK
        causes = [f"{s.issuer}: {s.error or 'no keys yet'}" for s in issuers]
        return "; ".join(causes) or "no issuer is set: add one under [[auth.issuers]]"

    def _spool(self) -> str:
        causes = [
            f"{lane}: {s.complaint}"
            for lane, s in self.spool.statistics().items()
            if not s.is_writable
        ]
        return "; ".join(causes) or OK
