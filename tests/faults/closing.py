"""What every campaign ends with: each claim has its verdict, all is forwarded, the books agree."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge.demo.evening import drain
from tests.faults.ledger import Account, Allowed, Findings, Ledger
from tests.system.world import World

NOTHING: Final = Allowed()
DRAIN_TIMEOUT_S: Final = 240.0
"""For what flat-out talk left waiting: 2 s on idle cores, a hundred times that at the worst."""

STOP_TIMEOUT_S: Final = (
    30.0  # the longest ``node.drain_s`` of any campaign, and half of it again
)


@dataclass(frozen=True, slots=True)
class Closing:
    """The end of a campaign.

    Attributes:
        account: The last one.
        findings: The audit's.
        faults: Everything that must not be, in words: answers, counters, the audit.
    """

    account: Account
    findings: Findings
    faults: tuple[str, ...]

    @property
    def found(self) -> str:
        """The figures in one line."""
        return (
            f"{self.findings.owed:,} accepted, {self.findings.lost:,} lost, "
            f"{self.findings.repeated:,} forwarded again under the same number"
        )


def close_books(
    here: World,
    book: Ledger,
    *origins: str | Path,
    owed_min: int,
    broken_max: int | None = 0,
    allowed: Allowed = NOTHING,
) -> Closing:
    """Settle with the running gateway, empty its spool, stop it, and compare the books.

    Args:
        here: Its gateway runs, and is stopped on return.
        book: Who talked to it.
        *origins: Where it forwarded to; none: the world's own log.
        owed_min: So much was accepted at least, or the campaign has proved nothing.
        broken_max: So many requests may have no answer, because of what the campaign did to
            the gateway or to connections; ``None``: any number.
        allowed: What is no fault.

    Raises:
        LedgerError: The ledger ended.
        GatewayError: The gateway does not end.
    """
    book.rest()
    faults = book.settle(here.gateway.public)
    faults += drain(here.gateway, DRAIN_TIMEOUT_S)
    if code := here.gateway.stop(STOP_TIMEOUT_S):
        faults.append(f"exit code {code} after SIGTERM")
    account = book.mark()
    findings = book.audit(*(origins or (here.origin,)), allowed=allowed)
    faults += missed(account, findings, owed_min=owed_min, broken_max=broken_max)
    return Closing(account, findings, (*faults, *account.complaints, *findings.faults))


def missed(
    account: Account, findings: Findings, *, owed_min: int, broken_max: int | None
) -> list[str]:
    """Tell of too little that was said, and of too little that was answered."""
    faults: list[str] = []
    if findings.owed < owed_min:
        faults.append(f"hardly anything was accepted: {findings.owed}, not {owed_min}")
    if broken_max is not None and account.broken > broken_max:
        faults.append(f"{account.broken - broken_max} requests without an answer")
    return faults
