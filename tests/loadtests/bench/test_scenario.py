"""Requests are whole, their names are used once, sessions count by one."""

import json
from collections import Counter
from typing import Any, cast

import pytest

from loadtests.bench.scenario import BATCH, FILL_BATCH, LOADS, Casino, Event
from loadtests.bench.tokens import Issuer

SINGLE, MIXED, MANY = LOADS


@pytest.fixture(scope="module")
def casino() -> Casino:
    """With few players; tokens take time."""
    return Casino(Issuer(), players=40)


def read(request: bytes) -> tuple[dict[str, str], Any]:
    """Take a request apart as a server does."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name: value for name, _, value in (line.partition(": ") for line in lines)}
    assert first.startswith("POST /v1/events?k=")
    assert headers["content-length"] == str(len(body))
    return headers | {"k": first.split("=")[1].split()[0]}, json.loads(body)


def events(requests: list[bytes]) -> list[Event]:
    """Everything that is said, in its order."""
    bodies = [read(request)[1] for request in requests]
    return [e for b in bodies for e in (cast("list[Event]", b) if isinstance(b, list) else [b])]


def test_a_single_is_one_spin_of_one_player(casino: Casino) -> None:
    headers, event = read(casino.requests(SINGLE, 1)[0])

    assert event["type"] == "game.spin.requested"
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers["k"] == event["subject"]


def test_a_session_counts_by_one(casino: Casino) -> None:
    said = events(casino.requests(SINGLE, 120) + casino.requests(MIXED, 120))
    numbers: dict[str, list[int]] = {}
    for event in said:
        numbers.setdefault(event["session"], []).append(event["seq"])

    assert len(numbers) == 40
    for seqs in numbers.values():
        assert seqs == list(range(seqs[0], seqs[0] + 6))


def test_of_sixteen_mixed_events_three_are_no_spins(casino: Casino) -> None:
    types = Counter(event["type"] for event in events(casino.requests(MIXED, 160)))

    assert types == {
        "game.spin.requested": 130,
        "telemetry.interaction.batch": 20,
        "bet.slip.submitted": 10,
    }


def test_a_batch_is_rounds_of_one_shard(casino: Casino) -> None:
    headers, batch = read(casino.requests(MANY, 1)[0])

    assert len(batch) == BATCH == MANY.events
    types = [event["type"] for event in batch]
    assert types == ["bet.round.staked", "bet.round.settled"] * 25
    assert headers["content-type"] == "application/cloudevents-batch+json"
    shard = int(headers["k"].removeprefix("shard-"))
    assert {int(event["subject"].removeprefix("player-")) % 16 for event in batch} == {shard}


def test_no_name_is_used_twice(casino: Casino) -> None:
    said = events(
        casino.requests(SINGLE, 50)
        + casino.requests(MIXED, 50)
        + casino.requests(MANY, 4)
        + casino.greetings()
        + [request for _, request in casino.fillings(200)]
    )

    keys = Counter(
        event["data"].get("transaction_id") or event["data"].get("request_id") or event["id"]
        for event in said
    )
    assert set(keys.values()) == {1}
    assert len({event["id"] for event in said}) == len(said)


def test_no_two_runs_share_a_name() -> None:
    first, second = (events(Casino(Issuer(), players=1).requests(SINGLE, 3)) for _ in range(2))

    assert not {event["id"] for event in first} & {event["id"] for event in second}


def test_everybody_greets_once(casino: Casino) -> None:
    said = events(casino.greetings())

    assert len({event["subject"] for event in said}) == len(said) == 40


@pytest.mark.parametrize("entries", [1, 1_000])
def test_fillings_make_as_many_entries_in_each_lane(casino: Casino, entries: int) -> None:
    fillings = casino.fillings(entries)
    lanes: Counter[str] = Counter()
    for count, request in fillings:
        said = events([request])
        assert count == len(said) == FILL_BATCH
        lanes.update(event["type"].partition(".")[0] for event in said)

    assert 2 * lanes["bet"] >= entries
    assert 2 * lanes["game"] >= entries
    assert lanes["telemetry"] >= entries
