"""Lane game: any stake may be asked for, and a jackpot names its prize."""

import pytest

from edge.core.reject import Reason
from tests.core.catalogue.examples import money
from tests.core.catalogue.judging import changed, refusal


@pytest.mark.parametrize("spin_input", ["autoplay", "quick"])
def test_what_one_regulator_forbids_is_not_for_the_schema(spin_input: str) -> None:
    assert refusal(changed("game.spin.requested", {"/data/input": spin_input})) is None


def test_a_free_spin_is_asked_for_with_no_stake() -> None:
    assert refusal(changed("game.spin.requested", {"/data/stake": money(0)})) is None


def test_a_game_may_feed_no_jackpot() -> None:
    assert refusal(changed("game.session.opened", {"/data/jackpot_ids": []})) is None


@pytest.mark.parametrize(
    ("event_type", "pointer"),
    [
        pytest.param("game.jackpot.won", "/data/level", id="level"),
        pytest.param("game.session.opened", "/data/jackpot_ids/1", id="one of several ids"),
    ],
)
def test_a_jackpots_name_is_an_id(event_type: str, pointer: str) -> None:
    named = changed(event_type, {pointer: "grand prix"})

    assert refusal(named) == (Reason.SCHEMA_VIOLATION, pointer)
