"""Counts what became of the events of a replay, and puts it into words. Any thread.

Every event of the file is either settled, under exactly one of accepted, duplicate and refused,
or not settled when a replay ends early. An event whose first answer was lost comes back as a
duplicate, although this replay made it durable.
"""

import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from loadtests.bets import Fact
from loadtests.ruling import Ruling

# More of them are the same mistake, usually.
REFUSALS_LISTED_MAX: Final = 20
# With the rest of the line, what a terminal of 80 columns holds.
BAR_CHARS: Final = 10


@dataclass(slots=True)
class Tally:
    """One replay's counts.

    Attributes:
        total: Events of the file.
        accepted: Durable since this replay.
        duplicate: Durable before they were sent, or sent again.
        refused: For good, by code.
        retries: Requests that had to be followed by another with the same events.
        overtaken: Events that had to be sent again while a later one of their player, in the
            same batch, was taken.
        listed: The first refusals, in words.
        cause: Why something is being sent again, last.
    """

    total: int
    accepted: int = 0
    duplicate: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    retries: int = 0
    overtaken: int = 0
    listed: list[str] = field(default_factory=list[str])
    cause: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def sent(self) -> int:
        """Events that are settled."""
        return self.accepted + self.duplicate + self.refused.total()

    def count(self, facts: Sequence[Fact], ruling: Ruling) -> None:
        """Count the answer to one request that stated *facts*."""
        with self._lock:
            self.accepted += ruling.accepted
            self.duplicate += ruling.duplicate
            self.retries += bool(ruling.again)
            self.cause = ruling.cause
            for refusal in ruling.refused:
                self.refused[refusal.code] += 1
                if len(self.listed) < REFUSALS_LISTED_MAX:
                    fact = facts[refusal.index]
                    where = f" at {refusal.pointer}" if refusal.pointer is not None else ""
                    self.listed.append(f"line {fact.line}, {fact.type}: {refusal.code}{where}")
            self.overtaken += _overtaken(facts, ruling)

    def bar(self, elapsed_s: float) -> str:
        """Draw how far we are, in one line."""
        share = self.sent / max(self.total, 1)
        filled = int(share * BAR_CHARS)
        per_s = self.sent / max(elapsed_s, 1e-9)
        left_s = (self.total - self.sent) / per_s if per_s else 0.0
        trouble = f"({self.cause})  " if self.cause else ""
        return (
            f"[{'#' * filled}{'-' * (BAR_CHARS - filled)}] {share:4.0%} {per_s:,.0f}/s "
            f"ETA {int(left_s // 60)}:{int(left_s % 60):02d}  {trouble}{self._counts()}"
        )

    def summary(self, elapsed_s: float) -> str:
        """Say how it ended, in one line."""
        codes = ", ".join(f"{count:,} {code}" for code, count in sorted(self.refused.items()))
        remarks = [f" ({codes})" if codes else ""]
        if self.duplicate == self.total:
            remarks.append(", all duplicate: nothing was new")
        if self.sent < self.total:
            remarks.append(f", {self.total - self.sent:,} of {self.total:,} not settled")
        if self.overtaken:
            remarks.append(f", {self.overtaken:,} overtaken")
        return (
            f"{self.sent:,} events sent: {self._counts()}{''.join(remarks)}; "
            f"{self.retries:,} retries, {elapsed_s:.1f} s"
        )

    def as_json(self, elapsed_s: float) -> str:
        """Say the same to a program."""
        return json.dumps(
            {
                "total": self.total,
                "sent": self.sent,
                "accepted": self.accepted,
                "duplicate": self.duplicate,
                "refused": dict(sorted(self.refused.items())),
                "retries": self.retries,
                "overtaken": self.overtaken,
                "seconds": round(elapsed_s, 3),
            }
        )

    def _counts(self) -> str:
        return (
            f"{self.accepted:,} accepted, {self.duplicate:,} duplicate, "
            f"{self.refused.total():,} refused"
        )


def _overtaken(facts: Sequence[Fact], ruling: Ruling) -> int:
    """Count the facts to send again behind which one of the same player is durable."""
    if not ruling.accepted:
        return 0
    put_off = set(ruling.again)
    not_taken = put_off | {refusal.index for refusal in ruling.refused}
    taken_later: set[str] = set()
    overtaken = 0
    for index in reversed(range(len(facts))):
        if index in put_off:
            overtaken += facts[index].player in taken_later
        elif index not in not_taken:
            taken_later.add(facts[index].player)
    return overtaken
