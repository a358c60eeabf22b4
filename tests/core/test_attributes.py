"""What each attribute may look like, and who must state which."""

import gc
import re
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from edge.core.attributes import (
    PATTERNS,
    attribute_check,
    dataschema,
    is_id,
    required_of,
    with_valid_trace,
)
from edge.core.catalogue.registry import SPECS, WIRE_TYPES
from edge.core.event import WireEvent
from edge.core.reject import Reason, Reject
from tests.core.catalogue.examples import example
from tests.core.schema_cases import FORMATS

CLIENT = "game.spin.requested"
FACT = "wallet.deposit.settled"
SESSION_FACT = "player.session.started"

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"
STATE_512 = f"a={'x' * 256},b={'x' * 251}"


def wire(type_: str, **attributes: Any) -> WireEvent:
    event = example(type_) | attributes
    return msgspec.convert(event, WIRE_TYPES[type_])


def refusal(event: WireEvent, type_: str) -> tuple[Reason, str | None]:
    with pytest.raises(Reject) as refused:
        attribute_check(SPECS[type_])(event)
    return refused.value.reason, refused.value.pointer


def matches(name: str, text: str) -> bool:
    return re.fullmatch(PATTERNS[name].removeprefix("^").removesuffix("$"), text) is not None


@pytest.mark.parametrize("type_", SPECS)
def test_every_example_states_what_it_must(type_: str) -> None:
    attribute_check(SPECS[type_])(wire(type_))


@pytest.mark.parametrize("type_", [CLIENT, FACT, SESSION_FACT])
def test_what_is_required_is_missed(type_: str) -> None:
    optional = {"session", "seq", "brand", "jurisdiction"} & set(required_of(SPECS[type_]))

    assert optional
    for name in sorted(optional):
        expected = (Reason.SCHEMA_VIOLATION, f"/{name}")
        assert refusal(wire(type_, **{name: None}), type_) == expected


@pytest.mark.parametrize(
    ("type_", "attributes"),
    [
        pytest.param(CLIENT, {"brand": "acme", "jurisdiction": "GB"}, id="client states place"),
        pytest.param(CLIENT, {"jurisdiction": "US-NJ"}, id="subdivision"),
        pytest.param(FACT, {"session": "019856f0-0000-7000-8000-00000000aaaa"}, id="fact names session"),
        pytest.param(CLIENT, {"seq": 2**31 - 1}, id="greatest number"),
        pytest.param(CLIENT, {"dataschema": dataschema(CLIENT, "1.0")}, id="loaded version"),
        pytest.param(CLIENT, {"source": "a" * 256}, id="longest source"),
        pytest.param(CLIENT, {"time": "2026-07-31T20:00:00.123456789+05:45"}, id="exact time"),
    ],
)  # fmt: skip
def test_what_may_be_stated_is_accepted(type_: str, attributes: dict[str, Any]) -> None:
    attribute_check(SPECS[type_])(wire(type_, **attributes))


@pytest.mark.parametrize(
    ("type_", "name", "value"),
    [
        pytest.param(CLIENT, "id", "019856F0-0000-7000-8000-00000000AAAA", id="upper-case id"),
        pytest.param(CLIENT, "id", "019856f000007000800000000000aaaa", id="id without hyphens"),
        pytest.param(CLIENT, "id", "019856f0-0000-7000-8000-00000000aaaa\n", id="id and line break"),
        pytest.param(CLIENT, "source", "", id="no source"),
        pytest.param(CLIENT, "source", "a" * 257, id="source too long"),
        pytest.param(CLIENT, "source", "//a b", id="source with a space"),
        pytest.param(CLIENT, "source", "\u00fcrn:x", id="source not ASCII"),
        pytest.param(CLIENT, "time", "yesterday", id="no time"),
        pytest.param(CLIENT, "subject", "abc", id="subject too short"),
        pytest.param(CLIENT, "subject", "a" * 65, id="subject too long"),
        pytest.param(CLIENT, "subject", "a.b.c", id="subject with dots"),
        pytest.param(CLIENT, "session", "", id="empty session"),
        pytest.param(CLIENT, "session", "None", id="session None"),
        pytest.param(CLIENT, "seq", 0, id="seq 0"),
        pytest.param(CLIENT, "seq", -1, id="seq below 0"),
        pytest.param(CLIENT, "seq", 2**31, id="seq of 32 bits"),
        pytest.param(CLIENT, "brand", "", id="empty brand"),
        pytest.param(CLIENT, "brand", "None", id="brand None"),
        pytest.param(CLIENT, "brand", "Acme", id="upper-case brand"),
        pytest.param(CLIENT, "jurisdiction", "gb", id="lower-case jurisdiction"),
        pytest.param(CLIENT, "jurisdiction", "GB-", id="half a subdivision"),
        pytest.param(FACT, "brand", "a", id="brand of a fact"),
        pytest.param(FACT, "jurisdiction", "GBR", id="jurisdiction of a fact"),
        pytest.param(FACT, "session", "s-1", id="session of a fact"),
        pytest.param(FACT, "seq", 1, id="seq on a fact"),
        pytest.param(SESSION_FACT, "session", "s-1", id="session of a session"),
        pytest.param(CLIENT, "dataschema", dataschema(FACT, "1.0"), id="schema of another type"),
        pytest.param(CLIENT, "dataschema", dataschema(CLIENT, "1"), id="version without minor"),
        pytest.param(CLIENT, "dataschema", dataschema(CLIENT, "1.00"), id="version with a zero"),
        pytest.param(CLIENT, "dataschema", dataschema(CLIENT, "1.0\n"), id="version and line break"),
        pytest.param(CLIENT, "dataschema", "", id="empty schema"),
    ],
)  # fmt: skip
def test_a_wrong_attribute_is_pointed_at(type_: str, name: str, value: Any) -> None:
    expected = (Reason.SCHEMA_VIOLATION, f"/{name}")
    assert refusal(wire(type_, **{name: value}), type_) == expected


