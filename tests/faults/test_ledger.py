"""The ledger's process, against a gateway that can be made to forget, to hang up, to put off."""

import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from tests.faults.fakes_gateway import fake_gateway
from tests.faults.ledger import Ledger, Shape, ledger
from tests.faults.ledger.hall import next_turn_ns

SMALL = Shape(services=2, players=2, batch=5)
WAIT_S = 20.0


@pytest.fixture
def book(tmp_path: Path) -> Generator[Ledger]:
    """A ledger of this test's own."""
    with ledger(tmp_path, seed=1) as opened:
        yield opened


def wait(until: Callable[[], bool], what: str) -> None:
    """Look again and again."""
    end_s = time.monotonic() + WAIT_S
    while not until():
        assert time.monotonic() < end_s, what
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("answered_ns", "due_ns"),
    [(105, 200), (199, 200), (205, 200), (299, 200), (305, 300), (1099, 1000)],
)
def test_whoever_is_late_keeps_to_his_place_in_the_turn(answered_ns: int, due_ns: int) -> None:
    assert next_turn_ns(100, answered_ns, 100) == due_ns


def test_what_it_owes_is_what_was_accepted(book: Ledger) -> None:
    with fake_gateway() as gateway:
        book.begin(gateway.address, SMALL)
        wait(lambda: len(gateway.events) > 100, "a hundred events")
        account = book.rest()

    assert account.accepted == len(gateway.events) == len(gateway.known)
    assert (account.claimed, account.unanswered) == (account.accepted, 0)
    assert (account.refused, account.complaints) == ({}, ())
    assert account.p50_ms is not None


def test_an_answer_that_never_came_is_no_obligation_until_it_is_asked_for_again(
    book: Ledger,
) -> None:
    with fake_gateway() as gateway:
        gateway.mutes = 4
        book.begin(gateway.address, SMALL)
        wait(lambda: len(gateway.events) > 100, "a hundred events")
        account = book.rest()

    assert account.broken == 4
    assert account.accepted == len(gateway.events)
    assert account.complaints == ()


def test_an_answer_that_nobody_waited_for_is_not_missed(book: Ledger) -> None:
    with fake_gateway() as first, fake_gateway() as second:
        first.holds_back = True
        book.begin(first.address, SMALL)
        wait(lambda: len(first.events) >= 12, "a batch of each")
        begun = book.begin(second.address, SMALL)
        first.holds_back = False
        wait(lambda: len(second.events) > 20, "events")
        account = book.rest()

    assert begun.unanswered == 12
    assert (account.broken, account.complaints) == (0, ())


def test_each_service_speaks_of_so_many_players(book: Ledger) -> None:
    with fake_gateway() as gateway:
        book.begin(gateway.address, Shape(services=2, players=0, batch=20, subjects=1))
        wait(lambda: len(gateway.events) > 100, "a hundred events")
        book.rest()

    assert len({event["subject"] for event in gateway.events}) == 2


def test_a_gateway_that_forgot_what_it_had_answered_is_found_out(book: Ledger) -> None:
    with fake_gateway() as gateway:
        book.begin(gateway.address, SMALL)
        wait(lambda: len(gateway.events) > 100, "a hundred events")
        port = gateway.server_port
    with fake_gateway(port) as gateway:
        wait(lambda: len(gateway.events) > 100, "a hundred more")
        account = book.rest()

    assert any("accepted anew" in words for words in account.complaints)


def test_a_gateway_that_remembers_is_told_the_last_batch_once_more(book: Ledger) -> None:
    with fake_gateway() as gateway:
        book.begin(gateway.address, SMALL)
        wait(lambda: len(gateway.events) > 100, "a hundred events")
        known, port = gateway.known, gateway.server_port
    with fake_gateway(port) as gateway:
        gateway.known = known
        wait(lambda: len(gateway.events) > 100, "a hundred more")
        account = book.rest()

    assert account.repeated >= 12
    assert account.complaints == ()


def test_a_request_that_is_put_off_is_sent_again_and_no_fault(book: Ledger) -> None:
    with fake_gateway() as gateway:
        gateway.puts_off = 3
        book.begin(gateway.address, SMALL)
        wait(lambda: len(gateway.events) > 50, "fifty events")
        account = book.rest()

    assert account.refused["draining"] >= 3
    assert account.complaints == ()


def test_settling_asks_for_what_nobody_answered_and_sends_one_fresh_event(
    book: Ledger,
) -> None:
    with fake_gateway() as gateway:
        gateway.mutes = 10**6
        book.begin(gateway.address, SMALL)
        wait(lambda: len(gateway.events) >= 12, "a batch of each")
        before = book.rest()
        gateway.mutes = 0

        assert before.accepted == 0
        assert before.unanswered == 12
        assert book.settle(gateway.address) == []
        account = book.mark()

    assert (account.accepted, account.unanswered) == (13, 0)
    assert account.complaints == ()


def test_settling_with_nobody_there_says_what_is_left(book: Ledger) -> None:
    with fake_gateway() as gateway:
        gateway.mutes = 10**6
        book.begin(gateway.address, SMALL)
        wait(lambda: len(gateway.events) >= 12, "a batch of each")
        book.rest()
        address = gateway.address

    assert book.settle(address, timeout_s=0.3) == [
        "not settled within 0 s, 12 events without a verdict"
    ]


def test_a_paced_load_keeps_its_timetable(book: Ledger) -> None:
    with fake_gateway() as gateway:
        book.begin(gateway.address, Shape(services=1, players=2, batch=2, per_s=40.0))
        wait(lambda: len(gateway.events) > 40, "a second's events")
        account = book.rest()

    assert account.seconds > 0.5
    assert account.accepted < 400


def test_another_rate_brings_no_new_voices(book: Ledger) -> None:
    with fake_gateway() as gateway:
        book.begin(gateway.address, Shape(services=1, players=1, batch=2, per_s=1000.0))
        wait(lambda: len(gateway.events) > 10, "some events")
        book.begin(gateway.address, Shape(services=1, players=1, batch=2, per_s=2000.0))
        wait(lambda: len(gateway.events) > 50, "more events")
        book.rest()

    assert len(gateway.seen) == 2


def test_the_same_seed_says_the_same(tmp_path: Path) -> None:
    said: list[list[str]] = []
    for number in range(2):
        room = tmp_path / f"{number}"
        room.mkdir()
        with ledger(room, seed=7) as book, fake_gateway() as gateway:
            book.begin(gateway.address, Shape(services=1, players=0, batch=3))
            wait(lambda: len(gateway.events) >= 6, "two batches")  # called here
            book.rest()
        said.append([str(event["data"]) for event in gateway.events[:6]])

    assert said[0] == said[1]
