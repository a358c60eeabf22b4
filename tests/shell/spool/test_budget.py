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


@pytest.mark.parametrize(
    ("lane", "taken_bytes"), [(Lane.TELEMETRY, 639), (Lane.GAME, 639)], ids=["own", "others"]
)
def test_four_fifths_of_what_all_may_use_is_tight(lane: Lane, taken_bytes: int) -> None:
    """Of 1,000 bytes all but the reserve of 200, whoever took them."""
    filling = budget()
    assert is_taken(filling, lane, taken_bytes)
    assert not filling.is_tight(Lane.TELEMETRY)

    assert is_taken(filling, Lane.BET, 1)

    assert filling.is_tight(Lane.TELEMETRY)
    filling.give_back(lane, 1)
    assert not filling.is_tight(Lane.TELEMETRY)


def test_four_fifths_of_a_lanes_own_share_is_tight_for_it_alone() -> None:
    filling = budget(lane_share_max=0.5)
    assert is_taken(filling, Lane.TELEMETRY, 399)
    assert not filling.is_tight(Lane.TELEMETRY)

    assert is_taken(filling, Lane.TELEMETRY, 1)

    assert filling.is_tight(Lane.TELEMETRY)
    assert not filling.is_tight(Lane.GAME)


def test_a_lane_is_tight_before_it_is_full() -> None:
    """Byte by byte: it is never refused before it was told to be tight."""
    filling = budget(lane_share_max=0.3)
    for lane in (Lane.TELEMETRY, Lane.GAME, Lane.PLAYER):
        was_tight = filling.is_tight(lane)
        while is_taken(filling, lane, 10):
            was_tight = filling.is_tight(lane)
        assert was_tight


def test_what_may_still_wait_is_told_by_lane() -> None:
    some = budget(lane_share_max=0.5)
    some.take(Lane.GAME, 400)

    assert some.room_bytes(Lane.GAME) == 100
    assert some.room_bytes(Lane.PLAYER) == 400
    assert some.room_bytes(Lane.BET) == 500
    some.found(Lane.BET, 900)
    assert {some.room_bytes(lane) for lane in Lane} == {0}
