"""``origin_client.envelope``: what is added to written JSON; the bytes are in ``contract/``."""

import msgspec
import pytest
from hypothesis import given, strategies as st

from origin_client.envelope import DEADREASON_CHARS_MAX, mark_dead, number, unmark_dead
from tests.contract.envelopes import EDGESPOOL, NUMBERED

ENVELOPE = NUMBERED["minimal_fact"]


def read(envelope: bytes) -> dict[str, object]:
    return msgspec.json.decode(envelope, type=dict[str, object])


def test_a_number_is_added_and_nothing_else_changes() -> None:
    assert read(number(b'{"id":"x"}', EDGESPOOL, 10**20)) == {
        "edgespool": EDGESPOOL,
        "edgeseq": "100000000000000000000",
        "id": "x",
    }


@pytest.mark.parametrize(
    ("reason", "written"),
    [
        ("too large", "too large"),
        ('"quoted"\\', '"quoted"\\'),
        ("a\nb\x1b[2J\u202e", "a?b?[2J?"),
        ("", "?"),
        ("x" * 1000, "x" * DEADREASON_CHARS_MAX),
    ],
    ids=["plain", "quoted", "control", "empty", "long"],
)
def test_a_reason_becomes_a_plain_attribute(reason: str, written: str) -> None:
    assert read(mark_dead(ENVELOPE, reason)) == read(ENVELOPE) | {"deadreason": written}


@given(reason=st.text())
def test_any_reason_leaves_the_rest_of_the_envelope_alone(reason: str) -> None:
    marked = read(mark_dead(ENVELOPE, reason))

    assert marked.pop("deadreason")
    assert marked == read(ENVELOPE)


@given(reason=st.text())
def test_a_letter_gives_its_envelope_back_byte_for_byte(reason: str) -> None:
    assert unmark_dead(mark_dead(ENVELOPE, reason)) == ENVELOPE


@pytest.mark.parametrize(
    "letter", [b"", b"{}", ENVELOPE, b'{"deadreason":"cut', b'{"deadreason":1,"id":""}']
)
def test_what_is_no_letter_gives_nothing(letter: bytes) -> None:
    with pytest.raises(ValueError, match="no dead letter"):
        unmark_dead(letter)
