"""The served schemas say what the decoder does: no more, no less."""

import json
import re

import jsonschema
import pytest
from hypothesis import given, strategies as st

from edge.core.catalogue.registry import SPECS
from edge.core.decode import Shape, Unread, decode
from edge.core.event import Event
from edge.core.reject import Reason
from edge.core.schema import event_schema
from tests.core.catalogue.examples import example
from tests.core.schema_cases import broken_events, is_valid, places_of, replaced, sample_event

SCHEMAS = {type_: event_schema(type_) for type_ in SPECS}

anywhere = pytest.mark.parametrize("type_", SPECS)


def verdict(event: object) -> Event | Unread:
    [outcome] = decode(b"[" + json.dumps(event).encode() + b"]", Shape.ARRAY)
    return outcome


@anywhere
def test_a_schema_is_one_and_stands_alone(type_: str) -> None:
    schema = SCHEMAS[type_]

    jsonschema.Draft202012Validator.check_schema(schema)
    references = set(re.findall(r'"\$ref": "([^"]*)"', json.dumps(schema)))
    assert references == {f"#/$defs/{name}" for name in schema["$defs"]}
    assert all("``" not in d["description"] for d in schema["$defs"].values())


@anywhere
def test_what_is_made_from_the_schema_is_accepted(type_: str) -> None:
    event = sample_event(SCHEMAS[type_])

    assert is_valid(event, SCHEMAS[type_])
    assert isinstance(verdict(event), Event)


@anywhere
def test_the_example_of_each_type_is_valid(type_: str) -> None:
    assert is_valid(example(type_), SCHEMAS[type_])


@anywhere
def test_each_field_broken_is_refused_where_it_is_broken(type_: str) -> None:
    """Compared are label, code and pointer of all broken events of the type at once."""
    expected: list[tuple[str, Reason, str]] = []
    found: list[tuple[str, Reason, str | None]] = []
    for label, event, pointer in broken_events(SCHEMAS[type_]):
        outcome = verdict(event)
        assert isinstance(outcome, Unread), label
        found.append((label, outcome.reject.reason, outcome.reject.pointer))
        is_type = label == "/type not in the enum"
        reason = Reason.UNKNOWN_TYPE if is_type else Reason.SCHEMA_VIOLATION
        expected.append((label, reason, pointer))

    assert found == expected


@anywhere
def test_what_is_refused_is_not_valid_either(type_: str) -> None:
    broken = broken_events(SCHEMAS[type_])

    assert [case.label for case in broken if is_valid(case.event, SCHEMAS[type_])] == []


@anywhere
def test_every_attribute_a_type_must_state_is_required(type_: str) -> None:
    schema = SCHEMAS[type_]
    is_fact = schema["properties"]["seq"]["type"] == "null"

    always = {"type", "specversion", "id", "source", "time", "subject", "data"}
    stated = {"brand", "jurisdiction"} if is_fact else {"session", "seq"}
    if type_.startswith("player.session."):
        stated |= {"session"}
    assert set(schema["required"]) == always | stated
    assert is_fact is (SPECS[type_].authority == "fact")


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        (
            "bet.round.staked",
            (
                "Lane `bet`, fact. Two events of one brand with the same `provider_id` and "
                "`transaction_id` are one transaction."
            ),
        ),
        (
            "bonus.offer.claimed",
            (
                "Lane `bonus`, intent. Two events of one player with the same `claim_id` are "
                "one transaction. Two events of one player with the same `offer_id` are one "
                "transaction."
            ),
        ),
        ("telemetry.device.snapshot", "Lane `telemetry`, observation."),
    ],
)
def test_a_schema_names_the_business_keys(type_: str, told: str) -> None:
    assert SCHEMAS[type_]["description"] == told


@anywhere
def test_a_schema_tells_nothing_of_our_libraries(type_: str) -> None:
    assert "msgspec" not in json.dumps(SCHEMAS[type_])


EMPTY: list[object] = [None, [], {}]
junk = st.sampled_from(EMPTY) | st.booleans() | st.integers() | st.text(max_size=70)


@given(st.sampled_from(list(SPECS)), st.data())
def test_what_is_accepted_is_valid(type_: str, data: st.DataObject) -> None:
    """Whatever one puts in whatever place of a valid event."""
    schema = SCHEMAS[type_]
    path = data.draw(st.sampled_from([path for path, _ in places_of(schema, schema)]))
    event = replaced(sample_event(schema), path, data.draw(junk))

    if isinstance(verdict(event), Event):
        assert is_valid(event, schema)
