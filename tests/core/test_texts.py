"""Many texts are judged with one match as each would be by itself."""

import re

import pytest
from hypothesis import given, strategies as st

from edge.core.texts import all_match

PATTERN = "^[a-z]{1,2}(?:-[0-9])?$"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param([], True, id="none"),
        pytest.param(["a", "bc-1"], True, id="all"),
        pytest.param(["a", "", "b"], False, id="an empty one"),
        pytest.param(["a", "abc"], False, id="not all"),
        pytest.param(["a\nb"], False, id="two in one"),
        pytest.param(["a\n"], False, id="a trailing line break"),
        pytest.param(["a\n", "b"], False, id="a line break too many"),
    ],
)
def test_texts_match_together(texts: list[str], *, expected: bool) -> None:
    assert all_match(PATTERN)(texts) is expected


@given(st.lists(st.text("ab-1\n", max_size=4), max_size=4))
def test_texts_match_together_exactly_if_each_does_alone(texts: list[str]) -> None:
    alone = [re.fullmatch(PATTERN.removesuffix("$") + r"\Z", text) for text in texts]

    assert all_match(PATTERN)(texts) is (None not in alone)
