"""``origin_client.http_batch``: bodies within their bound, and the one record at fault found."""

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given, strategies as st

from origin_client.http_batch import deliver
from origin_client.origin import OriginUnavailable, Outgoing, Refusal

WHY = "told so"


def outgoing(number: int, ballast: int = 0) -> Outgoing:
    return Outgoing(b"player-0001", b'{"n":%d,"x":"%s"}' % (number, b"x" * ballast))


@dataclass
class Table:
    """A receiver that takes a body whole or not at all.

    Attributes:
        bad: Numbers it objects to.
        fails_at: The post, from 0, that has no verdict.
        bodies: The numbers of each body, in order.
        taken: The numbers it keeps, in order.
    """

    bad: frozenset[int] = frozenset()
    fails_at: int = -1
    bodies: list[list[int]] = field(default_factory=list[list[int]])
    sizes: list[int] = field(default_factory=list[int])
    taken: list[int] = field(default_factory=list[int])

    def post(self, body: bytes) -> str | None:
        """Judge one body."""
        numbers = [
            each["n"] for each in msgspec.json.decode(body, type=list[dict[str, int | str]])
        ]
        self.bodies.append([int(number) for number in numbers])
        self.sizes.append(len(body))
        if len(self.bodies) - 1 == self.fails_at:
            raise OriginUnavailable("no verdict")
        if self.bad.intersection(self.bodies[-1]):
            return WHY
        self.taken += self.bodies[-1]
        return None


def test_a_batch_without_objection_is_one_body() -> None:
    table = Table()

    assert deliver([outgoing(n) for n in range(50)], bytes_max=1 << 20, post=table.post) == []

    assert table.bodies == [list(range(50))]


def test_nothing_is_posted_for_nothing() -> None:
    table = Table()

    assert deliver([], bytes_max=1024, post=table.post) == []

    assert table.bodies == []


def test_the_older_half_goes_first() -> None:
    table = Table(bad=frozenset({2}))

    refusals = deliver([outgoing(n) for n in range(4)], bytes_max=1024, post=table.post)

    assert refusals == [Refusal(2, WHY, is_final=True)]
    assert table.bodies == [[0, 1, 2, 3], [0, 1], [2, 3], [2], [3]]


def test_a_record_larger_than_a_body_goes_alone() -> None:
    table = Table()
    records = [outgoing(0), outgoing(1, 200), outgoing(2), outgoing(3)]

    deliver(records, bytes_max=100, post=table.post)

    assert table.bodies == [[0], [1], [2, 3]]


@pytest.mark.parametrize(
    "value",
    [b"", b"\xff", b"[]", b"7", b'{"n":1},{"n":2}', b'{"n":1}]', b'{"n":', b"[" * 100_000],
    ids=lambda value: repr(value[:20]),
)
def test_what_would_change_its_neighbours_is_refused_and_not_posted(value: bytes) -> None:
    table = Table()

    refusals = deliver(
        [outgoing(0), Outgoing(b"k", value), outgoing(2)], bytes_max=1024, post=table.post
    )

    assert refusals == [Refusal(1, "the value is not one JSON object", is_final=True)]
    assert table.bodies == [[0, 2]]


@dataclass(frozen=True)
class Sent:
    """One record of a batch, with what is wrong with it."""

    ballast: int
    is_bad: bool
    is_garbled: bool


SENT = st.builds(Sent, st.integers(0, 120), st.booleans(), st.booleans())


@given(sent=st.lists(SENT, max_size=24), bytes_max=st.integers(10, 600))
def test_exactly_the_bad_are_refused_and_the_others_are_there_once_in_order(
    sent: list[Sent], bytes_max: int
) -> None:
    records = [
        Outgoing(b"k", outgoing(n, each.ballast).value[: -1 if each.is_garbled else None])
        for n, each in enumerate(sent)
    ]
    table = Table(bad=frozenset(n for n, each in enumerate(sent) if each.is_bad))

    refusals = deliver(records, bytes_max=bytes_max, post=table.post)

    at_fault = [n for n, each in enumerate(sent) if each.is_bad or each.is_garbled]
    assert [each.index for each in refusals] == at_fault
    assert table.taken == [n for n in range(len(sent)) if n not in at_fault]
    for size, body in zip(table.sizes, table.bodies, strict=True):
        assert size <= bytes_max or len(body) == 1


@given(
    bad=st.frozensets(st.integers(0, 15)), fails_at=st.integers(0, 40), cut=st.integers(1, 16)
)
def test_after_an_outage_anywhere_all_again_keeps_each_record_behind_those_before_it(
    bad: frozenset[int], fails_at: int, cut: int
) -> None:
    records = [outgoing(n) for n in range(16)]
    table = Table(bad=bad, fails_at=fails_at)
    try:
        deliver(records, bytes_max=20 * cut, post=table.post)
    except OriginUnavailable:
        deliver(records, bytes_max=20 * cut, post=table.post)

    assert list(dict.fromkeys(table.taken)) == [n for n in range(16) if n not in bad]


def test_one_bad_record_among_500_costs_about_two_requests_for_each_halving() -> None:
    table = Table(bad=frozenset({321}))

    deliver([outgoing(n) for n in range(500)], bytes_max=1 << 20, post=table.post)

    assert len(table.bodies) == 19
    assert len(table.taken) == 499
