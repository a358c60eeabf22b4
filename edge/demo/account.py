"""The closing account: the clients' ledger beside the audit's findings, and whether they agree.

In: the ledger, and what the audit printed. Out: a table for people, and every sum that does not
come out, in words.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from edge.demo.ledger import ACCEPTED, DUPLICATE, Ledger


@dataclass(frozen=True, slots=True)
class Account:
    """The evening in numbers.

    Attributes:
        sent: Entries of the ledger.
        accepted: Those that became durable, each once.
        duplicate: Those that were said again on purpose.
        refused: The rest, by code.
        unsettled: Entries without a verdict; none, if all is well.
        answers_lost: Accepted ones whose first answer the kill took.
        resent: Those that were in doubt when a socket was lost, and went again.
        put_off: Entries that were told to try later at least once, and did.
        forwarded: Distinct records in the origin's log.
        repeated: Records that lie there once more.
        lost: Accepted, but not in the log.
        faults: What the clients and the audit found wrong.
    """

    sent: int
    accepted: int
    duplicate: int
    refused: Counter[str]
    unsettled: int
    answers_lost: int
    resent: int
    put_off: int
    forwarded: int
    repeated: int
    lost: int
    faults: tuple[str, ...]

    def imbalances(self) -> Iterator[str]:
        """Name every sum that does not come out."""
        yield from self.faults
        if self.unsettled:
            yield f"{self.unsettled} events never got a verdict"
        told = self.accepted + self.duplicate + self.refused.total()
        if self.sent != told + self.unsettled:
            yield f"sent {self.sent}, but {told} verdicts"
        if self.forwarded != self.accepted:
            yield f"accepted {self.accepted}, but {self.forwarded} forwarded"
        if self.lost:
            yield f"{self.lost} accepted events are lost"

    def table(self) -> str:
        """Write the table, one explained row each."""
        rows: list[tuple[str, int, str]] = [
            ("sent", self.sent, "each deliberate sending once, however often it was retried"),
            ("accepted", self.accepted, self._about_answers()),
            (
                "  resent",
                self.resent,
                "in doubt when a socket was lost, sent again on the next",
            ),
            ("duplicate", self.duplicate, "said again on purpose; known, and not stored twice"),
            ("refused", self.refused.total(), self._about_patience()),
        ]
        rows += [(f"  {code}", count, "") for code, count in sorted(self.refused.items())]
        rows += [
            ("forwarded", self.forwarded, self._about_repetitions()),
            ("lost", self.lost, "accepted, but not in the origin's log"),
        ]
        lines = [f"  {name:<24}{count:>7}  {note}".rstrip() for name, count, note in rows]
        return "\n".join(lines)

    def _about_answers(self) -> str:
        return (
            f"told 2xx, or done on a socket; {self.answers_lost} lost their answer to the kill, and "
            "the retry was told: duplicate"
        )

    def _about_patience(self) -> str:
        return (
            f"finally; {self.put_off} others were told to try later, and count where they ended"
        )

    def _about_repetitions(self) -> str:
        return (
            "distinct (edgespool, edgeseq) in the origin's log; "
            f"{self.repeated} lie there once more"
        )


def close(ledger: Ledger, findings: dict[str, object]) -> Account:
    """Lay both books side by side.

    Args:
        ledger: The clients'.
        findings: What the audit printed.
    """
    tally = ledger.tally()
    verdicts = {ACCEPTED, DUPLICATE, ""}
    return Account(
        sent=len(ledger.entries),
        accepted=tally[ACCEPTED],
        duplicate=tally[DUPLICATE],
        refused=Counter({code: n for code, n in tally.items() if code not in verdicts}),
        unsettled=tally[""],
        answers_lost=ledger.answers_lost,
        resent=ledger.resent,
        put_off=sum(entry.put_off > 0 for entry in ledger.entries),
        forwarded=cast("int", findings["forwarded"]),
        repeated=cast("int", findings["repeated"]),
        lost=cast("int", findings["lost"]),
        faults=(*ledger.complaints, *cast("list[str]", findings["faults"])),
    )
