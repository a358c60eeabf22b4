"""What the end of every campaign demands, whatever its fault was: that somebody talked."""

from dataclasses import replace

import pytest

from tests.faults.closing import missed
from tests.faults.ledger import Account, Findings

ACCOUNT = Account(
    mark=0,
    claimed=10,
    accepted=10,
    unanswered=0,
    refused={},
    repeated=0,
    broken=2,
    complaints=(),
    verdicts=0,
    seconds=1.0,
    p50_ms=None,
    p99_ms=None,
)


@pytest.mark.parametrize(
    ("owed_min", "broken_max", "faults"),
    [
        pytest.param(10, None, [], id="all well"),
        pytest.param(10, 2, [], id="as many are unheard as the fault explains"),
        pytest.param(11, 2, ["hardly anything was accepted: 10, not 11"], id="silence"),
        pytest.param(10, 1, ["1 requests without an answer"], id="one more is unheard"),
        pytest.param(10, 0, ["2 requests without an answer"], id="none may be"),
    ],
)
def test_too_little_talk_and_missing_answers_are_faults(
    owed_min: int, broken_max: int | None, faults: list[str]
) -> None:
    found = missed(ACCOUNT, Findings(owed=10), owed_min=owed_min, broken_max=broken_max)

    assert found == faults


def test_what_was_accepted_is_counted_by_the_audit() -> None:
    account = replace(ACCOUNT, accepted=0)

    assert missed(account, Findings(owed=5), owed_min=5, broken_max=None) == []
