"""A short outage, and the drain of what waited: the short form of the campaign."""

from pathlib import Path

import pytest

from tests.faults.outage import PLANS, SEED, endure, rows
from tests.faults.row import Scale
from tests.kafka.broker import Broker


@pytest.mark.system
@pytest.mark.timeout(180)  # 15 s on two idle cores
def test_what_waited_out_an_outage_is_delivered_once_and_in_order(
    broker: Broker, tmp_path: Path
) -> None:
    plan = PLANS[Scale.SHORT]

    outcome = endure(plan, tmp_path, broker, print, seed=SEED)

    assert outcome.closing.faults == ()
    assert outcome.waiting >= plan.backlog
    assert outcome.drained >= outcome.waiting
    assert [row.faults for row in rows(outcome, plan)] == [(), ()]
