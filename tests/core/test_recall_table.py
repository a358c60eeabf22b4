"""A table knows its youngest keys, exactly, in bounded memory."""

import errno
import resource
from itertools import product
from pathlib import Path
from typing import TypeAlias

import pytest

from edge.core.lane import Lane
from edge.core.recall_table import RecallTable

# In small tables two of these want the last cell and one the first: they step over each other,
# and around the end.
KEYS = [1 << 10, (2 << 10) + 7, (3 << 10) + 7]
EVER = 1

Entry: TypeAlias = tuple[int, int]  # key, accepted_ms


class Notebook:
    """The model: everything that was ever added, line by line; a struck line is ``None``."""

    def __init__(self, entries_max: int) -> None:
        self.half = entries_max // 2
        self.lines: list[Entry | None] = []

    def first_kept(self) -> int:
        """Number of the first entry that the bound leaves: that of the older generation."""
        generation = (len(self.lines) - 1) // self.half
        return max(generation - 1, 0) * self.half + 1

    def find(self, key: int, since_ms: int) -> int:
        """Return the youngest kept entry of *key*, or 0."""
        for number in range(len(self.lines), self.first_kept() - 1, -1):
            line = self.lines[number - 1]
            if line is not None and line[0] == key:
                return number if line[1] >= since_ms else 0
        return 0

    def strike(self, first: int) -> None:
        """Strike out all from *first* on."""
        self.lines[first - 1 :] = [None] * (len(self.lines) - first + 1)


@pytest.mark.parametrize("entries_max", [2, 4])
def test_a_table_agrees_with_a_notebook_in_every_small_history(entries_max: int) -> None:
    """Exhaustive: a key comes, the last one or two entries fail, or time passes; five times."""
    moves: list[int | str] = [*KEYS, "strike 1", "strike 2", "wait"]
    for history in product(moves, repeat=5):
        table, notebook = RecallTable(entries_max), Notebook(entries_max)
        now_ms = 10
        for move in history:
            if move == "wait":
                now_ms += 5
            elif isinstance(move, str):
                first = max(table.last - int(move[-1]) + 1, 1)
                table.strike(first, table.last)
                notebook.strike(first)
            else:
                if not notebook.find(move, now_ms - 5):
                    table.add(move, move + 1, now_ms)
                    notebook.lines.append((move, now_ms))
                assert table.digest(table.find(move, now_ms - 5)) == move + 1, history
            for key in KEYS:
                assert table.find(key, now_ms - 5) == notebook.find(key, now_ms - 5), history


def test_the_oldest_half_goes_first_and_at_once() -> None:
    table = RecallTable(6)
    for number in range(1, 7):
        table.add(number << 10, 0, number)
    assert len(table) == 6

    table.add(7 << 10, 0, 7)

    known = [number for number in range(1, 8) if table.find(number << 10, EVER)]
    assert (known, len(table), table.floor_ms) == ([4, 5, 6, 7], 4, 4)


def test_the_floor_is_zero_until_something_is_evicted() -> None:
    table = RecallTable(2)
    table.add(1 << 10, 0, 50)
    table.add(2 << 10, 0, 60)

    assert table.floor_ms == 0


def test_striking_what_was_evicted_harms_nobody() -> None:
    table = RecallTable(2)
    for number in range(1, 5):
        table.add(number << 10, 0, number)

    table.strike(1, 2)

    assert [table.find(number << 10, EVER) for number in range(1, 5)] == [0, 0, 3, 4]


def test_a_key_of_which_all_low_bits_are_zero_is_a_key() -> None:
    table = RecallTable(4)

    table.add(1 << 63, 5, 1)

    assert table.digest(table.find(1 << 63, EVER)) == 5
    assert not table.find((1 << 63) + 1, EVER)


@pytest.mark.parametrize("entries_max", [1, 2, 3, 1000])
def test_a_table_never_holds_more_than_its_bound(entries_max: int) -> None:
    table = RecallTable(entries_max)

    for number in range(1, 3 * entries_max + 2):
        table.add(number << 32, 0, number)
        assert len(table) <= max(entries_max, 2)


def test_an_entry_takes_33_bytes_at_the_default_bound() -> None:
    """Two indexes of 2^20 cells, and two words for each entry."""
    empty, entries_max = RecallTable(1_000_000), 1_000_000

    assert (empty.bytes_held + 16 * entries_max) / entries_max == pytest.approx(32.8, abs=0.1)


def test_empty_tables_take_no_memory_whatever_their_bound() -> None:
    before = resident_bytes()

    tables = {lane: RecallTable(1_000_000) for lane in Lane}

    assert sum(table.bytes_held for table in tables.values()) > 100_000_000
    assert resident_bytes() - before < 4_000_000


def resident_bytes() -> int:
    """What this process holds of the machine's memory."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * resource.getpagesize()


def test_the_floor_rises_past_what_failed_last() -> None:
    """The entry that was struck out does not hide when those before it were accepted."""
    table = RecallTable(4)
    for number in range(1, 5):
        table.add(number << 10, 0, 1000 + number)
    table.strike(2, 2)

    table.add(5 << 10, 0, 1010)

    assert table.floor_ms == 1003


def test_a_standing_table_needs_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    table = RecallTable(4)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr("edge.core.recall_table.mmap.mmap", refuse)
    for number in range(1, 12):
        table.add(number << 10, number, number)

    assert [n for n in range(1, 12) if table.find(n << 10, EVER)] == [9, 10, 11]
    assert [table.digest(table.find(n << 10, EVER)) for n in (9, 10, 11)] == [9, 10, 11]


def test_a_dropped_generation_gives_its_memory_back() -> None:
    table = RecallTable(200_000)
    for number in range(1, 200_001):
        table.add(number, 0, 1)
    before = resident_bytes()

    table.add(200_001, 0, 1)

    assert before - resident_bytes() > 1_000_000
