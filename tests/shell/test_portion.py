"""Portions are as small as the pace allows, and never so small that it is missed for long."""

import pytest

from edge.shell.deliver import BATCH_RECORDS_MAX
from edge.shell.portion import PORTION_RECORDS_MIN, Portion

PER_S = 8000


def batches(portion: Portion, publish_s: float, count: int) -> list[list[int]]:
    """Send full batches to an origin that takes so long for each publish."""
    sent: list[list[int]] = []
    for _ in range(count):
        left, lengths = BATCH_RECORDS_MAX, list[int]()
        length = portion.records_max(BATCH_RECORDS_MAX)
        while left:
            lengths.append(min(length, left))
            left -= lengths[-1]
            portion.note(lengths[-1], publish_s, max(0.0, lengths[-1] / PER_S - publish_s))
        sent.append(lengths)
    return sent


def test_the_first_batch_goes_whole_and_the_next_as_a_near_origin_allows() -> None:
    first, second = batches(Portion(), 0.002, 2)

    assert first == [BATCH_RECORDS_MAX]
    assert second == [256, 256, 256, 256, 256, 220]


@pytest.mark.parametrize(
    ("publish_s", "expected"),
    [
        pytest.param(0.030, [256] * 5 + [220], id="near"),
        pytest.param(0.045, [375] * 4, id="four round trips in the time of a batch"),
        pytest.param(0.060, [500] * 3, id="three"),
        pytest.param(0.090, [750] * 2, id="two"),
        pytest.param(0.100, [1500], id="one"),
        pytest.param(0.300, [1500], id="too far for the pace"),
    ],
)
def test_portions_are_even_and_as_many_as_the_time_of_a_batch_allows(
    publish_s: float, expected: list[int]
) -> None:
    assert batches(Portion(), publish_s, 6)[-3:] == [expected] * 3


def test_they_grow_when_the_origin_moves_away_and_shrink_when_it_comes_back() -> None:
    portion = Portion()
    batches(portion, 0.002, 3)

    away = [lengths[0] for lengths in batches(portion, 0.060, 3)]
    back = [lengths[0] for lengths in batches(portion, 0.002, 3)]

    assert away == [PORTION_RECORDS_MIN, 750, 500]
    assert back == [500, PORTION_RECORDS_MIN, PORTION_RECORDS_MIN]


def test_a_batch_that_is_never_sent_teaches_nothing() -> None:
    portion = Portion()
    batches(portion, 0.060, 2)

    assert portion.records_max(1500) == portion.records_max(1500) == 500
    assert portion.records_max(40) == 40
