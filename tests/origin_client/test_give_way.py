"""A loop rests between every so many records, longer while somebody is in a hurry."""

import time
from collections.abc import Generator

import pytest

from origin_client import give_way as module
from origin_client.give_way import (
    HURRY_S,
    TURN_RECORDS,
    TURN_S,
    Hurry,
    be_patient,
    give_way,
    rest,
)


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
    monkeypatch.setattr(module, "HURRY", Hurry())

    for done in range(records):
        give_way(done)

    assert rests_s == [TURN_S] * turns


@pytest.fixture
def patience() -> Generator[None]:
    """This thread is patient."""
    be_patient(is_patient=True)
    yield
    be_patient(is_patient=False)


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("looks", [1, 2])
def test_a_rest_ends_with_the_hurry(looks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry, rests_s = Hurry(), list[float]()
    monkeypatch.setattr(module, "HURRY", hurry)
    hurry.begin()
    hurry.begin()

    def sleep(seconds: float) -> None:
        rests_s.append(seconds)
        if len(rests_s) > looks:
            hurry.end()
            hurry.end()

    monkeypatch.setattr(time, "sleep", sleep)
    rest()

    assert len(rests_s) == 1 + looks


@pytest.mark.usefixtures("patience")
def test_who_is_always_in_a_hurry_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry, rests_s = Hurry(), list[float]()
    monkeypatch.setattr(module, "HURRY", hurry)
    monkeypatch.setattr(time, "sleep", rests_s.append)
    hurry.begin()

    rest()

    assert HURRY_S <= sum(rests_s) < 2 * HURRY_S


def test_who_is_behind_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry, rests_s = Hurry(), list[float]()
    monkeypatch.setattr(module, "HURRY", hurry)
    monkeypatch.setattr(time, "sleep", rests_s.append)
    hurry.begin()
    be_patient(is_patient=False)

    rest()

    assert rests_s == [TURN_S]
