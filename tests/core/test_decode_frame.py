"""A frame's bytes become a token or events, as a body's do; or nothing of it counts."""

import json

import msgspec
import pytest
from hypothesis import given, strategies as st

from edge.core.decode import (
    EVENT_BYTES_MAX,
    Shape,
    Unread,
    decode,
    decode_frame,
)
from edge.core.event import Event
from edge.core.ops import BATCH_EVENTS_MAX, TokenOp
from edge.core.reject import Reason, Reject
from tests.core.catalogue.examples import SESSION, example

SPIN = example("game.spin.requested")
CLAIM = example("bonus.offer.claimed")


def frame(*events: object) -> bytes:
    """An ``events`` frame without blanks."""
    return msgspec.json.encode({"op": "events", "events": events})


def events_of(text: bytes) -> list[Event | Unread]:
    """What a frame that is no token's holds."""
    op = decode_frame(text)
    assert not isinstance(op, TokenOp)
    return op


def reason_of(text: bytes) -> Reason:
    """Why the whole frame is refused."""
    with pytest.raises(Reject) as refused:
        decode_frame(text)
    assert refused.value.pointer is None
    return refused.value.reason


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([], id="none"),
        pytest.param([SPIN], id="one"),
        pytest.param([SPIN, CLAIM, SPIN], id="several"),
        pytest.param([SPIN] * BATCH_EVENTS_MAX, id="as many as may be"),
    ],
)
def test_good_events_are_read_as_a_bodys_are(events: list[object]) -> None:
    assert events_of(frame(*events)) == decode(msgspec.json.encode(events), Shape.ARRAY)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b'{"op":"token","token":"a.b.c"}', id="usual"),
        pytest.param(b' { "token" : "a.b.c" , "op" : "token" } ', id="another order"),
    ],
)
def test_a_token_is_read(text: bytes) -> None:
    assert decode_frame(text) == TokenOp("a.b.c")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"hello", id="no JSON"),
        pytest.param(b"[]", id="an array"),
        pytest.param(b"7", id="a scalar"),
        pytest.param(b"{}", id="no op"),
        pytest.param(b'{"op":"dance"}', id="unknown op"),
        pytest.param(b'{"op":"events","op":"token","token":"a.b.c"}', id="two ops"),
        pytest.param(b'{"op":7}', id="op no string"),
        pytest.param(b'{"op":"welcome"}', id="an op of ours"),
        pytest.param(b'{"op":"events"}', id="no events"),
        pytest.param(b'{"op":"events","events":null}', id="null events"),
        pytest.param(b'{"op":"events","events":{}}', id="events no array"),
        pytest.param(frame(SPIN)[:-1] + b',"x":1}', id="unknown member beside good events"),
        pytest.param(frame(7)[:-1] + b',"x":1}', id="unknown member beside a bad event"),
        pytest.param(frame(SPIN)[:-1] + b',"token":null}', id="null member of another op"),
        pytest.param(frame(SPIN) + b"x", id="trailing text"),
        pytest.param(frame(SPIN)[:-1], id="cut"),
        pytest.param(b"\xef\xbb\xbf" + frame(SPIN), id="byte order mark"),
        pytest.param(b'{"op":"token"}', id="no token"),
        pytest.param(b'{"op":"token","token":7}', id="token no string"),
        pytest.param(b'{"op":"token","token":"a","x":1}', id="unknown member beside a token"),
        pytest.param(b'{"op":"events","events":[{"x":01}]}', id="grammar within an event"),
        pytest.param(b'{"op":"events","events":' + b"[" * 50_000, id="deep"),
        pytest.param(b'{"op":"events","events":["\\ud800"]}', id="lone surrogate"),
    ],
)
def test_a_frame_that_is_none_of_ours_is_refused_whole(text: bytes) -> None:
    assert reason_of(text) is Reason.BODY_MALFORMED


@pytest.mark.parametrize("event", [SPIN, 7])
def test_a_frame_of_too_many_events_is_refused_whole(event: object) -> None:
    assert reason_of(frame(*[event] * (BATCH_EVENTS_MAX + 1))) is Reason.BATCH_TOO_LARGE


