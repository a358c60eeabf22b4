"""A notice is a CloudEvent in the node's name, under the player's key or the node's."""

import uuid

import msgspec

from origin_client.notice import Quarantined, Refused
from tests.fakes import NOW
from tests.fakes_notices import LETTERHEAD

FRAME = Quarantined(lane="bet", segment=7, offset=64, size_bytes=9, reason="checksum")


def test_what_is_told_is_wrapped_in_the_nodes_name() -> None:
    record = LETTERHEAD.write(FRAME, NOW)

    event = msgspec.json.decode(record.value)
    assert record.key == b"n-1"
    assert str(uuid.UUID(event.pop("id"))) in record.value.decode()
    assert event == {
        "specversion": "1.0",
        "source": "urn:edge:node:n-1",
        "type": "edge.frame.quarantined",
        "time": "2026-02-14T20:00:00.000Z",
        "edgenode": "n-1",
        "edgeregion": "r-1",
        "data": {
            "lane": "bet",
            "segment": 7,
            "offset": 64,
            "size_bytes": 9,
            "reason": "checksum",
        },
    }


def test_a_players_refusals_lie_under_the_player() -> None:
    told = Refused(stage="decode", code="pii_leak", counted=1)

    record = LETTERHEAD.write(told, NOW, subject="player-0001")

    event = msgspec.json.decode(record.value)
    assert record.key == b"player-0001"
    assert (event["subject"], event["type"]) == ("player-0001", "edge.refusal.sampled")


def test_no_two_notices_have_one_id() -> None:
    ids = {msgspec.json.decode(LETTERHEAD.write(FRAME, NOW).value)["id"] for _ in range(10)}

    assert len(ids) == 10
