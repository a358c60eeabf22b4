"""One entry per deliberate sending, one verdict per entry, and contradictions are noticed."""

import json
from pathlib import Path

from edge.demo.ledger import ACCEPTED, DUPLICATE, Ledger


def test_what_was_answered_at_once_must_be_counted_as_the_clients_know_it() -> None:
    ledger = Ledger()
    fresh = [ledger.enter("ada", {"id": str(n)}) for n in range(2)]
    copy = ledger.enter("ada", {"id": "0"}, is_copy=True)

    ledger.settle([*fresh, copy], accepted=2, duplicate=1)

    assert ledger.tally() == {ACCEPTED: 2, DUPLICATE: 1}
    assert ledger.complaints == []
    assert ledger.answers_lost == 0


def test_a_duplicate_that_was_never_sent_before_is_a_complaint() -> None:
    ledger = Ledger()
    entry = ledger.enter("ada", {"id": "1"})

    ledger.settle([entry], accepted=0, duplicate=1)

    assert ledger.complaints == ["ada: accepted 0, duplicate 1 for entries [1]"]


def test_after_a_lost_answer_a_duplicate_is_accepted_once() -> None:
    ledger = Ledger()
    entries = [ledger.enter("ada", {"id": str(n)}) for n in range(3)]
    for entry in entries:
        entry.unanswered += 1

    ledger.settle(entries, accepted=1, duplicate=2)

    assert ledger.tally() == {ACCEPTED: 3}
    assert ledger.answers_lost == 2
    assert ledger.complaints == []


def test_verdicts_must_be_as_many_as_events() -> None:
    ledger = Ledger()
    entries = [ledger.enter("ada", {"id": str(n)}) for n in range(7)]

    ledger.settle(entries, accepted=6, duplicate=0)

    assert ledger.complaints == ["ada: 6 + 0 verdicts for entries [1, 2, 3, 4, 5, 6, 7]"]


def test_a_second_verdict_is_a_complaint() -> None:
    ledger = Ledger()
    entry = ledger.enter("ada", {"id": "1"})
    ledger.close(entry, "pii_leak")

    ledger.close(entry, ACCEPTED)

    assert ledger.complaints == ["ada: accepted after pii_leak for entries [1]"]


def test_what_has_no_verdict_is_tallied_as_such() -> None:
    ledger = Ledger()
    ledger.enter("ada", None)

    assert ledger.tally() == {"": 1}


def test_the_saved_book_says_what_the_audit_needs(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.close(ledger.enter("ada", {"id": "1"}), ACCEPTED)
    ledger.enter("ben", None)

    ledger.save(tmp_path / "ledger.jsonl")

    rows = [json.loads(row) for row in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert rows == [
        {"number": 1, "speaker": "ada", "verdict": "accepted", "event": {"id": "1"}},
        {"number": 2, "speaker": "ben", "verdict": "", "event": None},
    ]
