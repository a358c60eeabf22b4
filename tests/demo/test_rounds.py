"""What is said about rounds and slips is what the catalogue asks for."""

import json
import random
from collections.abc import Callable

import pytest

from edge.core.decode import Shape, decode
from edge.core.event import Event as Decoded
from edge.demo.ledger import Event
from edge.demo.payloads import Visit, some_uuid
from edge.demo.rounds import Round, Table, slip_decided, slip_submitted

TABLE = Table("starburst-7", "sitting-1")
ROUND = Round(TABLE, "round-1", 100, "tx-1")


SAYINGS: list[Callable[[Visit], Event]] = [
    TABLE.opened,
    lambda ada: TABLE.spin(ada, 20),
    ROUND.staked,
    lambda ada: ROUND.settled(ada, 0),
    lambda ada: ROUND.settled(ada, 4000),
    ROUND.rolled_back,
    lambda ada: slip_submitted(ada, some_uuid(ada.rng)),
    lambda ada: slip_decided(ada, some_uuid(ada.rng)),
]


@pytest.mark.parametrize(
    "saying",
    SAYINGS,
    ids=["sitting", "spin", "stake", "loss", "win", "rollback", "slip", "decision"],
)
def test_the_gateways_own_decoder_takes_it(saying: Callable[[Visit], Event]) -> None:
    ada = Visit("player-ada", "north", "MT", random.Random(1))  # noqa: S311  # no secret

    decoded = decode(json.dumps([saying(ada)]).encode(), Shape.ARRAY)

    assert [type(each) for each in decoded] == [Decoded]