def test_a_version_that_is_not_loaded_is_unknown() -> None:
    event = wire(CLIENT, dataschema=dataschema(CLIENT, "10.2"))

    assert refusal(event, CLIENT) == (Reason.UNKNOWN_VERSION, "/dataschema")


def test_attributes_cannot_lend_each_other_lines() -> None:
    """Two attributes in one, and one that looks like what is then missing."""
    good = example(CLIENT)
    event = wire(
        CLIENT,
        id=f"{good['id']}\n{good['source']}",
        source=good["time"],
        time=good["subject"],
        subject=good["session"],
        session=None,
    )

    assert refusal(event, CLIENT) == (Reason.SCHEMA_VIOLATION, "/id")


@pytest.mark.parametrize(("type_", "name"), [(CLIENT, "session"), (FACT, "brand")])
def test_long_texts_are_refused_without_being_remembered(type_: str, name: str) -> None:
    """Planted: a memory of matches without a bound of their length."""
    tracemalloc.start()
    try:
        for number in range(100):
            refusal(wire(type_, **{name: f"{number}".zfill(10_000)}), type_)
        gc.collect()  # what was raised holds its event
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held_bytes < 500_000


def test_an_id_is_told_apart() -> None:
    assert is_id("019856f0-0000-7000-8000-00000000aaaa")
    assert not is_id("019856f0-0000-7000-8000-00000000aaaa ")


@pytest.mark.parametrize("name", PATTERNS)
def test_no_pattern_matches_a_line_break(name: str) -> None:
    """Or several attributes could not be judged as the lines of one text."""
    good = (example(FACT) | example(CLIENT))[name]

    assert matches(name, good)
    for place in range(len(good) + 1):
        assert not matches(name, f"{good[:place]}\n{good[place:]}")


pieces = st.sampled_from([*"a1:@/?# \u00e9", "//", "%2f", "%2"])


@given(st.sampled_from(["//", "a://", "a", ""]), st.lists(pieces, min_size=1, max_size=7))
def test_a_source_is_a_uri_reference(start: str, rest: list[str]) -> None:
    """Two readings of RFC 3986 agree; addresses in brackets are not looked into."""
    text = start + "".join(rest)
    assert matches("source", text) is FORMATS.conforms(text, "uri-reference")


@pytest.mark.parametrize(
    "text", ["http://[::1]:8080/x", "//[::1]", "urn:a:b", "?q", "#f", "./a:b"]
)
def test_a_source_may_be_unusual(text: str) -> None:
    assert matches("source", text)


@pytest.mark.parametrize(
    ("parent", "state", "kept"),
    [
        pytest.param(None, None, (None, None), id="none"),
        pytest.param(PARENT, None, (PARENT, None), id="parent"),
        pytest.param(PARENT, "a=1, b@c=2 , ,d=x y", (PARENT, "a=1, b@c=2 , ,d=x y"), id="both"),
        pytest.param(f"cc{PARENT[2:]}-more", None, (f"cc{PARENT[2:]}-more", None), id="version cc"),
        pytest.param(f"{PARENT}-more", None, (None, None), id="version 00 goes on"),
        pytest.param(f"ff{PARENT[2:]}", "a=1", (None, None), id="version ff"),
        pytest.param(PARENT.upper(), "a=1", (None, None), id="upper case"),
        pytest.param(PARENT.replace(TRACE, "0" * 32), "a=1", (None, None), id="trace id 0"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", "a=1", (None, None), id="parent id 0"),
        pytest.param(f"{PARENT}\n", "a=1", (None, None), id="line break"),
        pytest.param(None, "a=1", (None, None), id="state without parent"),
        pytest.param(PARENT, "a", (PARENT, None), id="state without value"),
        pytest.param(PARENT, "A=1", (PARENT, None), id="upper-case key"),
        pytest.param(PARENT, "a=1\n", (PARENT, None), id="state and line break"),
        pytest.param(PARENT, STATE_512, (PARENT, STATE_512), id="512 characters"),
        pytest.param(PARENT, STATE_512 + "x", (PARENT, None), id="513 characters"),
        pytest.param(PARENT, ",   " * 31 + "!", (PARENT, None), id="blanks without end"),
        pytest.param(PARENT, "a=" + "x " * 200 + "\x01", (PARENT, None), id="words without end"),
        pytest.param(PARENT, ",".join(f"k{n}=1" for n in range(33)), (PARENT, None), id="33 members"),
    ],
)  # fmt: skip
def test_a_trace_passes_or_is_dropped(
    parent: str | None, state: str | None, kept: tuple[str | None, str | None]
) -> None:
    event = wire(CLIENT, traceparent=parent, tracestate=state)

    assert with_valid_trace(event) == wire(CLIENT, traceparent=kept[0], tracestate=kept[1])
