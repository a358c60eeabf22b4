"""A refused event's shape says what stands where, and nothing that its sender wrote."""

import json
import re
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, strategies as st

from edge.core.catalogue.registry import SPECS
from edge.core.decode import Shape, decode
from edge.core.event import Event, WireEvent
from edge.core.excerpt import EVIDENCE_BYTES_MAX, SHAPE_BYTES_MAX, excerpt
from tests.core.catalogue.examples import TYPES, example
from tests.core.test_admit import spin

CANARIES = {
    "token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJwIn0.c2lnbmF0dXJl",
    "e-mail": "ada.lovelace@example.com",
    "card": "4111111111111111",
    "name": "Lovelace",
}
NUMBER = 4_111_111_111_111_111
"""A card number where a sender writes an amount."""

WORD = re.compile(
    r"null|boolean|number|string\(\d+\)|integer(, negative)?(, unsafe)?|\+\d+"
    r"|unread\(\d+ bytes\)"
)


def wire_of(event: dict[str, Any]) -> WireEvent:
    """Decode a good event."""
    (read,) = decode(json.dumps(event).encode(), Shape.OBJECT)
    assert isinstance(read, Event)
    return read.wire


def shape_of(document: object) -> Any:
    """The shape of what a sender wrote, read back."""
    return msgspec.json.decode(excerpt(json.dumps(document).encode()).shape)


def test_a_typed_event_is_shown_by_its_members_and_their_types() -> None:
    wire = wire_of(spin())

    shown = excerpt(wire)

    assert shown.spec is SPECS["game.spin.requested"]
    assert msgspec.json.decode(shown.shape) == {
        "type": "string(19)",
        "specversion": "string(3)",
        "id": "string(36)",
        "source": f"string({len(spin()['source'])})",
        "time": f"string({len(wire.time)})",
        "subject": "string(11)",
        "session": "string(36)",
        "seq": "integer",
        "data": {
            name: {"amount_minor": "integer", "currency": "string(3)"}
            if name == "stake"
            else {str: f"string({len(str(value))})", bool: "boolean", int: "integer"}[
                type(value)
            ]
            for name, value in spin()["data"].items()
        },
    }


def test_bytes_and_the_typed_event_they_are_show_the_same() -> None:
    for type_ in TYPES:
        event = example(type_)
        typed, untyped = excerpt(wire_of(event)), excerpt(json.dumps(event).encode())

        assert typed.spec is untyped.spec is SPECS[type_]
        assert msgspec.json.decode(typed.shape) == msgspec.json.decode(untyped.shape)
        assert b'"+"' not in typed.shape, "there is room for every good event"


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (None, "null"),
        (True, "boolean"),
        (0, "integer"),
        (-5, "integer, negative"),
        (2**53, "integer, unsafe"),
        (-(2**53), "integer, negative, unsafe"),
        (1.5, "number"),
        ("ada", "string(3)"),
        ([], []),
        ({}, {}),
        ([1, 2], ["integer", "integer"]),
        ([1, "a", 2, 3], ["integer", "string(1)", "+2"]),
    ],
)
def test_a_value_is_its_type_and_what_is_usually_wrong_with_it(
    value: object, word: object
) -> None:
    assert shape_of({"data": value}) == {"data": word}


def test_members_the_catalogue_does_not_know_are_counted_and_nothing_else() -> None:
    shape = shape_of({"id": 1, "who": "x", CANARIES["e-mail"]: {"id": 2}, "data": {"a": 1}})

    assert shape == {"id": "integer", "?": 2, "data": {"?": 1}}


def test_a_type_of_nobodys_catalogue_is_not_told() -> None:
    assert excerpt(b'{"type":"ada@example.com"}').spec is None
    assert excerpt(b'{"type":["bet.round.staked"]}').spec is None
    assert excerpt(b'["bet.round.staked"]').spec is None


@pytest.mark.parametrize(
    "evidence",
    [
        b"\xff",
        b"",
        b"[" * 20_000,
        b'{"seq":' + b"9" * 5_000 + b"}",
        b'"' + b"x" * EVIDENCE_BYTES_MAX + b'"',
    ],
    ids=["no text", "nothing", "too deep", "too many digits", "too large"],
)
def test_what_cannot_be_read_is_told_by_its_size(evidence: bytes) -> None:
    shown = excerpt(evidence)

    assert (shown.spec, shown.shape) == (None, b'"unread(%d bytes)"' % len(evidence))


def test_what_is_deeper_than_any_payload_is_left_out() -> None:
    deep: object = "ada"
    for _ in range(9):
        deep = {"data": [deep]}

    shape = json.dumps(shape_of(deep))

    assert shape == '{"data": [{"data": [{"data": ["+1"]}]}]}'


def test_an_event_of_every_known_member_fits_and_says_what_was_left_out() -> None:
    names = sorted({name for event in TYPES for name in example(event)["data"]})
    inner = dict.fromkeys(names[:10], 1)

    shown = excerpt(json.dumps(dict.fromkeys(names, inner)).encode())
    shape = msgspec.json.decode(shown.shape)

    assert len(shown.shape) <= SHAPE_BYTES_MAX
    assert shape["+"] + len(shape) - 1 == len(names)


@pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES)
@pytest.mark.parametrize("type_", TYPES)
def test_no_canary_is_ever_shown(type_: str, canary: str) -> None:
    """In every place of every event: as a value, as a member's name, below an unknown one."""
    event = example(type_)
    places: list[dict[str, Any]] = [event, event["data"]]
    places += [value for value in event["data"].values() if isinstance(value, dict)]
    for place in places:
        for name in list(place):
            planted = place[name]
            for instead in (canary, NUMBER, {canary: canary}, [canary, {canary: NUMBER}]):
                place[name] = instead
                place[canary] = instead
                shape = excerpt(json.dumps(event).encode()).shape.decode()
                assert canary not in shape
                assert str(NUMBER) not in shape
                del place[canary]
            place[name] = planted


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text() | st.sampled_from(["data", "id", "stake", "legs"]), inner)
    ),
    max_leaves=60,
)


def words(shape: object) -> list[str]:
    """Every word of a shape that is no member's name."""
    match shape:
        case dict():
            members = cast("dict[str, object]", shape)
            assert all(isinstance(members.get(mark, 0), int) for mark in "?+")
            rest = [value for name, value in members.items() if name not in ("?", "+")]
            return [word for value in rest for word in words(value)]
        case list():
            elements = cast("list[object]", shape)
            return [word for value in elements for word in words(value)]
        case _:
            assert isinstance(shape, str)
            return [shape]


@given(document=JSON)
def test_any_document_has_a_shape_of_closed_words_within_its_bound(document: object) -> None:
    shown = excerpt(json.dumps(document).encode())

    assert len(shown.shape) <= SHAPE_BYTES_MAX
    assert all(WORD.fullmatch(word) for word in words(msgspec.json.decode(shown.shape)))


@given(octets=st.binary())
def test_any_bytes_have_a_shape(octets: bytes) -> None:
    assert len(excerpt(octets).shape) <= SHAPE_BYTES_MAX
