"""The wall clock jumps by an hour, a day, ten years: nothing is lost, and limits do not notice."""

from pathlib import Path

import pytest
from typing_extensions import override

from edge.demo.ledger import Event
from tests.faults import preload
from tests.faults.clock_jumps import Clock, Player, clock_jumps
from tests.faults.row import Scale
from tests.system.world import world


@pytest.mark.system
@pytest.mark.timeout(600)  # a few starts: 4 s on two idle cores; many waits of up to 20 s
@pytest.mark.skipif(preload.missing() != "", reason=f"SKIPPED: {preload.missing()}")
def test_a_clock_that_jumps_loses_nothing_and_turns_nothing_round(tmp_path: Path) -> None:
    rows = list(clock_jumps(Scale.SHORT, tmp_path, lambda _: None))

    assert [fault for row in rows for fault in row.faults] == []
    assert all(row.is_reached for row in rows)


class Broken(Clock):
    """Shows no time."""

    @override
    def stamp(self, event: Event) -> None:
        """Fail."""
        raise ValueError("no hands")


def test_a_player_who_ends_by_an_error_of_any_kind_says_so(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        player = Player(here, Broken(), "ada")
        player.run()

    assert player.fault == "ada: ValueError('no hands')"
