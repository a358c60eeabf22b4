"""A short outage, and the drain of what waited: the short form of the campaign."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from tests.faults import outage
from tests.faults.outage import PLANS, SEED, accept, endure, rows
from tests.faults.row import Scale
from tests.kafka.broker import Broker

if TYPE_CHECKING:
    from tests.faults.ledger import Ledger
    from tests.system.world import World


@pytest.mark.system
@pytest.mark.timeout(600)  # 12 s on two idle cores
def test_what_waited_out_an_outage_is_delivered_once_and_in_order(
    broker: Broker, tmp_path: Path
) -> None:
    plan = PLANS[Scale.SHORT]

    outcome = endure(plan, tmp_path, broker, print, seed=SEED)

    assert outcome.closing.faults == ()
    assert outcome.waiting >= plan.backlog
    assert outcome.drained >= outcome.waiting - plan.caught_up
    assert [(row.is_reached, row.faults) for row in rows(outcome, plan)] == [(True, ())] * 2


def test_the_full_plan_is_what_the_goal_asks() -> None:
    plan = PLANS[Scale.FULL]

    assert plan.is_timed
    assert plan.live_per_s == 2_000
    assert plan.backlog >= 30 * 60 * plan.live_per_s


def test_a_gateway_that_accepts_nothing_more_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outage, "TENTH_MAX_S", 0.1)
    monkeypatch.setattr(outage, "LOOK_S", 0.01)
    account = SimpleNamespace(accepted=7)

    def begin(*_: object) -> SimpleNamespace:
        return account

    book = SimpleNamespace(begin=begin, mark=lambda: account)
    here = SimpleNamespace(gateway=SimpleNamespace(public=("127.0.0.1", 0)))

    with pytest.raises(AssertionError, match="4,000 events are not accepted"):
        accept(cast("World", here), cast("Ledger", book), PLANS[Scale.SHORT], print)
