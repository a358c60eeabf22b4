"""Each message is the session's next events; no name is used twice, by sockets or by HTTP."""

import json
from typing import Any

import jwt
import pytest

from loadtests.bench.sockets.frames import TEXT, client_frame
from loadtests.bench.sockets.speakers import HELLO, Speakers, Speech, StreamIssuer, greeting


@pytest.fixture(scope="module")
def speakers() -> Speakers:
    """A few; tokens take time."""
    return Speakers(StreamIssuer(), players=12)


def events(speech: Speech) -> list[dict[str, Any]]:
    """All that is said on one socket, in its order."""
    return [event for payload in speech.payloads for event in json.loads(payload)["events"]]


def test_a_session_goes_on_where_it_stood(speakers: Speakers) -> None:
    first = speakers.speeches(3, messages=4, events=5)
    second = speakers.speeches(3, messages=2, events=1)

    for before, after in zip(first, second, strict=True):
        said = [*events(before), *events(after)]
        assert [event["seq"] for event in said] == list(range(before.first, before.first + 22))
        assert after.first == before.first + 20
        assert len({event["session"] for event in said}) == 1
    assert len({events(speech)[0]["subject"] for speech in first}) == 3


def test_messages_are_sent_masked(speakers: Speakers) -> None:
    (speech,) = speakers.speeches(1, messages=2, events=1)

    assert speech.wires == [client_frame(TEXT, payload) for payload in speech.payloads]
    assert speech.payloads[0].startswith(b'{"op":"events","events":[{')


def test_no_name_is_used_twice(speakers: Speakers) -> None:
    said = [e for speech in speakers.speeches(12, messages=3, events=4) for e in events(speech)]
    for count, request in speakers.batches(12, events=20):
        batch = json.loads(request.partition(b"\r\n\r\n")[2])
        assert len(batch) == count == 20
        assert len({event["subject"] for event in batch}) == 1
        said += batch

    assert len({event["id"] for event in said}) == len(said) == 12 * (3 * 4 + 20)
    assert {event["type"] for event in said} == {"game.spin.requested"}


def test_tokens_open_both_directions(speakers: Speakers) -> None:
    deaf, listening = (speakers.handshakes(12, listens=each) for each in (False, True))

    assert len(set(deaf)) == 12
    assert b"GET /v1/stream?k=player-00000 HTTP/1.1" in deaf[0]
    assert b"GET /v1/stream?k=player-00000&topics=jackpots HTTP/1.1" in listening[0]
    token = deaf[0].partition(b"Bearer ")[2].partition(b"\r\n")[0]
    claims = jwt.decode(token, options={"verify_signature": False})
    assert claims["scope"] == "events:write stream:read"


def test_who_has_nothing_to_say_says_so() -> None:
    word = greeting()

    assert json.loads(HELLO) == {"op": "events", "events": []}
    assert (word.payloads, word.wires) == ([HELLO], [client_frame(TEXT, HELLO)])