def test_a_bad_event_costs_its_neighbours_nothing() -> None:
    before, bad, after = events_of(frame(SPIN, SPIN | {"seq": 0}, CLAIM))

    assert isinstance(before, Event)
    assert isinstance(bad, Unread)
    assert isinstance(after, Event)


@pytest.mark.parametrize("blanks", [0, 300])
def test_an_event_is_measured_without_the_frame_around_it(blanks: int) -> None:
    compact = json.dumps(SPIN).encode()
    fits = compact[:-1] + b" " * (EVENT_BYTES_MAX - len(compact)) + b"}"
    around = b'{"op":"events",%b"events":[%b]}'

    [good] = events_of(around % (b" " * blanks, fits))
    [bad] = events_of(around % (b" " * blanks, b"{ " + fits[1:]))

    assert isinstance(good, Event)
    assert isinstance(bad, Unread)
    assert bad.reject.reason is Reason.EVENT_TOO_LARGE


OTHER_SESSION = SESSION.replace("a", "b")


@pytest.mark.parametrize(
    ("members", "session", "seq"),
    [
        pytest.param({"source": ""}, SESSION, 1, id="typed"),
        pytest.param({"source": 7}, SESSION, 1, id="untyped"),
        pytest.param({"type": "a.b.c"}, SESSION, 1, id="of an unknown type"),
        pytest.param(
            {"source": "", "session": OTHER_SESSION}, OTHER_SESSION, 1, id="elsewhere"
        ),
        pytest.param({"session": "S"}, None, 1, id="no valid session"),
        pytest.param({"session": 7}, None, 1, id="session no string"),
        pytest.param({"session": None}, None, 1, id="null session"),
        pytest.param({"seq": 0}, SESSION, None, id="number 0"),
        pytest.param({"seq": 2**31}, SESSION, None, id="number too great"),
        pytest.param({"seq": 2**31 - 1, "source": 7}, SESSION, 2**31 - 1, id="greatest number"),
        pytest.param({"seq": True}, SESSION, None, id="number a bool"),
        pytest.param({"seq": 1.0}, SESSION, None, id="number a float"),
        pytest.param({"seq": None}, SESSION, None, id="null number"),
    ],
)
def test_an_event_that_is_none_keeps_its_number_and_session_if_they_are_valid(
    members: dict[str, object], session: str | None, seq: int | None
) -> None:
    [unread] = events_of(frame(SPIN | {"session": SESSION, "seq": 1} | members))

    assert isinstance(unread, Unread)
    assert (unread.session, unread.seq) == (session, seq)


def test_what_is_no_object_has_no_number() -> None:
    [unread] = events_of(frame([1]))

    assert isinstance(unread, Unread)
    assert (unread.session, unread.seq) == (None, None)


@given(
    st.sampled_from([b"", b'{"op":"', b'{"op":"events","events":[']), st.binary(max_size=200)
)
def test_no_bytes_surprise_us(start: bytes, rest: bytes) -> None:
    try:
        decode_frame(start + rest)
    except Reject as reject:
        assert reject.reason in (Reason.BODY_MALFORMED, Reason.BATCH_TOO_LARGE)  # noqa: PT017  # anything else fails by itself


FAULTS: list[dict[str, object]] = [
    {},
    {},
    {"seq": 0},
    {"type": "a.b.c"},
    {"source": 7},
    {"time": "2026-07-31T22:00:00+02:00"},
    {"padding": "x" * 9000},
]


def fate(arrival: Event | Unread) -> object:
    """All of it, refusals by their reason."""
    if isinstance(arrival, Event):
        return arrival
    reject = arrival.reject
    return reject.reason, reject.pointer, arrival.id, arrival.lane, arrival.session, arrival.seq


@given(st.lists(st.sampled_from(FAULTS), max_size=6))
def test_a_frame_is_read_as_the_same_body_is(faults: list[dict[str, object]]) -> None:
    """Planted: what cannot be read together is not read apart."""
    events = [SPIN | fault for fault in faults]

    body = decode(msgspec.json.encode(events), Shape.ARRAY)

    assert list(map(fate, events_of(frame(*events)))) == list(map(fate, body))
