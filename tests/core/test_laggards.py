"""``edge.core.laggards``: the latest of each key, in order, and never more than is bounded."""

from collections import Counter

import pytest
from hypothesis import given, strategies as st

from edge.core.laggards import KEYS_MAX, WAIT_BYTES, Laggards, Parcel
from edge.core.push import Label

SOCKETS = ("slow", "slower", "stuck")


def parcel(key: str, frame: bytes = b"frame", *, topic: str = "topic") -> Parcel:
    return Parcel(Label("all", "", topic, key), frame)


def everything(laggards: Laggards[str], socket: str) -> list[Parcel]:
    taken: list[Parcel] = []
    while (one := laggards.take(socket)) is not None:
        taken.append(one)
    return taken


def test_a_socket_gets_what_it_waited_for_in_the_order_of_publishing() -> None:
    laggards, parcels = Laggards[str](), [parcel(str(n)) for n in range(5)]
    for each in parcels:
        laggards.hold("slow", each)

    assert "slow" in laggards
    assert everything(laggards, "slow") == parcels
    assert "slow" not in laggards
    assert (laggards.conflated, laggards.dropped, laggards.held_bytes) == (0, 0, 0)


def test_of_one_key_the_latest_counts_and_stands_where_it_was_published() -> None:
    laggards = Laggards[str]()
    old, other, new = parcel("a"), parcel("b"), parcel("a")
    for each in (old, other, new):
        laggards.hold("slow", each)

    assert everything(laggards, "slow") == [other, new]
    assert (laggards.conflated, laggards.dropped) == (1, 0)


def test_a_key_counts_within_its_topic() -> None:
    laggards = Laggards[str]()
    here, there = parcel("key", topic="here"), parcel("key", topic="there")
    laggards.hold("slow", here)
    laggards.hold("slow", there)

    assert everything(laggards, "slow") == [here, there]


def test_sockets_wait_apart() -> None:
    laggards, one, two = Laggards[str](), parcel("a"), parcel("a")
    laggards.hold("slow", one)
    laggards.hold("slower", two)

    assert laggards.sockets() == ["slow", "slower"]
    assert len(laggards) == 2
    assert everything(laggards, "slower") == [two]
    assert everything(laggards, "slow") == [one]
    assert laggards.conflated == 0


def test_a_socket_that_waits_for_too_much_loses_its_oldest() -> None:
    laggards, parcels = Laggards[str](), [parcel(str(n)) for n in range(KEYS_MAX + 2)]
    for each in parcels:
        laggards.hold("slow", each)

    assert laggards.dropped == 2
    assert everything(laggards, "slow") == parcels[2:]


def test_what_many_wait_for_is_kept_once() -> None:
    laggards, shared = Laggards[str](), parcel("a", b"x" * 1000)
    for socket in SOCKETS:
        laggards.hold(socket, shared)

    assert laggards.held_bytes == 1000 + 3 * WAIT_BYTES


def test_a_full_house_costs_a_socket_its_own_oldest_and_nobody_elses() -> None:
    size = 100 + WAIT_BYTES
    laggards = Laggards[str](room_bytes=3 * size)
    kept, old, young, newest = (parcel(key, b"x" * 100) for key in "abcd")
    laggards.hold("slow", kept)
    for each in (old, young, newest):
        laggards.hold("slower", each)

    assert laggards.dropped == 1
    assert everything(laggards, "slower") == [young, newest]
    assert everything(laggards, "slow") == [kept]


def test_who_waits_for_nothing_yet_gets_nothing_in_a_full_house() -> None:
    laggards = Laggards[str](room_bytes=100 + WAIT_BYTES)
    kept = parcel("a", b"x" * 100)
    laggards.hold("slow", kept)
    laggards.hold("slower", parcel("b", b"x"))

    assert "slower" not in laggards
    assert laggards.dropped == 1
    assert everything(laggards, "slow") == [kept]


def test_a_socket_that_goes_waits_for_nothing_any_more() -> None:
    laggards = Laggards[str]()
    laggards.hold("slow", parcel("a"))
    laggards.hold("slow", parcel("b"))

    laggards.forget("slow")
    laggards.forget("who never waited")

    assert (len(laggards), laggards.dropped, laggards.held_bytes) == (0, 2, 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["hold", "hold", "hold", "take", "forget"]),
        st.sampled_from(SOCKETS),
        st.integers(0, 3),  # key
        st.integers(0, 7),  # which of those published is offered, or a new one
        st.integers(0, 60),  # size
    ),
    max_size=60,
)


@given(steps=STEPS, room_bytes=st.integers(0, 5 * WAIT_BYTES))
@pytest.mark.parametrize("keys_max", [1, 2, KEYS_MAX])
def test_every_push_is_taken_conflated_or_dropped_and_bytes_add_up(
    steps: list[tuple[str, str, int, int, int]], room_bytes: int, keys_max: int
) -> None:
    """Against a model that keeps whole lists."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edge.core.laggards.KEYS_MAX", keys_max)
        laggards = Laggards[str](room_bytes)
        model: dict[str, list[Parcel]] = {socket: [] for socket in SOCKETS}
        published: list[Parcel] = []
        offered, taken = 0, 0
        for what, socket, key, which, size in steps:
            line = model[socket]
            match what:
                case "hold":
                    if which >= len(published):
                        published.append(parcel(str(key), b"x" * size))
                    one = published[min(which, len(published) - 1)]
                    if any(one is each for each in line):
                        continue  # nobody is offered the same push twice
                    offered += 1
                    laggards.hold(socket, one)
                    line[:] = [each for each in line if each.key != one.key] + [one]
                    while line and (len(line) > keys_max or _size(model) > room_bytes):
                        line.pop(0)
                case "take":
                    got = laggards.take(socket)
                    assert got is (line.pop(0) if line else None)
                    taken += got is not None
                case _:
                    laggards.forget(socket)
                    line.clear()
            assert laggards.held_bytes == _size(model) <= max(room_bytes, 0)
            assert set(laggards.sockets()) == {each for each in SOCKETS if model[each]}
        waiting = sum(map(len, model.values()))
        assert taken + laggards.conflated + laggards.dropped + waiting == offered


def _size(model: dict[str, list[Parcel]]) -> int:
    """What all that is waited for takes, counted anew."""
    waits = Counter(id(each) for line in model.values() for each in line)
    frames = {id(each): len(each.frame) for line in model.values() for each in line}
    return sum(waits.values()) * WAIT_BYTES + sum(frames.values())
