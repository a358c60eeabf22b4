"""Events in raw frames, and what is none: threats.md 21-28, 37, 42, 53, 56-62.

Each row is one frame, whose refusals are told entry by entry. Behind it the socket is heard as
before; what ends it is a row of its own.
"""

import json
from collections.abc import Callable
from typing import Final

import pytest

from edge.demo.ledger import Event
from edge.demo.payloads import Visit
from edge.demo.rounds import Round
from tests.fakes_frames import client_frame
from tests.system.stream.raw_socket import RawSocket, events, handshake, offer
from tests.system.stream.sockets import codes
from tests.system.test_disk import limit_files
from tests.system.test_door_events import ACCEPTED, REFUSED
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

Say = Callable[[Visit], Event]
EMPTY: Final = events()
TRESPASSES_MAX: Final = 10  # threats.md row 37


def numbered(name: str) -> str:
    """A row's name as an id that begins with its number, if it has one."""
    first, _, rest = name.partition(" ")
    return f"{first}: {rest}" if first.isdigit() else name


@pytest.mark.parametrize(
    ("say", "code", "pointer"),
    [pytest.param(*row, id=numbered(name)) for name, row in REFUSED.items()],
)
def test_one_bad_event_has_its_verdict_its_neighbour_too_and_the_socket_lives(
    door: World, ada: Visit, say: Say, code: str, pointer: str | None
) -> None:
    bad = say(ada)
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        told = raw.ask(events(bad, TABLE.spin(ada, 100)))
        next_told = raw.ask(events(TABLE.spin(ada, 100)))

    (entry,) = raw.refused(told)
    assert (entry["frame"], entry["index"], entry["code"]) == (1, 0, code)
    assert (entry["pointer"], entry["retryable"]) == (pointer, False)
    assert entry["id"] in {bad.get("id"), None}
    assert raw.refused(next_told) == []


@pytest.mark.parametrize(
    "say",
    [
        pytest.param(say, id=numbered(name))
        for name, say in ACCEPTED.items()
        if "zone" not in name
    ],
)
def test_strange_but_right(door: World, ada: Visit, say: Say) -> None:
    event = say(ada)
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        told = raw.ask(events(event))

    assert (raw.refused(told), told["highest"]) == ([], event["seq"])


UNREADABLE: Final = {
    "21: nothing": b"",
    "21: cut": b"{",
    "21: an array": b"[]",
    "21: null": b"null",
    "21: NaN": b'{"op":"events","events":[NaN]}',
    "21: Infinity": b'{"op":"events","events":[-Infinity]}',
    "21: trailing data": b'{"op":"events","events":[]} ]',
    "21: a byte order mark": b'\xef\xbb\xbf{"op":"events","events":[]}',
    "21: a lone surrogate": b'{"op":"events","events":["\\ud800"]}',
    "21: a control character": b'{"op":"events","events":["a\x01"]}',
    "21: an abyss": b'{"op":"events","events":' + b"[" * 10_000,
    "60: no events": b'{"op":"events"}',
    "60: a scalar": b'{"op":"events","events":7}',
    "60: an object": b'{"op":"events","events":{}}',
    "67: an unknown op": b'{"op":"shout"}',
    "67: no op": b'{"events":[]}',
    "67: an unknown member": b'{"op":"events","events":[],"volume":11}',
    "67: no token": b'{"op":"token"}',
    "67: a token that is no text": b'{"op":"token","token":7}',
}


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=name) for name, text in UNREADABLE.items()]
)
def test_a_frame_that_cannot_be_read_is_one_refusal_and_the_next_one_is_heard(
    door: World, ada: Visit, text: bytes
) -> None:
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        told = raw.ask(client_frame(text))
        spin = raw.ask(events(TABLE.spin(ada, 100)))

    assert codes(told) == [(1, None, "body_malformed")]
    assert (spin["settled"], spin["refused"]) == (1, [])


def test_more_than_200_events_are_refused_whole(door: World, ada: Visit) -> None:
    with RawSocket(door) as raw:
        raw.shake(door, ada)

        assert codes(raw.ask(events(*range(201)))) == [(1, None, "batch_too_large")]
        assert codes(raw.ask(EMPTY)) == []


def test_60_an_empty_batch_is_answered_by_zeros(door: World, ada: Visit) -> None:
    with RawSocket(door) as raw:
        raw.shake(door, ada)

        assert raw.ask(EMPTY) == {
            "op": "verdicts",
            "settled": 0,
            "highest": 0,
            "missing": [],
            "refused": [],
            "retry_after_ms": None,
        }


