"""Bytes become events, or each gets the reason why not; nothing else happens."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from edge.core.attributes import dataschema
from edge.core.catalogue.registry import SPECS
from edge.core.decode import (
    EVENT_BYTES_MAX,
    TELEMETRY_BYTES_MAX,
    Shape,
    Unread,
    decode,
)
from edge.core.event import Event
from edge.core.lane import Lane
from edge.core.ops import BATCH_EVENTS_MAX
from edge.core.reject import Reason, Reject
from tests.core.catalogue.examples import TIME_MS, example

SPIN = "game.spin.requested"
FACT = "wallet.deposit.settled"
MOVES = "telemetry.interaction.batch"
GOOD = json.dumps(example(SPIN)).encode()

Outcome = tuple[Reason, str | None, bool, Lane | None]


def outcome(arrival: Event | Unread) -> str | Outcome:
    """Reason, pointer, whether the id is told back, lane; or the type of an accepted event."""
    if isinstance(arrival, Event):
        return arrival.spec.type
    return arrival.reject.reason, arrival.reject.pointer, arrival.id is not None, arrival.lane


def outcomes(body: bytes, shape: Shape = Shape.EITHER) -> list[str | Outcome]:
    return [outcome(arrival) for arrival in decode(body, shape)]


def refusal(body: bytes, shape: Shape = Shape.EITHER) -> Reason:
    with pytest.raises(Reject) as refused:
        decode(body, shape)
    assert refused.value.pointer is None
    return refused.value.reason


def event(type_: str = SPIN, /, **members: object) -> bytes:
    return json.dumps(example(type_) | members).encode()


def deep(levels: int) -> bytes:
    return b'{"x":' + b"[" * levels + b"]" * levels + b"}"


def sized(type_: str, size_bytes: int) -> bytes:
    """The example, its JSON made larger by spaces."""
    body = event(type_)
    return body[:-1] + b" " * (size_bytes - len(body)) + b"}"


def batch(*events: bytes) -> bytes:
    return b"[" + b",".join(events) + b"]"


@pytest.mark.parametrize("type_", SPECS)
def test_each_type_is_decoded_with_its_row(type_: str) -> None:
    [arrival] = decode(event(type_), Shape.OBJECT)

    assert isinstance(arrival, Event)
    assert arrival.spec is SPECS[type_]
    assert arrival.time_ms == TIME_MS
    assert json.loads(msgspec.json.encode(arrival.wire.data)) == example(type_)["data"]


@pytest.mark.parametrize(
    ("body", "shape", "expected"),
    [
        pytest.param(b"[]", Shape.ARRAY, [], id="empty batch"),
        pytest.param(b" [ ] \r\n\t", Shape.EITHER, [], id="empty batch among spaces"),
        pytest.param(GOOD, Shape.OBJECT, [SPIN], id="object"),
        pytest.param(b"\n" + GOOD + b"\n", Shape.EITHER, [SPIN], id="object as either"),
        pytest.param(batch(GOOD), Shape.EITHER, [SPIN], id="array as either"),
        pytest.param(batch(GOOD, event(FACT)), Shape.ARRAY, [SPIN, FACT], id="in their order"),
    ],
)
def test_a_body_of_the_right_shape_is_read(
    body: bytes, shape: Shape, expected: list[str]
) -> None:
    assert outcomes(body, shape) == expected


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        pytest.param(GOOD, Shape.ARRAY, id="object as batch"),
        pytest.param(batch(GOOD), Shape.OBJECT, id="array as object"),
        pytest.param(b"[]", Shape.OBJECT, id="empty array as object"),
    ],
)
def test_a_body_of_another_shape_is_another_media_type(body: bytes, shape: Shape) -> None:
    assert refusal(body, shape) is Reason.UNSUPPORTED_MEDIA_TYPE


def hidden(member: bytes) -> bytes:
    """A batch whose second event has *member* where typed decoding would not look."""
    return batch(GOOD, b'{"type":"' + SPIN.encode() + b'","id":7,"later":' + member + b"}")


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b" ", id="space"),
        pytest.param(b"7", id="scalar"),
        pytest.param(b"null", id="null"),
        pytest.param(b'"text"', id="string"),
        pytest.param(b"hello", id="not JSON"),
        pytest.param(b"\xef\xbb\xbf" + GOOD, id="byte order mark"),
        pytest.param(GOOD.decode().encode("utf-16"), id="UTF-16"),
        pytest.param(b"\x0b" + GOOD, id="vertical tab"),
    ],
)
def test_no_object_and_no_array_is_malformed(body: bytes, shape: Shape) -> None:
    assert refusal(body, shape) is Reason.BODY_MALFORMED


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(GOOD[:-1], id="cut object"),
        pytest.param(batch(GOOD)[:-1], id="cut array"),
        pytest.param(GOOD + b"x", id="trailing text"),
        pytest.param(GOOD + GOOD, id="two objects"),
        pytest.param(batch(GOOD) + b"]", id="trailing bracket"),
        pytest.param(batch(GOOD, b""), id="trailing comma"),
        pytest.param(GOOD[:-1] + b",}", id="trailing comma in object"),
        pytest.param(hidden(b"NaN"), id="NaN"),
        pytest.param(hidden(b"-Infinity"), id="infinity"),
        pytest.param(event(seq=float("nan")), id="NaN in one object"),
        pytest.param(event(seq=float("-inf")), id="infinity in one object"),
        pytest.param(hidden(b"Infinity"), id="positive infinity"),
        pytest.param(hidden(b'[{"x":[0,-Infinity]}]'), id="infinity below"),
        pytest.param(hidden(b'"\xff"'), id="not UTF-8"),
        pytest.param(hidden(b'"\xed\xa0\x80"'), id="surrogate in UTF-8"),
        pytest.param(hidden(b'"\\ud800"'), id="lone surrogate"),
        pytest.param(hidden(b'{"\\udc00":1}'), id="lone surrogate in a name"),
        pytest.param(hidden(b'"\x01"'), id="control character"),
        pytest.param(hidden(b'"\\x41"'), id="unknown escape"),
        pytest.param(hidden(b"01"), id="leading zero"),
        pytest.param(hidden(b"1."), id="no digit after the point"),
        pytest.param(hidden(b"'x'"), id="single quotes"),
        pytest.param(hidden(b"[1,]"), id="trailing comma below"),
        pytest.param(event().replace(b'"slots"', b'"\xff"'), id="not UTF-8 in a field"),
        pytest.param(event(subject="SUBJECT").replace(b"SUBJECT", b"\\ud800"), id="lone in a field"),
        pytest.param(b"[" * 100_000, id="deep, open"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, id="deep, closed"),
        pytest.param(b'{"a":' * 50_000 + b"1" + b"}" * 50_000, id="deep object"),
    ],
)  # fmt: skip
def test_bad_grammar_anywhere_refuses_all(body: bytes) -> None:
    assert refusal(body) is Reason.BODY_MALFORMED


def test_an_event_too_deep_to_be_read_costs_its_neighbours_nothing() -> None:
    """At every depth: where reading ends and where splitting ends depends on the stack."""
    refused = [violation("/type", lane=None, has_id=False), STRANGER]
    seen: list[str | Outcome | Reason] = []
    for levels in range(800, 1100):
        body = batch(GOOD, deep(levels), event(FACT))
        try:
            before, middle, after = outcomes(body)
        except Reject as reject:
            seen.append(reject.reason)
            continue
        assert (before, after) == (SPIN, FACT)
        seen.append(middle)

    assert list(dict.fromkeys(seen)) == [*refused, Reason.BODY_MALFORMED]


def test_the_grammar_beside_an_event_too_deep_to_be_read_is_checked() -> None:
    levels = next(n for n in range(800, 1100) if outcomes(batch(deep(n))) == [STRANGER])

    assert refusal(batch(deep(levels), b'{"x":01}')) is Reason.BODY_MALFORMED


@pytest.mark.parametrize(
    ("size_bytes", "expected"),
    [
        (EVENT_BYTES_MAX, SPIN),
        (EVENT_BYTES_MAX + 1, (Reason.EVENT_TOO_LARGE, None, True, Lane.GAME)),
    ],
)
@pytest.mark.parametrize("form", [b"%b", b" \r\n\t%b\n ", b"[%b]", b"[ %b\n\n ]"])
def test_an_event_is_measured_without_the_space_around_it(
    form: bytes, size_bytes: int, expected: str | Outcome
) -> None:
    assert outcomes(form % sized(SPIN, size_bytes)) == [expected]


def test_a_batch_has_a_greatest_length() -> None:
    # Without blanks, so that nothing but its length keeps a batch from being read together.
    compact = json.dumps(example(SPIN), separators=(",", ":")).encode()
    assert len(decode(batch(*[compact] * BATCH_EVENTS_MAX), Shape.ARRAY)) == BATCH_EVENTS_MAX
    for each in (compact, GOOD, b"1"):
        assert refusal(batch(*[each] * (BATCH_EVENTS_MAX + 1))) is Reason.BATCH_TOO_LARGE


def violation(pointer: str, *, lane: Lane | None = Lane.GAME, has_id: bool = True) -> Outcome:
    return Reason.SCHEMA_VIOLATION, pointer, has_id, lane


STRANGER = violation("", lane=None, has_id=False)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b"7", STRANGER, id="number"),
        pytest.param(b"null", STRANGER, id="null"),
        pytest.param(b'"text"', STRANGER, id="string"),
        pytest.param(b"[{}]", STRANGER, id="array"),
        pytest.param(b"[" * 300 + b"]" * 300, STRANGER, id="too deep"),
        pytest.param(b"{}", violation("/type", lane=None, has_id=False), id="empty object"),
        pytest.param(event(type=None), violation("/type", lane=None), id="null type"),
        pytest.param(event(type=[]), violation("/type", lane=None), id="type no string"),
        pytest.param(
            event(type="a.b.c"), (Reason.UNKNOWN_TYPE, "/type", True, None), id="unknown type"
        ),
        pytest.param(
            event(dataschema=dataschema(SPIN, "2.0")),
            (Reason.UNKNOWN_VERSION, "/dataschema", True, Lane.GAME),
            id="unknown version",
        ),
        pytest.param(
            event(dataschema=dataschema(FACT, "1.0")), violation("/dataschema"), id="schema of another"
        ),
        pytest.param(event(specversion="0.3"), violation("/specversion"), id="old CloudEvents"),
        pytest.param(event(datacontenttype="text/xml"), violation("/datacontenttype"), id="not JSON"),
        pytest.param(event(id="1"), violation("/id", has_id=False), id="id no UUID"),
        pytest.param(event(id=None), violation("/id", has_id=False), id="null id"),
        pytest.param(event(id=[]), violation("/id", has_id=False), id="id no string"),
        pytest.param(event(time="2026-02-30T00:00:00Z"), violation("/time"), id="no such day"),
        pytest.param(event(seq=0), violation("/seq"), id="seq 0"),
        pytest.param(event(seq=True), violation("/seq"), id="bool for int"),
        pytest.param(event(seq=1.0), violation("/seq"), id="float for int"),
        pytest.param(event(FACT, seq=1), violation("/seq", lane=Lane.WALLET), id="seq on a fact"),
        pytest.param(event(session=None), violation("/session"), id="null session"),
        pytest.param(event(extension="x"), violation(""), id="unknown extension"),
        pytest.param(event(edgenode="x"), violation(""), id="edge attribute"),
        pytest.param(event(data_base64="AA=="), violation(""), id="binary data"),
        pytest.param(GOOD[:-1] + b',"x` - at `$.data":1}', violation(""), id="name that forges a place"),
        pytest.param(event(data=None), violation("/data"), id="null data"),
        pytest.param(event(data="x"), violation("/data"), id="data no object"),
        pytest.param(
            event(data=example(SPIN)["data"] | {"x": {"y": 1}}), violation("/data"), id="unknown member"
        ),
        pytest.param(
            event().replace(b'"amount_minor": ', b'"amount_minor": 1e999'),
            violation("/data/stake/amount_minor"),
            id="not finite",
        ),
        pytest.param(
            event().replace(b'"amount_minor": ', b'"amount_minor": 1' + b"0" * 5000),
            violation("/data/stake/amount_minor"),
            id="5,000 digits",
        ),
        pytest.param(
            event().replace(b'"amount_minor": ', b'"amount_minor": -'),
            violation("/data/stake/amount_minor"),
            id="below zero",
        ),
        pytest.param(
            event("telemetry.device.snapshot", data=example("telemetry.device.snapshot")["data"] | {"os": "jane@example.com"}),
            (Reason.PII_LEAK, "/data/os", True, Lane.TELEMETRY),
            id="e-mail address",
        ),
        pytest.param(
            sized(SPIN, EVENT_BYTES_MAX + 1), (Reason.EVENT_TOO_LARGE, None, True, Lane.GAME), id="large"
        ),
        pytest.param(
            sized(MOVES, TELEMETRY_BYTES_MAX + 1),
            (Reason.EVENT_TOO_LARGE, None, True, Lane.TELEMETRY),
            id="large telemetry",
        ),
        pytest.param(
            b'{"type":"x"' + b" " * EVENT_BYTES_MAX + b"}",
            (Reason.EVENT_TOO_LARGE, None, False, None),
            id="large and unknown",
        ),
    ],
)  # fmt: skip
def test_a_bad_event_costs_its_neighbours_nothing(raw: bytes, expected: Outcome) -> None:
    assert outcomes(batch(GOOD, raw, event(FACT))) == [SPIN, expected, FACT]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(event(brand=None, dataschema=None, tracestate=None), id="null attributes"),
        pytest.param(event(extension=None, data_base64=None), id="null where nothing may be"),
        pytest.param(event(seq=2**31 - 1), id="greatest number"),
        pytest.param(event(dataschema=dataschema(SPIN, "1.0")), id="known version"),
        pytest.param(sized(SPIN, EVENT_BYTES_MAX), id="as large as may be"),
        pytest.param(GOOD[:-1] + b',"subject":"player-0002","subject":"player-0001"}', id="last wins"),
        pytest.param(b'{"type":"x.y.z",' + GOOD[1:], id="last type wins"),
    ],
)  # fmt: skip
def test_an_unusual_event_is_accepted_as_the_usual_one(raw: bytes) -> None:
    [unusual, usual] = decode(batch(raw, GOOD), Shape.ARRAY)

    assert isinstance(unusual, Event)
    assert isinstance(usual, Event)
    assert unusual.wire.subject == usual.wire.subject
    assert unusual.wire.data == usual.wire.data


def test_telemetry_may_be_larger() -> None:
    assert outcomes(sized(MOVES, TELEMETRY_BYTES_MAX)) == [MOVES]


def test_a_payload_of_ids_that_look_like_cards_is_accepted() -> None:
    data = example(SPIN)["data"] | {"request_id": "4111111111111111"}

    assert outcomes(event(data=data)) == [SPIN]


def test_an_invalid_trace_is_dropped() -> None:
    [arrival] = decode(event(traceparent="x", tracestate="a=1"), Shape.OBJECT)

    assert isinstance(arrival, Event)
    assert arrival.wire.traceparent is None
    assert arrival.wire.tracestate is None


REFUSES_ALL = {
    Reason.BODY_MALFORMED,
    Reason.BATCH_TOO_LARGE,
    Reason.UNSUPPORTED_MEDIA_TYPE,
}


def is_as_promised(body: bytes, shape: Shape) -> bool:
    """Whether all is refused for a reason that may, or each event has its outcome."""
    try:
        arrivals = decode(body, shape)
    except Reject as reject:
        return reject.reason in REFUSES_ALL
    is_object = body.lstrip().startswith(b"{")
    return len(arrivals) == (1 if is_object else len(json.loads(body)))


shapes = st.sampled_from(Shape)


@given(st.sampled_from([b"", b"[", b"{", b'[{"']), st.binary(max_size=300), shapes)
def test_no_bytes_surprise_us(start: bytes, rest: bytes, shape: Shape) -> None:
    assert is_as_promised(start + rest, shape)


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values, shapes)
def test_no_json_surprises_us(document: object, shape: Shape) -> None:
    assert is_as_promised(json.dumps(document, allow_nan=True).encode(), shape)


@given(
    st.sampled_from(list(SPECS)),
    st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=3), st.integers(0, 3)), max_size=3),
)
def test_no_damage_to_a_good_batch_surprises_us(
    type_: str, damages: list[tuple[float, bytes, int]]
) -> None:
    body = batch(GOOD, event(type_))
    for share, inserted, removed in damages:
        place = int(share * len(body))
        body = body[:place] + inserted + body[place + removed :]
    assert is_as_promised(body, Shape.EITHER)


STAKE = "bet.round.staked"


def mutated(type_: str, name: str, value: object) -> bytes:
    """An example with one attribute or member of ``data`` set, taken away, or wrong."""
    document = example(type_)
    holder = document["data"] if name in document["data"] else document
    if value is Ellipsis:
        holder.pop(name, None)
    else:
        holder[name] = value
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("member", "value", "pointer"),
    [
        pytest.param("round_id", "x y", "/data/round_id", id="form"),
        pytest.param("stake_cash_minor", 7, "/data/stake/amount_minor", id="rule"),
    ],
)
def test_a_fault_is_found_in_any_event_of_a_batch(
    member: str, value: object, pointer: str
) -> None:
    """Planted: the payload of the first event stands for all of its type."""
    good = event(STAKE)
    bad = mutated(STAKE, member, value)

    assert outcomes(batch(good, bad, good), Shape.ARRAY) == [
        STAKE,
        (Reason.SCHEMA_VIOLATION, pointer, True, Lane.BET),
        STAKE,
    ]


spoilt = st.builds(
    mutated,
    st.sampled_from([STAKE, STAKE, SPIN, FACT]),
    st.sampled_from([*example(SPIN), *example(STAKE), *example(STAKE)["data"], "decline_code"]),
    st.sampled_from(
        [..., None, "", "x y", 7, "2026-07-31T20:00:00Z", "2026-07-31T20:00:00.5+02:00", "é"]
    ),
)
sound = st.builds(event, st.sampled_from([STAKE, STAKE, *SPECS]))
mutants = st.one_of(sound, sound, sound, spoilt)


def described(arrival: Event | Unread) -> object:
    """All that later stages see of it."""
    return arrival if isinstance(arrival, Event) else (outcome(arrival), arrival.evidence)


@given(st.lists(mutants, min_size=1, max_size=6))
def test_events_are_read_together_as_each_would_be_alone(events: list[bytes]) -> None:
    """Planted: a time, or a trace, left as it was sent."""
    alone = [described(decode(each, Shape.OBJECT)[0]) for each in events]

    assert [described(arrival) for arrival in decode(batch(*events), Shape.ARRAY)] == alone


@pytest.mark.parametrize("type_", SPECS)
def test_no_event_is_longer_when_it_is_encoded_again(type_: str) -> None:
    """Or a batch could hide one that is too large."""
    body = msgspec.json.encode(example(type_))
    [arrival] = decode(body, Shape.OBJECT)

    assert isinstance(arrival, Event)
    assert len(arrival.json) <= len(body)


@pytest.mark.parametrize("time", ["2026-07-31T20:00:00.000Z", "2026-07-31T20:00:00Z"])
@pytest.mark.parametrize("padding", [0, 60])
def test_an_event_too_large_is_found_among_others_however_they_are_written(
    time: str, padding: int
) -> None:
    """Planted: no allowance for what a body has in excess; none for what a time may gain."""
    compact = msgspec.json.encode(example(FACT) | {"time": time})
    small = [compact[:-1] + b" " * padding + b"}"] * 30
    large = compact[:-1] + b" " * (EVENT_BYTES_MAX + 1 - len(compact)) + b"}"

    verdicts = outcomes(batch(*small, large, *small), Shape.ARRAY)

    assert [place for place, verdict in enumerate(verdicts) if verdict != FACT] == [30]
    assert verdicts[30] == (Reason.EVENT_TOO_LARGE, None, True, Lane.WALLET)


def test_a_large_batch_of_samples_may_come_with_small_events() -> None:
    moves = sized(MOVES, EVENT_BYTES_MAX + 1)

    assert outcomes(batch(moves, event(FACT), moves), Shape.ARRAY) == [MOVES, FACT, MOVES]
