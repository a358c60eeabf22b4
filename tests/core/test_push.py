"""``edge.core.push``: whatever lies in the topic, a push is what it says, or nothing at all."""

from typing import Final

import msgspec
import pytest
from hypothesis import given, strategies as st

from edge.core.push import KEY_CHARS_MAX, PUSH_BYTES_MAX, Fault, Label, Push, read_push

SESSION: Final = "0198c0de-0000-7000-8000-000000000001"
EVENT: Final[dict[str, object]] = {
    "specversion": "1.0",
    "id": "0198c0de-0000-7000-8000-00000000000a",
    "source": "//jackpots.example",
    "type": "jackpot.pot.grown",
    "time": "2026-03-01T12:00:00Z",
    "pushto": "all",
    "pushtopic": "jackpots",
    "pushkey": "mega",
    "data": {"amount_minor": 1_000_000},
}


def record(**members: object) -> bytes:
    """A push that states *members* too; ``...`` takes one away."""
    stated = {name: value for name, value in (EVENT | members).items() if value is not ...}
    return msgspec.json.encode(stated)


def sent(push: Push | Fault) -> dict[str, object]:
    """What a client reads of it."""
    assert isinstance(push, Push)
    return msgspec.json.decode(push.frame, type=dict[str, object])


def test_a_push_is_the_event_under_its_op() -> None:
    push = read_push(record())

    assert isinstance(push, Push)
    assert push.label == Label("all", "", "jackpots", "mega")
    assert sent(push) == {"op": "push", "event": EVENT}


@pytest.mark.parametrize(
    ("pushto", "audience", "name"),
    [
        ("player:ada_-1", "player", "ada_-1"),
        (f"session:{SESSION}", "session", SESSION),
        ("brand:north-2", "brand", "north-2"),
        ("all", "all", ""),
    ],
)
def test_an_address_names_whom_it_is_for(pushto: str, audience: str, name: str) -> None:
    push = read_push(record(pushto=pushto))

    assert isinstance(push, Push)
    assert (push.label.audience, push.label.name) == (audience, name)


@pytest.mark.parametrize(
    "pushto",
    [
        ...,
        "",
        "ALL",
        "all:",
        "all\n",
        "player",
        "player:",
        "player:ada",
        "player:" + "a" * 65,
        "player:ada lovelace",
        "player:ada_1\n",
        "session:1",
        f"session:{SESSION.upper()}",
        "brand:x",
        "brand:North",
        "somebody:ada_1",
        ["all"],
        1,
        None,
    ],
)
def test_an_address_that_names_nobody_makes_no_push(pushto: object) -> None:
    assert read_push(record(pushto=pushto)) is Fault.MALFORMED


@pytest.mark.parametrize(
    "members",
    [
        {"pushtopic": ...},
        {"pushtopic": ""},
        {"pushtopic": "Jackpots"},
        {"pushtopic": "a,b"},
        {"pushtopic": "a" * 65},
        {"pushtopic": 1},
        {"pushkey": ...},
        {"pushkey": ""},
        {"pushkey": "k" * (KEY_CHARS_MAX + 1)},
        {"pushkey": 1},
        {"specversion": ...},
        {"specversion": "0.3"},
        {"specversion": 1.0},
        {"id": ...},
        {"id": ""},
        {"source": ...},
        {"source": 7},
        {"type": ...},
        {"type": None},
        {"Subject": "a name is written in lower case"},
        {"with-a-dash": "x"},
        {"": "x"},
        {"extension": {"of": "an object"}},
        {"extension": 1.5},
        {"data_base64": "AA=="},
    ],
    ids=str,
)
def test_what_is_no_cloud_event_with_topic_and_key_is_no_push(
    members: dict[str, object],
) -> None:
    assert read_push(record(**members)) is Fault.MALFORMED


@pytest.mark.parametrize(
    "members",
    [
        {"pushkey": "k" * KEY_CHARS_MAX},
        {"pushkey": "Ü 赌 \n"},
        {"pushtopic": "a.b_c-9"},
        {"data": ...},
        {"data": ..., "data_base64": "AA=="},
        {"data": [1.5, None, "text"]},
        {"subject": "ada", "extension1": 1, "extension2": True, "absent": None},
    ],
    ids=str,
)
def test_whatever_else_a_cloud_event_may_have_is_passed_on(members: dict[str, object]) -> None:
    event = sent(read_push(record(**members)))["event"]

    assert event == msgspec.json.decode(record(**members))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b'"push"',
        b"{}",
        b"{",
        record()[:-1],
        record() + record(),
        b"\xef\xbb\xbf" + record(),
        record(data="?").replace(b"?", b"\xff"),
        record(data="?").replace(b"?", b"\\ud800"),
        record(data="?").replace(b"?", b"\n"),
        record(data=0).replace(b":0}", b":NaN}"),
        record(data=0).replace(b":0}", b":1e999}"),
        record(data=0).replace(b":0}", b":" + b"[" * 5000 + b"]" * 5000 + b"}"),
    ],
)
def test_what_is_no_json_that_everybody_reads_is_no_push(value: bytes) -> None:
    assert read_push(value) is Fault.MALFORMED


def test_a_name_that_stands_twice_is_read_in_one_way() -> None:
    twice = record().replace(b'"pushto":"all"', b'"pushto":"brand:north","pushto":"all"')

    assert read_push(twice) == read_push(record())


def padded(size: int) -> bytes:
    """A push of *size* bytes."""
    return record(data="x" * (size - len(record(data=""))))


def test_a_push_has_a_size() -> None:
    assert sent(read_push(padded(PUSH_BYTES_MAX)))["op"] == "push"
    assert read_push(padded(PUSH_BYTES_MAX + 1)) is Fault.TOO_LARGE
    assert read_push(b"x" * (PUSH_BYTES_MAX + 1)) is Fault.TOO_LARGE


def test_a_push_that_grows_when_it_is_encoded_again_has_that_size() -> None:
    numbers = b",".join([b"1e15"] * 3000)
    grown = record(data=0).replace(b":0}", b":[" + numbers + b"]}")

    assert len(grown) < PUSH_BYTES_MAX
    assert read_push(grown) is Fault.TOO_LARGE


@given(st.binary(max_size=300) | st.builds(record, data=st.text() | st.floats()))
def test_any_bytes_are_a_push_or_a_fault(value: bytes) -> None:
    push = read_push(value)

    assert isinstance(push, Fault) or push.frame.decode().startswith('{"op":"push","event":{')


@given(st.integers(0, len(record()) - 1), st.binary(max_size=3))
def test_a_push_with_damage_is_a_push_that_clients_can_read_or_a_fault(
    at: int, damage: bytes
) -> None:
    value = record()
    push = read_push(value[:at] + damage + value[at + len(damage) :])

    if isinstance(push, Push):
        event, label = sent(push)["event"], push.label
        assert isinstance(event, dict)
        assert event["pushtopic"] == label.topic
        assert event["pushkey"] == label.key
        assert event["pushto"] in (f"{label.audience}:{label.name}", "all")
