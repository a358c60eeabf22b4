"""Every row of threats.md that a socket can meet has a test that speaks raw bytes to a process.

A test says which rows it is about by its name, ``test_48_…`` or ``test_25_26_56_…``, or by the id
of a parameter, ``48: RSV1``. How a socket ends it says as code and reason, ``(4408, "silent")``,
or by the code alone where there is no ``bye``. Modules here speak raw; what the library's client
says is no proof of what the gateway does with bytes.
"""

import ast
import inspect
import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Final

from edge.core.closing import CLOSINGS
from edge.core.reject import Reason
from tests.system.stream import (
    test_both_doors,
    test_bounds,
    test_ends,
    test_hanging_lane,
    test_raw_events,
    test_raw_tokens,
    test_revocation,
    test_silence,
    test_slow_reader,
    test_wire_stream,
)

RAW: Final = (
    test_both_doors,
    test_bounds,
    test_ends,
    test_hanging_lane,
    test_raw_events,
    test_raw_tokens,
    test_revocation,
    test_silence,
    test_slow_reader,
    test_wire_stream,
)

BEFORE: Final = {5, 6, 12, 14, 15, 17}  # heads and sizes, which have their own answer here
BODIES: Final = {*range(21, 29)}
TOKENS_AND_EVENTS: Final = {*range(29, 45)}
SOCKETS: Final = {4, *range(45, 51), 66, 67, 68}
REST: Final = {53, 55, *range(56, 64)}
NOT_BUILT: Final[Mapping[int, str]] = {41: "bot_", 44: "geo_"}
"""Rows whose refusals do not exist yet, and how their codes will begin."""


def rows_of(module: ModuleType) -> Iterator[int]:
    """The rows that the tests of a module say they are about."""
    for name, test in vars(module).items():
        if not name.startswith("test_") or not callable(test):
            continue
        if numbers := re.match(r"test_((?:\d+_)+)", name):
            yield from map(int, numbers[1].split("_")[:-1])
        for mark in getattr(test, "pytestmark", []):
            rows = mark.args[1] if mark.name == "parametrize" else ()
            for row in rows:
                if number := re.match(r"(\d+):", str(getattr(row, "id", ""))):
                    yield int(number[1])


def test_no_row_is_missing() -> None:
    """Planted: a row's tests renamed; a module left out."""
    met = {row for module in RAW for row in rows_of(module)}

    wanted = BEFORE | BODIES | TOKENS_AND_EVENTS | SOCKETS | REST
    assert wanted - met == set(NOT_BUILT)


def test_no_way_to_end_is_missing() -> None:
    """README's table of close codes, as raw tests expect it. Planted: a row without its test."""
    named = [node for module in RAW for node in ast.walk(ast.parse(inspect.getsource(module)))]
    numbers = {node.value for node in named if isinstance(node, ast.Constant)}
    heard = {
        tuple(each.value for each in node.elts if isinstance(each, ast.Constant))
        for node in named
        if isinstance(node, ast.Tuple)
    }

    assert {end for each in CLOSINGS for end in each.ends} <= heard
    assert {each.code for each in CLOSINGS if not each.ends} <= numbers


def test_a_row_that_is_not_built_has_no_refusal_yet() -> None:
    """Whoever builds it takes it off the list, and then finds its test missing."""
    begun = tuple(NOT_BUILT.values())

    assert not [each.code for each in Reason if each.code.startswith(begun)]


def test_each_module_speaks_raw() -> None:
    for module in RAW:
        assert "RawSocket" in vars(module), module.__name__
