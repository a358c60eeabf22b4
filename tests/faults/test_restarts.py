"""A few of the hundred: rolling restarts under load lose nothing, and end in order."""

from pathlib import Path

import pytest

from tests.faults import restarts as campaign
from tests.faults.closing import Closing
from tests.faults.ledger import Account, Findings
from tests.faults.restarts import RESTARTS, Rota, restarts
from tests.faults.row import Scale


@pytest.mark.system
@pytest.mark.timeout(600)  # three lives, ended in order: 8 s on idle cores
def test_no_restart_loses_what_was_accepted(tmp_path: Path) -> None:
    (row,) = restarts(Scale.SHORT, tmp_path, lambda _: None)

    assert row.faults == ()
    assert row.is_reached


def test_the_full_form_is_what_the_goal_asks() -> None:
    assert RESTARTS[Scale.FULL] >= 100


@pytest.mark.parametrize(("refused", "is_reached"), [({"draining": 20}, True), ({}, False)])
def test_restarts_in_which_nobody_is_put_off_prove_nothing(
    refused: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    is_reached: bool,
) -> None:
    account = Account(0, 9, 9, 0, refused, 0, 0, (), 0, 1.0, None, None)
    rota = Rota(exits_s=[0.5] * RESTARTS[Scale.SHORT])

    def rolled(*_: object) -> tuple[Rota, Closing]:
        return rota, Closing(account, Findings(owed=9), ())

    monkeypatch.setattr(campaign, "roll", rolled)
    (row,) = restarts(Scale.SHORT, tmp_path, lambda _: None)

    assert row.is_reached is is_reached
