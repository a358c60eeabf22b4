"""Whatever type an event is of, what lies at the origin is a CloudEvent and fits its schema."""

from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from edge.core.admit import RawRequest, admit
from edge.core.catalogue.registry import SPECS
from edge.core.decode import Shape
from edge.core.event import Spec
from edge.core.lane import Authority
from edge.core.schema import event_schema
from origin_client.envelope import number
from origin_client.validate import validate
from tests.contract.envelopes import cloudevents_complaints
from tests.core.catalogue.examples import example
from tests.fakes import (
    BRAND,
    JURISDICTION,
    NOW,
    PLAYER,
    SESSION,
    bearer,
    player_token,
    service_token,
)
from tests.house import FakeSpool, house

RUN = "00000000-0000-4000-8000-000000000000"

# What the edge adds, and what it fills in from the token: no sender writes it like that.
ADDED = ("authority", "flags", "edgenode", "edgeregion", "edgespool", "edgeseq", "edgetime")


def sent(spec: Spec) -> tuple[dict[str, Any], str]:
    """An event of *spec* as its rightful sender sends it now, and that sender's token."""
    event = example(spec.type) | {"time": "2026-02-14T20:00:00.000Z"}
    if spec.authority is Authority.FACT:
        return event | {"brand": BRAND, "jurisdiction": JURISDICTION}, service_token()
    return event | {"subject": PLAYER, "session": SESSION}, player_token()


def at_the_origin(spec: Spec) -> bytes:
    """Take one event of *spec* through the house, and number it as the spool does."""
    event, token = sent(spec)
    spool = FakeSpool()
    body = msgspec.json.encode(event)
    [verdict] = admit(RawRequest(bearer(token), Shape.OBJECT, body), house(spool), NOW)
    assert verdict.reject is None, verdict.reject
    [record] = spool.records[spec.lane]
    return number(record.envelope, RUN, 1)


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.type)
def test_its_envelope_is_a_cloudevent_and_keeps_its_types_rules(spec: Spec) -> None:
    envelope = at_the_origin(spec)

    told = msgspec.json.decode(envelope)
    assert validate(envelope) == []
    assert cloudevents_complaints(envelope) == []
    event = {name: value for name, value in told.items() if name not in ADDED}
    validator: Any = Draft202012Validator(event_schema(spec.type))  # its types are unknown
    validator.validate(event)


@pytest.mark.parametrize("spec", SPECS.values(), ids=lambda spec: spec.type)
def test_its_payload_arrives_as_it_was_sent(spec: Spec) -> None:
    event, _ = sent(spec)

    told = msgspec.json.decode(at_the_origin(spec))

    assert told["data"] == event["data"]
    assert (told["id"], told["type"]) == (event["id"], spec.type)