def test_23_a_number_beyond_any_float_is_that_events_fault(door: World, ada: Visit) -> None:
    event = json.dumps(TABLE.spin(ada, 100)).replace("2500", "1e999999")
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        told = raw.ask(client_frame(f'{{"op":"events","events":[{event}]}}'.encode()))

    (entry,) = raw.refused(told)
    assert (entry["code"], entry["pointer"]) == ("schema_violation", "/data/since_last_ms")


def test_24_of_two_members_of_one_name_the_last_counts(door: World, ada: Visit) -> None:
    event = json.dumps(TABLE.spin(ada, 100))[:-1] + ', "subject": "player-rich"}'
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        told = raw.ask(client_frame(f'{{"op":"events","events":[{event}]}}'.encode()))

    assert codes(told) == [(1, 0, "subject_mismatch")]


def test_25_26_56_what_comes_twice_is_a_duplicate_and_what_differs_a_conflict(
    door: World, ada: Visit
) -> None:
    event, other = TABLE.spin(ada, 100), TABLE.spin(ada, 900)
    same_id, same_seq = other | {"id": event["id"]}, other | {"seq": event["seq"]}
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        twice = raw.ask(events(event, event))
        again = raw.ask(events(event))
        mixed = raw.ask(events(same_id, same_seq, event, {}, other))

    assert (codes(twice), codes(again)) == ([], [])
    assert (twice["settled"], again["settled"], mixed["settled"]) == (1, 1, 2)
    assert [
        (entry["index"], entry["code"], entry["pointer"]) for entry in raw.refused(mixed)
    ] == [
        (0, "idempotency_conflict", "/id"),
        (1, "idempotency_conflict", "/seq"),
        (3, "schema_violation", "/type"),
    ]
    door.wait_until_forwarded(event, other)


def test_57_a_fact_with_a_number_is_still_a_fact(door: World, ada: Visit) -> None:
    fact = Round(TABLE, "round-57", 100, "tx-57").staked(ada) | {"seq": 1}
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        (entry,) = raw.refused(raw.ask(events(fact)))

    assert (entry["code"], entry["pointer"]) == ("schema_violation", "/seq")


def test_59_a_field_of_binary_mode_means_nothing_to_a_handshake(
    door: World, ada: Visit
) -> None:
    with RawSocket(door) as raw:
        raw.send(handshake({**offer(door, ada), "ce-id": "1", "ce-type": "x"}) + EMPTY)
        assert raw.answer()[0] == 101
        raw.hear(2)

    assert codes(raw.said[-1]) == []


def test_37_who_speaks_for_others_ten_times_in_a_minute_is_shut_out(
    door: World, ada: Visit
) -> None:
    own, others = (
        TABLE.spin(ada, 100),
        [TABLE.spin(ada, 100) | {"subject": "player-rich"} for _ in range(TRESPASSES_MAX)],
    )
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        told = raw.ask(events(*others[1:]))
        raw.send(events(own, others[0]) + EMPTY * 3)
        end = raw.end()

    assert len(raw.refused(told)) == TRESPASSES_MAX - 1
    assert end == (4403, "subject_mismatch")
    last, bye = raw.said[-2:]
    assert codes(last) == [(2, 1, "subject_mismatch")], "the frame behind it is not heard"
    assert last["settled"] == ada.seq, "a final verdict counts as settled"
    assert bye["reason"] == "subject_mismatch"
    door.wait_until_forwarded(own)


def test_42_a_lane_whose_sync_fails_is_told_event_by_event_and_the_socket_lives(
    here: World,
) -> None:
    here.wait_until_ready()
    ada = here.visit()
    before, during = TABLE.spin(ada, 1), TABLE.spin(ada, 2)
    with RawSocket(here) as raw:
        raw.shake(here, ada)
        assert codes(raw.ask(events(before))) == []
        here.wait_until_forwarded(before)
        limit_files(here, 160)  # a segment's header fits, no record does
        failed = raw.ask(events(during))
        limit_files(here, -1)
        here.wait(lambda: not codes(raw.ask(events(during))), "accepted again")

        assert codes(failed) == [(2, 0, "lane_failed")]
        assert isinstance(failed["retry_after_ms"], int)
        assert raw.said[-1]["settled"] == 2
    here.wait_until_forwarded(before, during)
