"""A refusal is believed only of a record that is sent alone."""

import itertools

import pytest

from edge.shell.deliver import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, deliver, first_batch
from origin_client.origin import OriginUnavailable, Outgoing
from tests.fakes_forward import LANE, Outcome, RecordingOrigin, stored


def records(count: int) -> list[Outgoing]:
    """Records 1 to *count*, of two keys."""
    frames = [stored(number, f"player-{number % 2}") for number in range(1, count + 1)]
    return [Outgoing(frame.key, frame.value) for frame in frames]


@pytest.mark.parametrize("is_strict", [False, True])
@pytest.mark.parametrize(
    "poison",
    [
        set(numbers)
        for size in range(4)
        for numbers in itertools.combinations(range(1, 4), size)
    ],
)
def test_exactly_the_refused_are_named_and_the_rest_is_there_in_order(
    poison: set[int],
    is_strict: bool,  # noqa: FBT001  # a row of the table
) -> None:
    origin = RecordingOrigin(poison=frozenset(poison), is_strict=is_strict, is_backwards=True)

    refused = deliver(origin, LANE.topic, records(3))

    assert {place + 1 for place in refused} == poison
    assert set(refused.values()) <= {"poison among 1"}
    assert origin.numbers() == [number for number in (1, 2, 3) if number not in poison]


def test_a_record_alone_is_asked_for_once() -> None:
    origin = RecordingOrigin(poison=frozenset({1}))

    assert deliver(origin, LANE.topic, records(1)) == {0: "poison among 1"}
    assert origin.batches == [[1]]


def test_an_outage_in_between_makes_the_fate_of_all_unknown() -> None:
    origin = RecordingOrigin([Outcome.TAKEN, Outcome.LOST], poison=frozenset({2}))

    with pytest.raises(OriginUnavailable):
        deliver(origin, LANE.topic, records(3))


def sized(*sizes: int) -> list[Outgoing]:
    """Records of so many bytes."""
    return [Outgoing(b"k", bytes(size)) for size in sizes]


@pytest.mark.parametrize(
    ("sizes", "first"),
    [
        ((), 0),
        ((1, 2, 3), 3),
        ((BATCH_BYTES_MAX - 1, 1, 1), 2),
        ((BATCH_BYTES_MAX + 1, 1), 1),
        ((1, BATCH_BYTES_MAX), 1),
        ((0,) * (BATCH_RECORDS_MAX + 1), BATCH_RECORDS_MAX),
    ],
    ids=["none", "all", "full", "one too large", "next too large", "too many"],
)
def test_a_batch_has_both_bounds_and_at_least_one_record(
    sizes: tuple[int, ...], first: int
) -> None:
    assert first_batch(sized(*sizes)) == sized(*sizes)[:first]
