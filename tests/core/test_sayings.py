"""The examples of frames are frames: clients' are read, ours are written, and all make sense."""

import json
from typing import Final, cast

import msgspec
import pytest

from edge.core.closing import BYES
from edge.core.decode import decode_frame
from edge.core.event import Event
from edge.core.ops import ByeOp, OutOp, TokenOp, VerdictsOp, encode
from edge.core.push import Push, read_push
from edge.core.reject import Reason
from edge.core.sayings import PUSHED, SAYINGS, Saying

CLIENTS: Final = [saying for saying in SAYINGS if saying.action == "receive"]
OURS: Final = [saying for saying in SAYINGS if saying.action == "send"]


def name_of(saying: Saying) -> str:
    """Its op."""
    return saying.op


@pytest.mark.parametrize("saying", CLIENTS, ids=name_of)
def test_an_example_of_a_client_is_read_as_what_it_is(saying: Saying) -> None:
    op = decode_frame(msgspec.json.encode(saying.example))

    if isinstance(op, TokenOp):
        assert op == saying.example
    else:
        assert [isinstance(arrival, Event) for arrival in op] == [True]


@pytest.mark.parametrize("saying", OURS, ids=name_of)
def test_an_example_of_the_gateway_is_written_under_its_op(saying: Saying) -> None:
    written = json.loads(encode(cast("OutOp", saying.example)))

    assert written["op"] == saying.op


def test_each_op_and_each_operation_has_one_name() -> None:
    assert len({saying.op for saying in SAYINGS}) == len(SAYINGS)
    assert len({saying.operation for saying in SAYINGS}) == len(SAYINGS)
    assert {saying.answer for saying in SAYINGS} - {None} <= {saying.op for saying in OURS}


def test_the_example_of_verdicts_is_of_one_mind() -> None:
    """What is refused for good is done, what may come again is missing."""
    [told] = [s.example for s in SAYINGS if isinstance(s.example, VerdictsOp)]
    missing = {seq for first, last in told.missing for seq in range(first, last + 1)}

    assert told.settled + 1 == min(missing)
    assert {one.seq for one in told.refused if one.retryable} == missing
    for one in told.refused:
        [reason] = [reason for reason in Reason if reason.code == one.code]
        assert reason.is_retryable == one.retryable


def test_the_example_of_a_bye_has_the_code_of_its_reason() -> None:
    [bye] = [s.example for s in SAYINGS if isinstance(s.example, ByeOp)]

    assert BYES[bye.reason] == bye.code


def test_the_example_of_a_push_is_one() -> None:
    push = read_push(json.dumps(PUSHED).encode())

    assert isinstance(push, Push)
    assert json.loads(push.frame) == {"op": "push", "event": PUSHED}
