"""A payload's strings are judged together, and refused one by one."""

import copy
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec import UNSET, Meta, UnsetType

from edge.core.catalogue.forms import HMAC64_PATTERN, ID_PATTERN, Hmac64, Id, Text
from edge.core.catalogue.strings import strings_of
from edge.core.event import Payload
from edge.core.reject import Reason, Reject
from edge.core.scan import holds_pii
from tests.core.catalogue.judging import put

CARD = "4111 1111 1111 1111"


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """A name and a remark."""

    name: Id
    remark: Text | UnsetType = UNSET


class Letter(Payload, frozen=True, kw_only=True):
    """A payload with a string in every kind of place."""

    id: Id
    seal: Hmac64
    subject: Text
    reply_to: Id | None
    note: Text | UnsetType = UNSET
    sender: Tag
    tags: tuple[Tag, ...]
    words: tuple[Text, ...]
    copies: tuple[Id, ...]
    pages: int


class Remark(Payload, frozen=True):
    """A payload whose one string has a title in its schema, but no pattern."""

    text: Annotated[str, Meta(title="said", extra_json_schema={"deprecated": False})]


class Nothing(Payload, frozen=True):
    """A payload without strings."""

    pages: int


LETTER: Final[Mapping[str, Any]] = {
    "id": "letter-1",
    "seal": "0" * 64,
    "subject": "hello",
    "reply_to": "letter-0",
    "note": "short",
    "sender": {"name": "ada", "remark": "new"},
    "tags": [{"name": "a", "remark": "fine"}, {"name": "b", "remark": "good"}],
    "words": ["some", "words"],
    "copies": ["c1", "c2"],
    "pages": 2,
}
CHECK: Final = strings_of(Letter)


def letter_of(texts: Mapping[str, object]) -> Letter:
    """The letter with other texts at some pointers; unlike a decoder this believes anything."""
    document = {"data": copy.deepcopy(dict(LETTER))}
    for pointer, text in texts.items():
        put(document, pointer, text)
    members = document["data"]
    members["sender"] = Tag(**members["sender"])
    members["tags"] = tuple(Tag(**tag) for tag in members["tags"])
    members["words"] = tuple(members["words"])
    members["copies"] = tuple(members["copies"])
    return Letter(**members)


def refusal(letter: Letter) -> tuple[Reason, str | None] | None:
    """Reason and pointer; ``None`` when the check accepts."""
    assert CHECK is not None
    try:
        CHECK.check(letter)
    except Reject as reject:
        assert not CHECK.are_fine([letter_of({}), letter])
        return reject.reason, reject.pointer
    return None


FORMED = {
    "/data/id": ID_PATTERN,
    "/data/seal": HMAC64_PATTERN,
    "/data/reply_to": ID_PATTERN,
    "/data/sender/name": ID_PATTERN,
    "/data/tags/0/name": ID_PATTERN,
    "/data/tags/1/name": ID_PATTERN,
    "/data/copies/0": ID_PATTERN,
    "/data/copies/1": ID_PATTERN,
}
FREE = [
    "/data/subject",
    "/data/note",
    "/data/sender/remark",
    "/data/tags/0/remark",
    "/data/tags/1/remark",
    "/data/words/0",
    "/data/words/1",
]


def test_a_clean_payload_is_accepted() -> None:
    assert refusal(letter_of({})) is None
    assert CHECK is not None
    assert CHECK.are_fine([letter_of({}), letter_of({"/data/note": "v1.2.3"}), letter_of({})])


def test_what_may_be_missing_may_be_missing() -> None:
    bare = letter_of(
        {
            "/data/reply_to": None,
            "/data/note": UNSET,
            "/data/tags": [],
            "/data/words": [],
            "/data/copies": [],
        }
    )

    assert refusal(bare) is None


@pytest.mark.parametrize("pointer", FORMED)
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a b", id="foreign character"),
        pytest.param("a\nb", id="line break"),
        pytest.param("0" * 64 + "\n", id="trailing line break"),
        pytest.param("\n", id="only a line break"),
        pytest.param("a" * 65, id="too long"),
        pytest.param("é", id="another script"),
    ],
)
def test_a_string_not_of_its_form_is_refused_where_it_stands(pointer: str, text: str) -> None:
    assert refusal(letter_of({pointer: text})) == (Reason.SCHEMA_VIOLATION, pointer)


