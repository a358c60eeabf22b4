"""Every frame of ``/asyncapi.json`` is heard from a real gateway, as the document describes it."""

import contextlib
import json

import pytest

from edge.core.push import PUSH_TOPIC
from edge.core.sayings import PUSHED
from edge.demo.payloads import Visit
from origin_client.open import open_origin
from origin_client.origin import Outgoing
from tests.frames_contract import FramesContract
from tests.system.raw import Line
from tests.system.stream.sockets import BOTH, Frame, end_of, hear, now_s, socket
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system


def served(door: World) -> FramesContract:
    """The contract as the gateway tells it."""
    with Line(door.gateway.public) as line:
        line.send(b"GET /asyncapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n")
        answer = line.answer()
    assert answer.headers["content-type"] == "application/json"
    return FramesContract(dict(answer.json))


def publish(door: World, event: object) -> None:
    """Have the origin push *event*; return when it is durable there."""
    with contextlib.closing(open_origin(f"log:{door.origin}", {})) as origin:
        assert origin.publish(PUSH_TOPIC, [Outgoing(b"", json.dumps(event).encode())]) == []


def test_every_frame_that_is_heard_is_as_the_served_document_says(
    door: World, ada: Visit
) -> None:
    contract = served(door)
    good, bad = TABLE.spin(ada, 100), TABLE.spin(ada, 100) | {"surprise": 1}
    ahead = TABLE.spin(ada, 100) | {"seq": 9}
    said: list[Frame] = [
        {"op": "token", "token": door.issuer.player(ada, scope=BOTH)},
        {"op": "events", "events": []},
        {"op": "events", "events": [good, ahead]},
    ]
    wrong: list[Frame] = [
        {"op": "events", "events": [bad]},
        {"op": "events", "events": good},
        {"op": "shout"},
    ]
    soon = door.issuer.player(ada, scope=BOTH, exp=now_s() + 50)

    with socket(door, soon, f"?topics={PUSHED['pushtopic']}") as found:
        heard = [hear(found), hear(found)]
        publish(door, PUSHED)
        for frame in (*said, *wrong):
            found.send(json.dumps(frame))
            heard.append(hear(found))
        while not any(frame["op"] == "push" for frame in heard):
            heard.append(hear(found))
        with socket(door, ada):
            heard += end_of(found)[0]

    assert {str(frame["op"]) for frame in heard} == contract.sent
    assert [fault for frame in heard for fault in contract.faults_of(frame)] == []
    assert [fault for frame in said for fault in contract.faults_of(frame)] == []
    assert [contract.ops_of(frame) for frame in wrong] == [set(), set(), set()]
    assert {str(frame["op"]) for frame in said} == contract.received
    [push] = [frame for frame in heard if frame["op"] == "push"]
    assert push["event"] == PUSHED
