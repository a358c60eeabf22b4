"""A loop rests between every so many records, and neither before its first nor behind its last."""

import time

import pytest

from origin_client.give_way import TURN_RECORDS, TURN_S, give_way


@pytest.mark.parametrize(
    ("records", "turns"),
    [
        (0, 0),
        (TURN_RECORDS, 0),
        (TURN_RECORDS + 1, 1),
        (2 * TURN_RECORDS, 1),
        (2 * TURN_RECORDS + 1, 2),
    ],
)
def test_a_loop_rests_between_every_so_many_records(
    records: int, turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests_s: list[float] = []
    monkeypatch.setattr(time, "sleep", rests_s.append)

    for done in range(records):
        give_way(done)

    assert rests_s == [TURN_S] * turns
