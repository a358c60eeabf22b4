"""A refusal is believed only of a record that is sent alone, and costs its neighbours little."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import pytest
from hypothesis import given, strategies as st

from edge.shell.deliver import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, deliver, first_batch
from origin_client.origin import OriginUnavailable, Outgoing, Refusal
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

    refused = deliver(partial(origin.publish, LANE.topic), records(3))

    assert {place + 1 for place in refused} == poison
    assert set(refused.values()) <= {"poison among 1"}
    assert origin.numbers() == [number for number in (1, 2, 3) if number not in poison]


@pytest.mark.parametrize("poison", [set[int](), {1}, {5}, {3, 4, 20}])
def test_no_more_is_published_at_once_than_one_says(poison: set[int]) -> None:
    origin = RecordingOrigin(poison=frozenset(poison), is_strict=True)

    deliver(partial(origin.publish, LANE.topic), records(20), records_max=4)

    assert max(map(len, origin.batches)) == 4
    assert origin.numbers() == [number for number in range(1, 21) if number not in poison]


def test_a_record_alone_is_asked_for_once() -> None:
    origin = RecordingOrigin(poison=frozenset({1}))

    assert deliver(partial(origin.publish, LANE.topic), records(1)) == {0: "poison among 1"}
    assert origin.batches == [[1]]


def test_an_outage_in_between_makes_the_fate_of_all_unknown() -> None:
    origin = RecordingOrigin([Outcome.TAKEN, Outcome.LOST], poison=frozenset({2}))

    with pytest.raises(OriginUnavailable):
        deliver(partial(origin.publish, LANE.topic), records(3))


@dataclass
class Brokers:
    """Origin of two partitions; stops at the first request that it refuses in each.

    Attributes:
        poison: What it will never take.
        request_records: So many of a partition go together, and are refused together.
        request_max: More in one request are refused for that.
        is_exact: It refuses the poison and nothing else.
        log: What it took, in order.
        sent: How many records each publish had.
    """

    poison: frozenset[int]
    request_records: int
    request_max: int
    is_exact: bool = False
    log: list[int] = field(default_factory=list[int])
    sent: list[int] = field(default_factory=list[int])

    def publish(self, records: Sequence[Outgoing]) -> list[Refusal]:
        """Take or refuse."""
        numbers = [int(record.value) for record in records]
        self.sent.append(len(numbers))
        lost = {number for number in numbers if number in self.poison}
        if not self.is_exact:
            for parity in range(2):
                mine = [number for number in numbers if number % 2 == parity]
                lost |= set(mine[self._taken(mine) :])
        self.log += [number for number in numbers if number not in lost]
        return [Refusal(n, "no") for n, number in enumerate(numbers) if number in lost]

    def _taken(self, numbers: list[int]) -> int:
        for first in range(0, len(numbers), self.request_records):
            request = numbers[first : first + self.request_records]
            if len(request) > self.request_max or not self.poison.isdisjoint(request):
                return first
        return len(numbers)


@given(
    count=st.integers(0, 200),
    poison=st.frozensets(st.integers(0, 199), max_size=8) | st.just(frozenset(range(200))),
    request_records=st.integers(1, 200),
    request_max=st.integers(1, 200),
    is_exact=st.booleans(),
)
def test_whatever_is_refused_with_it_each_arrives_in_order_or_is_dead_and_soon(
    *,
    count: int,
    poison: frozenset[int],
    request_records: int,
    request_max: int,
    is_exact: bool,
) -> None:
    origin = Brokers(poison, request_records, request_max, is_exact)

    dead = deliver(origin.publish, [Outgoing(b"k", b"%d" % n) for n in range(count)])

    there = [number for number in range(count) if number not in poison]
    assert set(dead) == poison & set(range(count))
    for parity in range(2):
        expected = [number for number in there if number % 2 == parity]
        assert [number for number in origin.log if number % 2 == parity] == expected
    # Of 200: 8 halvings to find each of the dead, and 8 doublings to be as fast as before; a
    # broker that takes less at once than we send costs a refusal for each two batches it takes.
    small = 0 if is_exact else 3 * count // min(request_max, request_records) + 1
    assert len(origin.sent) <= 1 + 16 * (len(dead) + 1) + small
    assert len(origin.sent) <= 1 + 16 + 3 * count


def test_one_of_a_full_batch_costs_few_publishes_and_not_one_for_each_neighbour() -> None:
    origin = Brokers(frozenset({700}), BATCH_RECORDS_MAX, BATCH_RECORDS_MAX)

    deliver(origin.publish, [Outgoing(b"k", b"%d" % n) for n in range(BATCH_RECORDS_MAX)])

    assert len(origin.sent) <= 3 * BATCH_RECORDS_MAX.bit_length()
    assert sum(origin.sent) <= 4 * BATCH_RECORDS_MAX


def test_where_all_are_dead_they_cost_hardly_more_than_one_publish_each() -> None:
    origin = Brokers(frozenset(range(BATCH_RECORDS_MAX)), 100, 100)

    deliver(origin.publish, [Outgoing(b"k", b"%d" % n) for n in range(BATCH_RECORDS_MAX)])

    assert len(origin.sent) <= BATCH_RECORDS_MAX + BATCH_RECORDS_MAX.bit_length()


def test_nothing_is_delivered_without_a_publish() -> None:
    origin = RecordingOrigin()

    assert deliver(partial(origin.publish, LANE.topic), []) == {}
    assert origin.batches == []


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


def test_what_an_origin_refused_for_good_is_not_tried_again() -> None:
    """It would come behind what followed it, if the origin changed its mind."""
    tried: list[list[bytes]] = []

    def publish(batch: Sequence[Outgoing]) -> list[Refusal]:
        tried.append([each.value for each in batch])
        return [Refusal(1, "bad", is_final=True), Refusal(2, "or not")] * (len(tried) == 1)

    dead = deliver(publish, records(4))

    assert dead == {1: "bad"}
    assert [len(batch) for batch in tried] == [4, 1]
    assert tried[1] == [records(4)[2].value]
