"""Each fault that was promised has a function with a name, and a campaign that uses it."""

import ast
import inspect
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from tests.faults import __main__ as campaigns, faults

HOME: Final = Path(faults.__file__)

NAMES: Final = {
    "SIGKILL at random moments": "kill",
    "SIGKILL at named points": "kill_at",
    "SIGSTOP": "freeze",
    "SIGCONT": "thaw",
    "power loss": "power_lost",
    "full disk": "without_room",
    "inodes used up": "without_inodes",
    "read-only remount": "read_only",
    "read-only after an error of the file system": "tell_of_damage",
    "an I/O error, one call at a time": "fail_call",
    "a call that is done and said to have failed": "belie_call",
    "a write cut short": "cut_write",
    "a sync that lies": "lying_syncs",
    "a slow disk": "slow_writes",
    "a sync that hangs": "hang_write",
    "clock jumps": "turn_clock",
    "torn tail in the midst of a write": "tear_write",
    "torn tail at every byte": "torn",
    "bit flips": "flipped",
    "a lost page": "without_page",
    "a second process on the same spool": "second_process",
    "descriptors used up": "without_descriptors",
    "a restored older backup": "restore_all",
    "a restored older backup, cursor ahead of data": "restore_segments",
    "a restored older backup, cursor behind": "restore_cursors",
    "a restored backup without cursors": "lose_cursors",
    "a restored backup, missing id file": "lose_identity",
    "upgrade from the previous on-disk version": "upgrade",
    "broker: kill and restart, one of three killed": "crashed",
    "broker: orderly restart": "restart",
    "broker: freeze": "hung",
    "broker: flapping": "flap",
    "broker: a topic's log directory renamed away": "without_second_directory",
    "broker: a DENY ACL": "denied",
    "broker: one record too large": "limited",
    "broker: an unknown topic, a deleted one": "without_topic",
    "broker: a topic deleted and made anew": "make_topic_anew",
    "broker: a record failed that is in the log": "failed_yet_written",
    "proxy: latency": "late",
    "proxy: bandwidth": "narrow",
    "proxy: black hole": "black_hole",
    "proxy: reset": "reset",
    "proxy: reset instead of an answer": "cut_before_answer",
    "proxy: half-close": "half_close",
    "proxy: nobody listens": "refused",
}
"""Every fault of issue C, by the name of its function."""

PARTS: Final = {"frozen"}
"""What others are made of."""


def functions() -> Iterator[tuple[str, Callable[..., object]]]:
    """All that are there for others."""
    for name, each in inspect.getmembers(faults, inspect.isfunction):
        if each.__module__ == faults.__name__ and not name.startswith("_"):
            yield name, each


def campaign_files() -> set[Path]:
    """What a campaign is made of: all that the command imports from this room, and so on."""
    found: set[Path] = set()
    left = {Path(campaigns.__file__)}
    while left:
        path = left.pop()
        found.add(path)
        left |= set(imported(ast.parse(path.read_text("utf-8")))) - found
    return found - {HOME}


def imported(module: ast.Module) -> Iterator[Path]:
    """Files of this room that *module* imports."""
    for node in ast.walk(module):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests.faults"):
            room = Path(__file__).parents[2] / (node.module or "").replace(".", "/")
            named = [
                room.with_suffix(".py"),
                *(room / f"{each.name}.py" for each in node.names),
            ]
            yield from (path for path in named if path.exists())


@cache
def used_by_campaigns() -> frozenset[str]:
    """Names of faults that any campaign uses."""
    sources = (ast.parse(path.read_text("utf-8")) for path in campaign_files())
    return frozenset(name for module in sources for name in used(module))


def used(module: ast.Module) -> Iterator[str]:
    """Names of faults that *module* uses: ``faults.<name>``, or imported by themselves."""
    for node in ast.walk(module):
        match node:
            case ast.Attribute(value=ast.Name(id="faults"), attr=name):
                yield name
            case ast.ImportFrom(module="tests.faults.faults", names=names):
                yield from (each.name for each in names)
            case _:
                pass


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_promised_fault_is_a_function_with_a_name_and_says_what_it_does(name: str) -> None:
    found = dict(functions())

    assert name in found
    assert found[name].__doc__


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_promised_fault_is_used_by_a_campaign(name: str) -> None:
    assert name in used_by_campaigns()


def test_no_fault_is_there_that_nobody_promised() -> None:
    promised = {*NAMES.values()} | PARTS

    assert {name for name, _ in functions()} == promised
