"""A table knows its youngest keys, exactly, in bounded memory."""

import errno
import resource
import subprocess
import sys
from array import array
from itertools import product
from pathlib import Path
from typing import Final, TypeAlias

import pytest

from edge.core.key_index import Entries
from edge.core.lane import Lane
from edge.core.recall_table import RecallTable, surplus

# In small tables two of these want the last cell and one the first: they step over each other,
# and around the end.
KEYS = [1 << 10, (2 << 10) + 7, (3 << 10) + 7]
EVER = 1
ROOT = Path(__file__).parents[2]

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


DROP: Final = """\
from array import array
from edge.core.key_index import Entries
from edge.core.recall_table import RecallTable
from tests.core.test_recall_table import resident_bytes

count = 1_000_000
table = RecallTable(count)
keys = array("Q", (number * 0x9E3779B97F4A7C15 % 2**64 for number in range(1, count + 1)))
table.add_many(Entries(keys, array("Q", bytes(8 * count)), array("Q", [1]) * count))
before = resident_bytes()
table.add(7, 0, 1)
print(before - resident_bytes())
"""


def test_a_dropped_generation_gives_its_memory_back() -> None:
    """In a process of its own, where nothing else comes and goes.

    A generation of that size, its keys being anywhere in it, takes 16.4 MB; the first entry of
    the next one takes three pages at once, of 2 MiB each where the system has such.
    """
    done = subprocess.run(
        [sys.executable, "-c", DROP], cwd=ROOT, check=True, capture_output=True, text=True
    )

    assert int(done.stdout) > 8_000_000


def entries(count: int, first: int = 1) -> Entries:
    """As many entries, two at each ms; their keys meet in few slots, and some come again."""
    names = [number if number % 4 else number // 2 for number in range(first, first + count)]
    keys = [((name * 7919) << 20) + name % 3 for name in names]
    accepted_ms = [1000 + number // 2 for number in range(first, first + count)]
    return Entries(array("Q", keys), array("Q", range(count)), array("Q", accepted_ms))


def known(table: RecallTable, wanted: Entries) -> list[tuple[int, int]]:
    """What a table says of all these keys: number and digest."""
    numbers = [table.find(key, EVER) for key in wanted.keys]
    return [(number, table.digest(number) if number else 0) for number in numbers]


def face(table: RecallTable) -> tuple[int, int, int]:
    """What a table says of itself."""
    return len(table), table.last, table.floor_ms


@pytest.mark.parametrize("entries_max", [2, 5, 8])
def test_many_at_once_are_as_one_after_the_other(entries_max: int) -> None:
    """Exhaustive: every total up to thrice the bound and more, cut in two in every way."""
    for total in range(3 * entries_max + 4):
        everything, one_by_one = entries(total), RecallTable(entries_max)
        for entry in zip(
            everything.keys, everything.digests, everything.accepted_ms, strict=True
        ):
            one_by_one.add(*entry)
        for cut in range(total + 1):
            bulk = RecallTable(entries_max)
            for part in (slice(cut), slice(cut, None)):
                columns = (everything.keys, everything.digests, everything.accepted_ms)
                bulk.add_many(Entries(*(column[part] for column in columns)))

            assert known(bulk, everything) == known(one_by_one, everything), (total, cut)
            assert face(bulk) == face(one_by_one), (total, cut)


@pytest.mark.parametrize("entries_max", [2, 5, 8])
def test_what_would_be_dropped_again_may_be_left_out(entries_max: int) -> None:
    """Exhaustive: every total up to four times the bound, every surplus of it left out."""
    for total in range(1, 4 * entries_max + 4):
        everything, whole = entries(total), RecallTable(entries_max)
        whole.add_many(everything)
        for left_out in range(1, surplus(total, entries_max) + 1):
            table = RecallTable(entries_max)
            for count in (left_out // 2, left_out - left_out // 2):
                table.skip(count, everything.accepted_ms[table.last + count - 1])
            columns = (everything.keys, everything.digests, everything.accepted_ms)
            table.add_many(Entries(*(column[left_out:] for column in columns)))

            assert known(table, everything) == known(whole, everything), (total, left_out)
            assert face(table) == face(whole), (total, left_out)


def test_the_surplus_is_what_a_table_has_dropped() -> None:
    for entries_max, total in product([1, 2, 5, 8], range(40)):
        table = RecallTable(entries_max)
        table.add_many(entries(total))

        assert surplus(total, entries_max) == table.last - len(table), (entries_max, total)


def test_one_too_many_left_out_makes_the_reach_shorter_and_nothing_worse() -> None:
    """An index may promise more than a scan of its segment then finds."""
    table, everything = RecallTable(8), entries(20)
    table.skip(15, everything.accepted_ms[14])
    table.add_many(entries(2, first=16))

    assert [number for number, _ in known(table, everything)] == [0] * 15 + [16, 17, 0, 0, 0]
    assert table.floor_ms == everything.accepted_ms[14] + 1
