"""What both contracts share: each reason has its place, and the example is an event."""

import json
import re

import pytest

from edge.core.catalogue.registry import SPECS
from edge.core.contract import (
    EVENT_REASONS,
    EXAMPLE,
    FRAME_REASONS,
    HANDSHAKE_REASONS,
    REF,
    REQUEST_REASONS,
    SUBPROTOCOLS,
    codes,
    event_schemas,
    reference,
)
from edge.core.decode import Shape, decode
from edge.core.event import Event
from edge.core.reject import Reason
from edge.core.schema import definition_name
from edge.shell.stream.door import _authorization  # pyright: ignore[reportPrivateUsage]  # the other reader of what the example says


def test_each_reason_refuses_a_request_a_handshake_or_an_event() -> None:
    assert set(Reason) == REQUEST_REASONS | HANDSHAKE_REASONS | EVENT_REASONS
    assert {Reason.SCOPE_MISSING, Reason.RATE_EXCEEDED} == REQUEST_REASONS & EVENT_REASONS
    assert {Reason.SCOPE_MISSING} == HANDSHAKE_REASONS & EVENT_REASONS


def test_a_frame_is_refused_whole_as_a_request_is() -> None:
    assert FRAME_REASONS < REQUEST_REASONS
    assert not FRAME_REASONS & EVENT_REASONS


def test_codes_are_listed_in_order() -> None:
    assert codes([Reason.TOKEN_INVALID, Reason.LANE_FULL]) == ["lane_full", "token_invalid"]


def test_the_example_is_an_event() -> None:
    [arrival] = decode(json.dumps(EXAMPLE).encode(), Shape.OBJECT)

    assert isinstance(arrival, Event)


def test_an_event_is_one_of_all_types_and_every_part_of_it_is_there() -> None:
    schemas = event_schemas()

    assert schemas["Event"]["oneOf"] == [reference(definition_name(type_)) for type_ in SPECS]
    prefix = re.escape(REF.format(name=""))
    assert set(re.findall(rf'"{prefix}(\w+)"', json.dumps(schemas))) == schemas.keys() - {
        "Event"
    }


@pytest.mark.parametrize("offered", SUBPROTOCOLS["examples"])
def test_the_example_of_a_handshake_brings_its_token(offered: str) -> None:
    token = offered.rpartition("bearer.")[2]

    found = _authorization([(b"sec-websocket-protocol", offered.encode())])

    assert found == [b"Bearer " + token.encode()]
