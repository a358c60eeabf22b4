"""Frames are read and written as design.md says; what a newer gateway says is passed over."""

import json
from typing import Final

import pytest
from hypothesis import given, strategies as st

from loadtests.ops import (
    Bye,
    Expiring,
    Limits,
    NotUnderstoodError,
    Push,
    Refused,
    Renewed,
    Verdicts,
    Welcome,
    Word,
    read,
    write_events,
    write_token,
)

WELCOME: Final = """{"op":"welcome","session":"s","known":true,"next_seq":58,"server_time_ms":5,
"expires_at_ms":7,"lanes":{"bet":"open"},
"limits":{"frame_bytes":65536,"events":200,"frames_per_s":50,"in_flight_bytes":9}}"""
VERDICTS: Final = """{"op":"verdicts","settled":57,"highest":64,"missing":[[58,60]],"refused":[
{"frame":3,"index":0,"id":"e","seq":61,"code":"c","pointer":"/data","retryable":false}],
"retry_after_ms":null}"""
REFUSED_FRAME: Final = """{"op":"verdicts","settled":0,"highest":0,"missing":[],"refused":[
{"frame":1,"index":null,"id":null,"seq":null,"code":"c","pointer":null,"retryable":false}],
"retry_after_ms":20}"""
BYE: Final = """{"op":"bye","code":4401,"reason":"token_expired","reconnect_after_ms":0}"""

SAID: Final[dict[str, tuple[str, Word]]] = {
    "welcome": (
        WELCOME,
        Welcome("s", 58, 5, 7, True, Limits(65536, 200, 50, 9), {"bet": "open"}),
    ),
    "verdicts": (
        VERDICTS,
        Verdicts(57, 64, [(58, 60)], [Refused(3, 0, "c", retryable=False, pointer="/data")]),
    ),
    "a refused frame": (
        REFUSED_FRAME,
        Verdicts(0, 0, [], [Refused(1, None, "c", retryable=False)], 20),
    ),
    "renewed": ('{"op":"renewed","expires_at_ms":4}', Renewed(4)),
    "expiring": ('{"op":"expiring","expires_at_ms":4}', Expiring(4)),
    "push": ('{"op":"push","event":{"a":[1]}}', Push({"a": [1]})),
    "bye": (BYE, Bye(4401, "token_expired", 0)),
    "a newer gateway's member": ('{"op":"renewed","expires_at_ms":4,"more":1}', Renewed(4)),
}


@pytest.mark.parametrize(("text", "word"), SAID.values(), ids=SAID)
def test_a_frame_is_read_as_text_and_as_bytes(text: str, word: Word) -> None:
    assert read(text) == read(text.encode()) == word


def test_an_op_of_a_newer_gateway_is_passed_over() -> None:
    assert read('{"op":"weather","is_fine":true}') is None


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '"op"', "{}", '{"op":1}', '{"op":"bye"}', b"\xff", b'{"op":"\xff"}'],
    ids=repr,
)
def test_what_is_no_frame_of_the_contract_is_told(text: str | bytes) -> None:
    with pytest.raises(NotUnderstoodError):
        read(text)


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_told(text: bytes) -> None:
    try:
        read(text)
    except NotUnderstoodError:
        return


def test_events_and_a_token_are_written() -> None:
    assert json.loads(write_events([b'{"a":1}', b'{"b":2}'])) == {
        "op": "events",
        "events": [{"a": 1}, {"b": 2}],
    }
    assert json.loads(write_events([])) == {"op": "events", "events": []}
    assert json.loads(write_token('a"b')) == {"op": "token", "token": 'a"b'}
