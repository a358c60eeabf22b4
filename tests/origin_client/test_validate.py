"""``origin_client.validate``: each rule has something that breaks it."""

import msgspec
import pytest
from hypothesis import given, strategies as st

from origin_client.envelope import Envelope
from origin_client.validate import ATTRIBUTES, validate
from tests.contract.envelopes import NUMBERED

FACT, INTENT = NUMBERED["minimal_fact"], NUMBERED["full_intent"]
ABSENT = object()

BREACHES: dict[str, tuple[object, ...]] = {
    "specversion": (ABSENT, "0.3", "1.0\n", 1.0),
    "id": (ABSENT, "", "x", "0198C0DE-1111-7111-8111-000000000001"),
    "source": (ABSENT, "", "a b", "x" * 257, 'a"b'),
    "type": (ABSENT, "bet", "Bet.round.staked", "bet.round.staked\n"),
    "time": (
        *(ABSENT, "2026-02-14", "2026-02-14T20:00:00Z", "2026-02-30T20:00:00.000Z"),
        *("2026-02-14T20:00:00.000+00:00", "2026-02-14T20:00:00.0000Z"),
    ),
    "subject": (ABSENT, "abc", "x" * 65, "a/bc"),
    "dataschema": (ABSENT, "urn:edge:schema:bet.slip.settled:1.0", "urn:x", "1.0"),
    "brand": (ABSENT, "", "A"),
    "jurisdiction": (ABSENT, "gb", "GB-"),
    "edgenode": (ABSENT, "", "a b"),
    "edgeregion": (ABSENT, "", None),
    "edgespool": (ABSENT, "", "1"),
    "edgeseq": (ABSENT, "", "0", "01", "-1", 1, "1.0", "\u0661"),
    "edgetime": (ABSENT, "", 0),
    "authority": (ABSENT, "guess", None),
    "data": (ABSENT, None, [], "{}"),
    "session": ("", None, 1),
    "seq": (0, -1, 2**31, "1", True, 1.0),
    "traceparent": ("", "00-0-0-0"),
    "tracestate": ("", "x" * 513, "a\nb"),
    "flags": ("", ",", "late,", "seq_gap,late", "late,late", "Late", ["late"]),
    "deadreason": ("", "x" * 257, "a\nb", 1),
    "policy": ("GB@2026.02.1",),
    "data_base64": ("e30=",),
    "edge_node": ("x",),
}
ROWS = [(name, value) for name, values in BREACHES.items() for value in values]


def changed(envelope: bytes, name: str, value: object) -> bytes:
    members = msgspec.json.decode(envelope, type=dict[str, object])
    members.pop(name, None)
    return msgspec.json.encode(members if value is ABSENT else members | {name: value})


@pytest.mark.parametrize(
    ("name", "value"), ROWS, ids=[f"{name}-{number}" for number, (name, _) in enumerate(ROWS)]
)
def test_each_breach_is_named(name: str, value: object) -> None:
    complaints = validate(changed(INTENT, name, value))

    assert complaints
    assert all(name in complaint for complaint in complaints)


@pytest.mark.parametrize("name", ["session", "seq"])
def test_a_client_event_without_its_number_is_named(name: str) -> None:
    assert validate(changed(INTENT, name, ABSENT)) == [f"{name} is missing on an intent"]


def test_a_fact_with_a_number_is_named() -> None:
    assert validate(changed(FACT, "seq", 1)) == ["a fact has a seq"]


def test_a_fact_may_name_its_session() -> None:
    session = msgspec.json.decode(INTENT, type=dict[str, object])["session"]

    assert validate(changed(FACT, "session", session)) == []


@pytest.mark.parametrize(
    "value",
    [b"", b"{", b"[]", b"1", b'{"id":"\xff"}', b"\xff", b'{"data":' * 100_000, b"{}x"],
    ids=["empty", "torn", "array", "number", "latin", "binary", "deep", "trailing"],
)
def test_what_is_no_object_is_one_complaint(value: bytes) -> None:
    assert len(validate(value)) == 1


def test_it_knows_exactly_the_attributes_that_are_written() -> None:
    assert set(ATTRIBUTES) == set(Envelope.__struct_fields__)


@given(value=st.binary())
def test_any_bytes_are_judged(value: bytes) -> None:
    assert validate(value)


@given(
    name=st.sampled_from([*ATTRIBUTES, "else"]),
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=5,
    ),
)
def test_any_value_of_any_attribute_is_judged(name: str, value: object) -> None:
    for complaint in validate(changed(INTENT, name, value)):
        assert isinstance(complaint, str)
