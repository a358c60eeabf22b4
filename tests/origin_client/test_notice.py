"""``origin_client.notice``: what is left out, and what is not; the bytes are in ``contract/``."""

import msgspec

from origin_client.notice import (
    DEAD_TOPIC,
    REFUSED_TOPIC,
    REFUSED_TYPE,
    Notice,
    Refused,
    encode,
)

LEAST = Refused(stage="authenticate", code="token_missing", counted=1)
MOST = Refused(
    stage="decode",
    code="schema_violation",
    counted=1000,
    speaker="player",
    lane="game",
    type="game.spin.requested",
    authority="intent",
    id="0198c0de-1111-7111-8111-000000000001",
    pointer="",
    excerpt=msgspec.Raw(b'{"id":"string(36)","?":1}'),
)


def notice(told: Refused, subject: str = "") -> bytes:
    """What *told* is wrapped in."""
    return encode(
        Notice(
            specversion="1.0",
            id="0198c0de-3333-7333-8333-000000000003",
            source="urn:edge:node:mt-1",
            type=REFUSED_TYPE,
            time="2026-02-14T20:00:00.000Z",
            subject=subject,
            edgenode="mt-1",
            edgeregion="eu-mt",
            data=told,
        )
    )


def test_what_is_absent_is_left_out() -> None:
    event = msgspec.json.decode(notice(LEAST))

    assert "subject" not in event
    assert event["data"] == {"stage": "authenticate", "code": "token_missing", "counted": 1}


def test_an_excerpt_is_json_within_json_and_the_root_is_a_pointer() -> None:
    told = msgspec.json.decode(notice(MOST, "player-0001"))["data"]

    assert told["excerpt"] == {"id": "string(36)", "?": 1}
    assert told["pointer"] == ""


def test_the_topics_are_those_that_operators_make() -> None:
    assert (REFUSED_TOPIC, DEAD_TOPIC) == ("edge.refused.v1", "edge.dead.v1")
