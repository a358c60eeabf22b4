"""One lane's memory of keys: which it knows, each with a digest and the time of acceptance.

Theory of operation
-------------------
The index is open addressing with linear probing in u64 cells, two to four for each entry, so at
most half of them are taken. A cell holds in its low bits where the entry lies, and above them
the bits of the key that did not choose the slot: slot and cell together are the whole key, and
a search ends, mostly at its first or second cell, without reading anything else. Digests and
times lie in two columns beside it. That is 33 bytes an entry at the default size
(8 + 8 + 8 x 2^20 / 500,000), where a dict takes about 139. A key that was pushed on by others
may be mistaken for one that belongs some slots further: one chance in 2^45 for each cell looked
at, and that both meet in one place is one in 2^20.

There are two such *generations* of half the entries each. When the young one is full it becomes
the old one, and what was old is dropped whole: one step of constant length evicts the oldest,
nothing is ever moved or rehashed, and between a half and all of the bound is remembered. The
first millisecond that is still remembered whole is the *floor*. The memory of what was dropped
serves the next young one: once a table stands, nothing in it can fail for want of memory.

Entries are numbered as they come, from 1, across generations. Whoever keeps the number up to
which all is durable knows which entries are not, without a mark on each; and a failed commit is
undone by striking out a range of numbers: a struck entry was accepted at 0, before all time.

A generation is a private anonymous mapping, which the system fills page by page as it is
touched, and takes back at once when told that nobody needs its pages: an idle lane costs
nothing, whatever its bound. Keys fall anywhere in it, so pages are asked for that are so large
that the processor remembers where all of them are: 0.5 µs less for each event, and a lane in
use takes its index's 8 MiB at once, which it would take in the end.

Source: Knuth, The Art of Computer Programming 3, §6.4, algorithm L; madvise(2), MADV_DONTNEED
(on Linux, private anonymous pages read as zeros after it) and MADV_HUGEPAGE.
"""

import contextlib
import mmap
from typing import Final

from edge.core.key_index import Column, Entries

_WORD_BYTES: Final = 8  # u64


