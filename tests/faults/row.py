"""What a campaign of faults has to say: rows of one table, each with its goal."""

import enum
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


class Scale(enum.Enum):
    """How much of a campaign is run.

    Attributes:
        SHORT: Its share of the three minutes that ``make test`` has for faults.
        FULL: All that the goal asks; ``make faults``.
    """

    SHORT = enum.auto()
    FULL = enum.auto()


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        what: The fault, and what was counted.
        goal: What must come out, in words and figures.
        found: What came out.
        is_reached: Whether that is the goal.
        faults: What must not have happened, in words; empty if nothing did.
    """

    what: str
    goal: str
    found: str
    is_reached: bool
    faults: tuple[str, ...] = ()


Tell: TypeAlias = Callable[[str], None]
"""Takes a line of progress."""

Campaign: TypeAlias = Callable[[Scale, Path, Tell], Iterable[Row]]
"""Runs in an empty directory of its own, leaves no process behind, and yields its rows."""
