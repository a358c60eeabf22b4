"""A complaint points at the place it is about, whatever the sender calls its members."""

from typing import Annotated, Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec import Meta

from edge.core.pointer import pointer_of


class Pair(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False):
    """Two numbers, as an array."""

    x: int
    y: Annotated[int, Meta(ge=0)]


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A closed object."""

    count: Annotated[int, Meta(ge=0, le=9)]
    word: Annotated[str, Meta(max_length=3)] = ""


class Outer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A closed object with all kinds of places."""

    inner: Inner
    pairs: tuple[Pair, ...] = ()
    inners: tuple[Inner, ...] = ()


def complaint(document: dict[str, Any]) -> msgspec.ValidationError:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(document, Outer)
    return caught.value


GOOD = {"count": 1}


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        pytest.param({}, "/inner", id="missing at the root"),
        pytest.param({"inner": {}}, "/inner/count", id="missing below"),
        pytest.param({"inner": 1}, "/inner", id="another type"),
        pytest.param({"inner": {"count": 10}}, "/inner/count", id="out of range"),
        pytest.param({"inner": GOOD | {"word": "long"}}, "/inner/word", id="too long"),
        pytest.param({"inner": GOOD | {"x": 1}}, "/inner", id="unknown"),
        pytest.param(
            {"inner": GOOD, "inners": [GOOD, {}]}, "/inners/1/count", id="in an array"
        ),
        pytest.param(
            {"inner": GOOD, "inners": [GOOD | {"x": 1}]}, "/inners/0", id="unknown in one"
        ),
        pytest.param({"inner": GOOD, "pairs": [[1, -1]]}, "/pairs/0/1", id="array as struct"),
        pytest.param({"inner": GOOD, "pairs": [[1]]}, "/pairs/0", id="too short an array"),
        pytest.param({"inner": GOOD, "pairs": [[1, 2, 3]]}, "/pairs/0", id="too long an array"),
        pytest.param(
            {"inner": GOOD | {"x` - at `$.inners[7]": 1}},
            "/inner",
            id="a name that forges a place",
        ),
        pytest.param(
            {"inner": GOOD | {"Object missing required field `a`": 1}},
            "/inner",
            id="a name that forges a complaint",
        ),
    ],
)
def test_a_complaint_has_its_place(document: dict[str, Any], pointer: str) -> None:
    assert pointer_of(complaint(document)) == pointer


names = st.text(st.sampled_from("` -at$.[]0x~/\n"), max_size=20).filter(lambda n: n not in GOOD)


@given(st.sampled_from([" - at `$.inner", "`", "", "x"]), names)
def test_no_name_moves_the_place_of_an_unknown_member(start: str, name: str) -> None:
    assert pointer_of(complaint({"inner": GOOD | {start + name: 1}})) == "/inner"
