"""The closing table shows both books, and no sum that fails goes unsaid."""

from dataclasses import replace

import pytest

from edge.demo.account import Account, close
from edge.demo.ledger import ACCEPTED, DUPLICATE, Ledger

FINDINGS: dict[str, object] = {"forwarded": 2, "repeated": 1, "lost": 0, "faults": []}


def evening() -> Ledger:
    """Two accepted, one said twice, three refused."""
    ledger = Ledger()
    for verdict in (ACCEPTED, ACCEPTED, DUPLICATE, "pii_leak", "pii_leak", "token_expired"):
        ledger.close(ledger.enter("ada", {}), verdict)
    ledger.resent = 1
    return ledger


SOUND: Account = close(evening(), FINDINGS)


def test_both_books_side_by_side() -> None:
    assert list(SOUND.imbalances()) == []
    assert [line.split()[:2] for line in SOUND.table().splitlines()] == [
        ["sent", "6"],
        ["accepted", "2"],
        ["resent", "1"],
        ["duplicate", "1"],
        ["refused", "3"],
        ["pii_leak", "2"],
        ["token_expired", "1"],
        ["forwarded", "2"],
        ["lost", "0"],
    ]


@pytest.mark.parametrize(
    ("harmed", "complaints"),
    [
        pytest.param(
            replace(SOUND, lost=1), ["1 accepted events are lost"], id="the origin lost one"
        ),
        pytest.param(
            replace(SOUND, forwarded=3), ["accepted 2, but 3 forwarded"], id="one too many"
        ),
        pytest.param(
            replace(SOUND, sent=7, unsettled=1),
            ["1 events never got a verdict"],
            id="one without a verdict",
        ),
        pytest.param(replace(SOUND, sent=7), ["sent 7, but 6 verdicts"], id="one vanished"),
        pytest.param(replace(SOUND, faults=("gap",)), ["gap"], id="what others found"),
    ],
)
def test_a_sum_that_fails_is_said(harmed: Account, complaints: list[str]) -> None:
    assert list(harmed.imbalances()) == complaints


def test_what_clients_and_audit_found_wrong_is_carried_over() -> None:
    ledger = evening()
    ledger.complaints.append("told twice")

    account = close(ledger, FINDINGS | {"faults": ["a gap"]})

    assert account.faults == ("told twice", "a gap")
