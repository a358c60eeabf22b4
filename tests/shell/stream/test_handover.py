"""``edge.shell.stream.handover``: in order, bounded, and nobody sleeps beside work."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from edge.core.laggards import Parcel
from edge.core.push import Label
from edge.shell.stream import handover as handover_module
from edge.shell.stream.handover import Handover
from tests.fakes_kafka import wait_until


class Bell:
    """Counts how often it is rung."""

    def __init__(self) -> None:
        self.rung = 0

    def ring(self) -> None:
        """Count."""
        self.rung += 1


def parcel(key: int, name: str = "") -> Parcel:
    return Parcel(Label("player" if name else "all", name, "topic", str(key)), b"{}")


def take_beside(handover: Handover, late: Parcel) -> list[Parcel]:
    """Give *late*, which must wait for a place; return what is taken meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        giving = pool.submit(handover.give, late)
        assert not giving.done()
        taken = handover.take()
        giving.result()
    return taken


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let four wait at most."""
    monkeypatch.setattr(handover_module, "WAITING_MAX", 4)


def test_what_is_given_is_taken_in_order_and_once() -> None:
    handover = Handover(Bell().ring)
    given = [parcel(number % 2) for number in range(4)]
    for each in given:
        handover.give(each)

    assert handover.take() == given
    assert handover.take() == []
    assert handover.superseded == 0


def test_whoever_takes_is_woken_only_after_it_found_nothing() -> None:
    bell = Bell()
    handover = Handover(bell.ring)
    for number in range(3):
        handover.give(parcel(number))
    assert bell.rung == 1
    handover.take()
    handover.give(parcel(3))
    assert bell.rung == 1
    handover.take()
    assert handover.take() == []
    handover.give(parcel(4))

    assert bell.rung == 2


def test_when_it_is_full_a_newer_push_takes_the_place_of_the_latest_like_it() -> None:
    handover = Handover(Bell().ring)
    first, second, third, fourth = (parcel(number) for number in (1, 1, 2, 3))
    newer, newest = parcel(1), parcel(1)
    for each in (first, second, third, fourth, newer, newest):
        handover.give(each)

    assert handover.take() == [first, newest, third, fourth]
    assert handover.superseded == 2


def test_when_it_is_full_whoever_gives_something_else_waits() -> None:
    handover = Handover(Bell().ring)
    given = [parcel(number, name="ada") for number in range(4)]
    for each in given:
        handover.give(each)
    late = parcel(1, name="bob")

    assert take_beside(handover, late) == given
    assert handover.take() == [late]


def test_what_was_taken_is_not_replaced_any_more() -> None:
    handover = Handover(Bell().ring)
    handover.give(parcel(1))
    handover.take()
    given = [parcel(number) for number in (2, 3, 4, 5)]
    for each in given:
        handover.give(each)
    late = parcel(1)

    assert take_beside(handover, late) == given
    assert handover.take() == [late]


def test_closing_ends_the_waiting_and_takes_nothing_more() -> None:
    handover = Handover(Bell().ring)
    for number in range(4):
        handover.give(parcel(number))
    giver = threading.Thread(target=handover.give, args=(parcel(4),))
    giver.start()
    handover.close()
    giver.join()
    handover.give(parcel(5))

    assert [each.label.key for each in handover.take()] == ["0", "1", "2", "3"]


def test_two_threads_lose_nothing_and_keep_the_order() -> None:
    """However they take turns: the taker looks only when it is woken."""
    awake, count = threading.Event(), 2000
    handover, taken = Handover(awake.set), list[int]()

    def take() -> None:
        while len(taken) < count:
            awake.wait()
            awake.clear()
            while found := handover.take():
                taken.extend(int(each.label.key) for each in found)

    taker = threading.Thread(target=take)
    taker.start()
    for number in range(count):
        handover.give(parcel(number))
    wait_until(lambda: not taker.is_alive())

    assert taken == list(range(count))