class RecallTable:
    """The keys of one lane.

    Args:
        entries_max: Bound of remembered entries, at least 2; the oldest half goes first.

    Attributes:
        floor_ms: First ms of which no entry was evicted, unix ms, the lane's acceptance clock.
    """

    def __init__(self, entries_max: int) -> None:
        self._half = max(entries_max // 2, 1)
        self._limit = 1 << self._half.bit_length()  # above every position
        self._mask = 2 * self._limit - 1
        self._old = _Generation(slots=2 * self._limit, entries_max=self._half)
        self._young = _Generation(slots=2 * self._limit, entries_max=self._half)
        self._generations = (self._young, self._old)
        self.floor_ms = 0

    def __len__(self) -> int:
        """Count the entries, those struck out included."""
        return self._young.size + self._old.size

    @property
    def last(self) -> int:
        """Number of the youngest entry; 0 before the first."""
        return self._young.base + self._young.size

    @property
    def bytes_held(self) -> int:
        """Bytes of the indexes, touched or not, and of what is written beside them."""
        return self._young.bytes_held + self._old.bytes_held

    def find(self, key: int, since_ms: int) -> int:
        """Return the number of the entry of *key*, or 0.

        Args:
            key: u64, not 0.
            since_ms: Entries accepted before it are not found, and never will be; at least 1.
        """
        limit, mask = self._limit, self._mask
        start = key & mask
        for generation in self._generations:
            cells, slot = generation.cells, start
            while cell := cells[slot]:
                if cell ^ key < limit:
                    position = cell & (limit - 1)
                    is_known = generation.accepted_ms[position] >= since_ms
                    return generation.base + position if is_known else 0
                slot = (slot + 1) & mask
        return 0

    def digest(self, number: int) -> int:
        """Return the digest of an entry that was just found."""
        generation = self._young if number > self._young.base else self._old
        return generation.digests[number - generation.base]

    def add(self, key: int, digest: int, accepted_ms: int) -> int:
        """Remember *key*, which :meth:`find` does not find (or no longer); return its number.

        Args:
            key: u64, not 0.
            digest: u64; what a second copy must equal.
            accepted_ms: Never less than in the call before; unix ms, at least 1.
        """
        generation = self._young
        if generation.size == self._half:
            self._evict()
            generation = self._young
        position = generation.size + 1
        limit, mask, cells = self._limit, self._mask, generation.cells
        slot = key & mask
        # A former entry of the same key gives its cell away, and so can no longer be found.
        while (cell := cells[slot]) and cell ^ key >= limit:
            slot = (slot + 1) & mask
        generation.digests[position] = digest
        generation.accepted_ms[position] = accepted_ms
        # Last: words that do not fit above leave nothing that could be found.
        cells[slot] = key & -limit | position
        generation.newest_ms = accepted_ms
        generation.size = position
        return generation.base + position

    def add_many(self, entries: Entries) -> None:
        """Remember entries as :meth:`add` would one after the other, in half the time."""
        at, count = 0, len(entries.keys)
        while at < count:
            if self._young.size == self._half:
                self._evict()
            end = min(count, at + self._half - self._young.size)
            self._fill(
                entries.keys[at:end], entries.digests[at:end], entries.accepted_ms[at:end]
            )
            at = end

    def skip(self, count: int, newest_ms: int) -> None:
        """Go on as if *count* entries had been added and evicted; nothing was added before.

        Args:
            count: No more than the :func:`surplus` of all that will have been added.
            newest_ms: When the last one of them was accepted, unix ms.
        """
        last = self.last + count
        self._young.size = last % self._half
        self._young.base = last - self._young.size
        self.floor_ms = newest_ms + 1

    def strike(self, first: int, last: int) -> None:
        """Forget the entries *first* to *last*, both included, as far as they are still here."""
        for generation in self._generations:
            generation.strike(first - generation.base, last - generation.base)

    def _fill(self, keys: Column, digests: Column, accepted_ms: Column) -> None:
        """Add entries for which the young generation has room; the same as :meth:`add`."""
        generation = self._young
        first = generation.size + 1
        end = first + len(keys)
        generation.digests[first:end] = memoryview(digests)
        generation.accepted_ms[first:end] = memoryview(accepted_ms)
        limit, mask, cells = self._limit, self._mask, generation.cells
        for position, key in enumerate(keys, first):
            slot = key & mask
            while (cell := cells[slot]) and cell ^ key >= limit:
                slot = (slot + 1) & mask
            cells[slot] = key & -limit | position
        generation.newest_ms = accepted_ms[-1]
        generation.size = end - 1

    def _evict(self) -> None:
        if self._old.size:
            self.floor_ms = self._old.newest_ms + 1
        self._old.begin_anew(self.last)
        self._generations = (self._old, self._young)
        self._young, self._old = self._generations


def surplus(count: int, entries_max: int) -> int:
    """Tell how many of the oldest entries a table has dropped after *count*.

    Args:
        count: Added, from the first on.
        entries_max: The table's.
    """
    half = max(entries_max // 2, 1)
    return max(((count - 1) // half - 1) * half, 0)


class _Generation:
    """Half of a table: entries at positions from 1; 0 is nobody's, as an empty cell is 0.

    Attributes:
        base: Number of an entry minus its position.
        size: Position of the last entry.
        newest_ms: When that one was accepted, struck out or not; unix ms.
        cells: The index.
        digests: By position.
        accepted_ms: By position; unix ms, 0 for what was struck out.
    """

    __slots__ = ("_memory", "accepted_ms", "base", "cells", "digests", "newest_ms", "size")

    def __init__(self, *, slots: int, entries_max: int) -> None:
        rows = entries_max + 1
        private = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._memory = mmap.mmap(-1, (slots + 2 * rows) * _WORD_BYTES, flags=private)
        with contextlib.suppress(OSError):  # a kernel without huge pages is only slower
            self._memory.madvise(mmap.MADV_HUGEPAGE)
        words = memoryview(self._memory).cast("Q")
        self.cells = words[:slots]
        self.digests = words[slots : slots + rows]
        self.accepted_ms = words[slots + rows :]
        self.base = self.size = self.newest_ms = 0

    @property
    def bytes_held(self) -> int:
        return self.cells.nbytes + 2 * _WORD_BYTES * self.size

    def begin_anew(self, base: int) -> None:
        """Drop all entries, and give their memory back."""
        self._memory.madvise(mmap.MADV_DONTNEED)
        self.base = base
        self.size = self.newest_ms = 0

    def strike(self, first: int, last: int) -> None:
        """Strike out the entries at *first* to *last*; positions outside are ignored."""
        first, last = max(first, 1), min(last, self.size)
        if first <= last:
            zeros = bytes((last - first + 1) * _WORD_BYTES)
            self.accepted_ms[first : last + 1] = memoryview(zeros).cast("Q")
