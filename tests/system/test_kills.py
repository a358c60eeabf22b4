"""Forty of the thousand: SIGKILL between answer and retry loses nothing, doubles nothing."""

from pathlib import Path

import pytest

from tests.system.kills import besiege

KILLS = 40


@pytest.mark.system
@pytest.mark.timeout(120)  # forty starts of a second each on two busy cores, and as much again
def test_every_retry_is_a_duplicate_and_every_event_once_at_the_origin(tmp_path: Path) -> None:
    siege = besiege(KILLS, tmp_path, lambda _: None)

    assert siege.faults == []
    assert (
        siege.counts["answered"] + siege.counts["unanswered"] + siege.counts["burst"] == KILLS
    )
    assert siege.counts["retried, answered before"] > KILLS / 2
