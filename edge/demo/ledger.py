"""The clients' own book: what they sent, and the one verdict each of it got.

An entry is one deliberate sending. Sending it again because no verdict came, or because the
verdict said to try later, is the same entry; saying the same thing twice on purpose is two.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

Event: TypeAlias = dict[str, object]

ACCEPTED: Final = "accepted"
DUPLICATE: Final = "duplicate"


@dataclass(slots=True)
class Entry:
    """One deliberate sending.

    Attributes:
        number: Place in the book, from 1; one speaker's entries are sent in this order.
        speaker: Who sent it.
        event: What was sent; ``None`` where it was no event at all.
        is_copy: Whether it repeats, on purpose, what was accepted before.
        verdict: ``accepted``, ``duplicate`` or a refusal's code; ``""`` as long as none came.
        unanswered: How often it was sent without any answer.
        put_off: How often the answer was to try later.
    """

    number: int
    speaker: str
    event: Event | None
    is_copy: bool = False
    verdict: str = ""
    unanswered: int = 0
    put_off: int = 0


@dataclass(slots=True)
class Ledger:
    """All entries, and every answer that contradicts them.

    Attributes:
        entries: In the order of their numbers. Grows with the evening, which ends by itself.
        complaints: Answers that cannot be true, in words.
        answers_lost: Entries whose first try was durable although its answer never came: their
            retry was told ``duplicate``, and they count as accepted, once.
        resent: Entries that were in doubt when a socket was lost, and went again on the next.
    """

    entries: list[Entry] = field(default_factory=list[Entry])
    complaints: list[str] = field(default_factory=list[str])
    answers_lost: int = 0
    resent: int = 0

    def enter(self, speaker: str, event: Event | None, *, is_copy: bool = False) -> Entry:
        """Write down what is about to be sent."""
        entry = Entry(len(self.entries) + 1, speaker, event, is_copy)
        self.entries.append(entry)
        return entry

    def settle(self, entries: list[Entry], accepted: int, duplicate: int) -> None:
        """Write down that all *entries* are durable, *accepted* of them only now.

        The answer gives counts, not names. Where every entry's tries were all answered, the
        counts must be what the clients know; where one answer was lost, they cannot know which
        of the two an event is, but the sum must still hold.
        """
        copies = sum(entry.is_copy for entry in entries)
        expected = len(entries) - copies, copies
        if accepted + duplicate != len(entries):
            self._complain(entries, f"{accepted} + {duplicate} verdicts")
        elif not any(entry.unanswered for entry in entries) and expected != (
            accepted,
            duplicate,
        ):
            self._complain(entries, f"accepted {accepted}, duplicate {duplicate}")
        else:
            self.answers_lost += duplicate - copies
        for entry in entries:
            self.vouch(entry)

    def vouch(self, entry: Entry) -> None:
        """Write down that *entry* is durable, now or before: a socket does not say which."""
        self.close(entry, DUPLICATE if entry.is_copy else ACCEPTED)

    def close(self, entry: Entry, verdict: str) -> None:
        """Write down the final verdict of *entry*; a second one is a complaint."""
        if entry.verdict:
            self._complain([entry], f"{verdict} after {entry.verdict}")
        entry.verdict = verdict

    def tally(self) -> Counter[str]:
        """Count the verdicts; ``""`` stands for none."""
        return Counter(entry.verdict for entry in self.entries)

    def save(self, path: Path) -> None:
        """Write the book for the audit, one entry a line."""
        with path.open("w", encoding="utf-8") as lines:
            for entry in self.entries:
                row = {
                    "number": entry.number,
                    "speaker": entry.speaker,
                    "verdict": entry.verdict,
                    "event": entry.event,
                }
                lines.write(json.dumps(row) + "\n")

    def _complain(self, entries: list[Entry], what: str) -> None:
        who = entries[0].speaker if entries else "nobody"
        numbers = [entry.number for entry in entries]
        self.complaints.append(f"{who}: {what} for entries {numbers}")