@pytest.mark.parametrize("pointer", FREE)
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("a\nb", Reason.SCHEMA_VIOLATION, id="line break"),
        pytest.param("a\x00", Reason.SCHEMA_VIOLATION, id="NUL"),
        pytest.param("a\x1b[31m", Reason.SCHEMA_VIOLATION, id="escape sequence"),
        pytest.param("a\x7f", Reason.SCHEMA_VIOLATION, id="delete"),
        pytest.param("a\x85", Reason.SCHEMA_VIOLATION, id="control beyond ASCII"),
        pytest.param("e\u0301", Reason.SCHEMA_VIOLATION, id="not composed"),
        pytest.param("\ud800", Reason.SCHEMA_VIOLATION, id="half a surrogate pair"),
        pytest.param("ada@example.com", Reason.PII_LEAK, id="address"),
        pytest.param(f"é {CARD}", Reason.PII_LEAK, id="card"),
        pytest.param("naïve", None, id="composed"),
        pytest.param("日本語 🎰", None, id="another script"),
        pytest.param("a@b", None, id="a trace that is none"),
        pytest.param("1234567890123", None, id="a number that is no card"),
        pytest.param("", None, id="empty"),
    ],
)
def test_a_free_string_is_judged_where_it_stands(
    pointer: str, text: str, reason: Reason | None
) -> None:
    assert refusal(letter_of({pointer: text})) == (reason and (reason, pointer))


@pytest.mark.parametrize("pointer", [p for p, form in FORMED.items() if form == ID_PATTERN])
def test_an_identifier_may_look_like_a_card(pointer: str) -> None:
    assert refusal(letter_of({pointer: "4111111111111111"})) is None


def test_two_strings_do_not_make_one_card() -> None:
    halves = letter_of({"/data/words/0": "4111 1111", "/data/words/1": "1111 1111"})

    assert refusal(halves) is None


def test_a_string_whose_schema_says_more_but_no_pattern_is_free() -> None:
    strings = strings_of(Remark)
    assert strings is not None

    strings.check(Remark("fine"))
    with pytest.raises(Reject) as caught:
        strings.check(Remark("ada@example.com"))

    assert (caught.value.reason, caught.value.pointer) == (Reason.PII_LEAK, "/data/text")


def test_a_payload_without_strings_has_no_check() -> None:
    assert strings_of(Nothing) is None


class Labelled(Payload, frozen=True):
    """A payload with strings that have no name."""

    labels: dict[str, str]


class Pair(NamedTuple):
    """Strings that have numbers."""

    left: str
    right: str


class Paired(Payload, frozen=True):
    """A payload with strings that have numbers."""

    pair: Pair


class MaybeSent(Payload, frozen=True):
    """A payload whose sender may be missing, with the strings in it."""

    sender: Tag | None


class MaybeTagged(Payload, frozen=True):
    """A payload whose tags may be missing, with the strings in them."""

    tags: tuple[Tag, ...] | UnsetType = UNSET


@pytest.mark.parametrize("payload", [Labelled, Paired, MaybeSent, MaybeTagged])
def test_a_place_for_strings_that_nobody_thought_about_stops_the_import(
    payload: type[Payload],
) -> None:
    with pytest.raises(AssertionError):
        strings_of(payload)


def judged_alone(pointer: str, text: str) -> Reason | None:
    """What one string deserves, written down without any of the shortcuts."""
    if pointer in FORMED:
        form = FORMED[pointer].removesuffix("$") + r"\Z"
        return None if re.search(form, text) else Reason.SCHEMA_VIOLATION
    if unicodedata.normalize("NFC", text) != text:
        return Reason.SCHEMA_VIOLATION
    if any(unicodedata.category(character) == "Cc" for character in text):
        return Reason.SCHEMA_VIOLATION
    return Reason.PII_LEAK if holds_pii(text) else None


@given(
    st.dictionaries(
        st.sampled_from([*FORMED, *FREE]),
        st.text("aé0 \n@.\x00\u0301", max_size=3)
        | st.sampled_from(["a", "0" * 64, "a\n" + "0" * 64, CARD, "x@y.zz"]),
        max_size=3,
    )
)
def test_strings_are_judged_together_as_each_would_be_alone(texts: dict[str, str]) -> None:
    alone = [(judged_alone(pointer, text), pointer) for pointer, text in texts.items()]
    faults = [(reason, pointer) for reason, pointer in alone if reason is not None]

    verdict = refusal(letter_of(texts))

    assert verdict in faults if faults else verdict is None
