"""Bytes may wait up to a bound, the last of them for money only, and come back."""

import pytest

from edge.config import SpoolSettings
from edge.core.lane import Lane
from edge.core.reject import Reason, Reject
from edge.shell.spool.budget import FULL_RETRY_AFTER_NS, Budget


def budget(lane_share_max: float = 1) -> Budget:
    """1,000 bytes, the last 200 of them for money."""
    return Budget(
        SpoolSettings(bytes_max=1000, reserve_bytes=200, lane_share_max=lane_share_max)
    )


def is_taken(budget: Budget, lane: Lane, size_bytes: int) -> bool:
    """Tell whether that much fits."""
    try:
        budget.take(lane, size_bytes)
    except Reject:
        return False
    return True


@pytest.mark.parametrize("lane", Lane)
def test_the_reserve_is_open_to_money_alone(lane: Lane) -> None:
    full = budget()
    assert is_taken(full, Lane.GAME, 800)

    assert is_taken(full, lane, 1) is (lane in {Lane.WALLET, Lane.BET})


def test_a_refusal_tells_when_to_try_again() -> None:
    with pytest.raises(Reject) as caught:
        budget().take(Lane.GAME, 801)

    assert caught.value.reason is Reason.LANE_FULL
    assert caught.value.retry_after_ns == FULL_RETRY_AFTER_NS


def test_money_too_has_an_end() -> None:
    full = budget()
    assert is_taken(full, Lane.BET, 1000)

    assert not is_taken(full, Lane.WALLET, 1)


def test_no_lane_takes_more_than_its_share() -> None:
    full = budget(lane_share_max=0.5)
    assert is_taken(full, Lane.BET, 500)

    assert not is_taken(full, Lane.BET, 1)
    assert is_taken(full, Lane.WALLET, 500)


def test_what_is_refused_is_not_counted_and_what_is_given_back_is_free() -> None:
    full = budget()
    assert not is_taken(full, Lane.GAME, 801)
    assert is_taken(full, Lane.GAME, 800)

    full.give_back(Lane.GAME, 300)

    assert is_taken(full, Lane.PLAYER, 300)


def test_a_start_finds_more_than_fits_and_refuses_only_what_is_new() -> None:
    full = budget()
    full.found(Lane.GAME, 5000)

    assert not is_taken(full, Lane.BET, 1)


def test_as_much_is_taken_as_there_is_room_for_up_to_what_was_asked() -> None:
    full = budget()

    assert full.take(Lane.GAME, 100, 300) == 300
    assert full.take(Lane.GAME, 100, 50) == 100
    assert full.take(Lane.GAME, 100, 9_999) == 400
    assert not is_taken(full, Lane.GAME, 1)
