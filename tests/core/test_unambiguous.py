"""Base64url and JSON: one reading, or none."""

import base64
import itertools
import json
import string

import pytest
from hypothesis import given, strategies as st

from edge.core.unambiguous import Ambiguous, base64url, json_object


@given(st.binary())
def test_what_was_encoded_without_padding_is_decoded(octets: bytes) -> None:
    text = base64.urlsafe_b64encode(octets).rstrip(b"=")

    assert base64url(text) == octets
    assert base64url(text.decode("ascii")) == octets


def test_no_two_texts_of_up_to_three_characters_mean_the_same_octets() -> None:
    alphabet = (string.ascii_letters + string.digits + "-_")[::5] + "-_=+/ \n"
    read: dict[bytes, str] = {}
    for size in range(4):
        for letters in itertools.product(sorted(set(alphabet)), repeat=size):
            text = "".join(letters)
            try:
                octets = base64url(text)
            except Ambiguous:
                continue
            assert read.setdefault(octets, text) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("QQ==", id="padding"),
        pytest.param("QR", id="unused bits"),
        pytest.param("QQQQQ", id="impossible length"),
        pytest.param("Q Q", id="space"),
        pytest.param("QQ\n", id="line break"),
        pytest.param("+/+/", id="the other alphabet"),
        pytest.param("QQé", id="not ASCII"),
    ],
)
def test_base64url_has_one_spelling(text: str) -> None:
    with pytest.raises(Ambiguous):
        base64url(text)


@given(st.binary())
def test_any_octets_are_decoded_or_refused(octets: bytes) -> None:
    try:
        decoded = base64url(octets)
    except Ambiguous:
        return
    assert base64.urlsafe_b64encode(decoded).rstrip(b"=") == octets


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), _JSON))
def test_an_object_is_read_as_it_was_written(members: dict[str, object]) -> None:
    assert json_object(json.dumps(members).encode("utf-8")) == members


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="no object"),
        pytest.param(b'"{}"', id="a string"),
        pytest.param(b'{"a":1,"a":1}', id="a name twice"),
        pytest.param(b'{"a":1,"\\u0061":1}', id="a name twice, spelled differently"),
        pytest.param(b'{"a":{"b":1,"b":2}}', id="a name twice, inside"),
        pytest.param(b'{"a":[{"b":1,"b":2}]}', id="a name twice, in a list"),
        pytest.param(b'{"a":NaN}', id="NaN"),
        pytest.param(b'{"a":-Infinity}', id="Infinity"),
        pytest.param(b'{"a":1}{}', id="something after it"),
        pytest.param(b'{"a":"\x01"}', id="control character"),
        pytest.param(b'{"a":"\xff"}', id="not UTF-8"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param("{}".encode("utf-16"), id="UTF-16 with mark"),
        pytest.param("{}".encode("utf-16-le"), id="UTF-16"),
        pytest.param("{}".encode("utf-32-le"), id="UTF-32"),
        pytest.param(b'{"a":' + b"[" * 100_000, id="deeper than any stack"),
        pytest.param(b'{"a":' + b"9" * 5_000 + b"}", id="more digits than Python reads"),
    ],
)
def test_json_is_refused_that_another_reader_might_read_differently(octets: bytes) -> None:
    with pytest.raises(Ambiguous):
        json_object(octets)


@given(st.binary() | st.text().map(str.encode))
def test_any_octets_are_an_object_or_refused(octets: bytes) -> None:
    try:
        members = json_object(octets)
    except Ambiguous:
        return
    assert json.loads(octets) == members
