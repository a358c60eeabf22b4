"""``origin_client.json_object``: what is one JSON object, and whatever else is not."""

import pytest

from origin_client.json_object import is_json_object


@pytest.mark.parametrize("value", [b"{}", b' {"a":[1,{"b":null}]} '])
def test_an_object_is_one_whatever_it_holds(value: bytes) -> None:
    assert is_json_object(value)


@pytest.mark.parametrize(
    "value",
    [b"", b"1", b"[]", b"null", b"{}{}", b"{", b'{"a":' * 5000],
    ids=["nothing", "number", "array", "null", "two", "open", "deep"],
)
def test_whatever_else_is_none(value: bytes) -> None:
    assert not is_json_object(value)
