"""The envelope's promise: these bytes, valid as CloudEvents and by our own rules, for ever."""

import msgspec
import pytest

from origin_client.envelope import Envelope
from origin_client.validate import validate
from tests.contract.envelopes import GOLDEN, NUMBERED, cloudevents_complaints

NAME_CHARS_MAX = 20
"""Source: CloudEvents 1.0.2 §3.1: names should not exceed it."""


@pytest.mark.parametrize("name", NUMBERED)
def test_an_envelope_is_written_as_it_always_was(name: str) -> None:
    golden = (GOLDEN / f"{name}.json").read_bytes()

    assert NUMBERED[name] + b"\n" == golden


def test_every_golden_file_is_one_of_them() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(NUMBERED)


@pytest.mark.parametrize("name", NUMBERED)
def test_an_envelope_is_a_cloudevent_and_obeys_our_own_rules(name: str) -> None:
    assert cloudevents_complaints(NUMBERED[name]) == []
    assert validate(NUMBERED[name]) == []


def test_a_cloudevents_reader_accepts_every_name_of_ours() -> None:
    names = set(Envelope.__struct_fields__) - {"data"}

    assert [
        name
        for name in names
        if not name.isascii()
        or not name.isalnum()
        or name != name.lower()
        or len(name) > NAME_CHARS_MAX
    ] == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"specversion": "1.1"}, "specversion"),
        ({"id": ""}, "id"),
        ({"source": "a b"}, "source"),
        ({"time": "14 February"}, "time"),
        ({"edge_node": "x"}, "edge_node"),
        ({"risk": 1.5}, "risk"),
        ({"seq": 2**31}, "seq"),
        ({"flags": ["late"]}, "flags"),
    ],
    ids=str,
)
def test_the_schema_is_not_empty(change: dict[str, object], fault: str) -> None:
    event = msgspec.json.decode(NUMBERED["full_intent"], type=dict[str, object]) | change

    complaints = cloudevents_complaints(msgspec.json.encode(event))

    assert complaints
    assert all(fault in complaint for complaint in complaints)
