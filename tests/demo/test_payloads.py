"""Everything the evening says is what the catalogue asks for, and the same by seed."""

import json
import random
from collections.abc import Callable

import pytest

from edge.core.decode import Shape, decode
from edge.core.event import Event as Decoded
from edge.demo import payloads
from edge.demo.ledger import Event
from edge.demo.payloads import Visit


def visit(seed: int = 1) -> Visit:
    """Somebody's visit."""
    rng = random.Random(seed)  # noqa: S311  # no secret
    return Visit("player-ada", "north", "MT", rng, opened_ms=0)


SAYINGS: list[Callable[[Visit], Event]] = [
    payloads.session_started,
    payloads.session_ended,
    lambda ada: payloads.deposit_requested(ada, 100),
    lambda ada: payloads.deposit_settled(ada, 100),
    lambda ada: payloads.withdrawal_requested(ada, "wd-1", 100),
    lambda ada: payloads.withdrawal_settled(ada, "wd-1", 100),
    lambda ada: payloads.offer_claimed(ada, "welcome"),
    lambda ada: payloads.grant_credited(ada, "welcome"),
    payloads.interactions,
]


@pytest.mark.parametrize("saying", SAYINGS)
def test_the_gateways_own_decoder_takes_it(saying: Callable[[Visit], Event]) -> None:
    event = saying(visit())

    decoded = decode(json.dumps([event]).encode(), Shape.ARRAY)

    assert [type(each) for each in decoded] == [Decoded]


def test_the_same_seed_says_the_same() -> None:
    ada, same, other = (payloads.offer_claimed(visit(seed), "welcome") for seed in (7, 7, 8))

    assert {**ada, "time": ""} == {**same, "time": ""}
    assert ada["id"] != other["id"]


def test_client_events_are_numbered_and_facts_are_not() -> None:
    ada = visit()

    numbers = [
        event.get("seq")
        for event in (
            payloads.interactions(ada),
            payloads.session_started(ada),
            payloads.interactions(ada),
        )
    ]

    assert numbers == [1, None, 2]


def test_times_are_written_as_the_origin_shows_them() -> None:
    assert payloads.timestamp(1_771_099_200_007) == "2026-02-14T20:00:00.007Z"
