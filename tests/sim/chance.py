"""Choices: thrown by dice, or all of them, one after the other."""

import random
from collections.abc import Iterator
from typing import Protocol


class Chance(Protocol):
    """Decides what the world leaves open."""

    def below(self, bound: int) -> int:
        """Choose one of 0, 1, … *bound* - 1."""
        ...

    def part(self, length: int) -> int:
        """Choose how many of *length* bytes there are before something is cut short."""
        ...


class Dice(random.Random):
    """Chooses by a seed."""

    def below(self, bound: int) -> int:
        """Throw."""
        return int(self.random() * bound)

    def part(self, length: int) -> int:
        """Throw: any of them."""
        return self.below(length + 1)


class Every:
    """Chooses differently each time the same story is told, until all ways were taken.

    The story is told once for each :meth:`ways`; every choice in it is a branch of a tree,
    which is walked depth first.
    """

    def __init__(self) -> None:
        self._path: list[int] = []
        self._bounds: list[int] = []
        self._depth = 0

    def ways(self) -> Iterator[int]:
        """Yield once for each way, and its number."""
        count = 0
        while True:
            self._depth = 0
            yield count
            count += 1
            del self._path[self._depth :], self._bounds[self._depth :]
            while self._path and self._path[-1] + 1 == self._bounds[-1]:
                self._path.pop()
                self._bounds.pop()
            if not self._path:
                return
            self._path[-1] += 1

    def below(self, bound: int) -> int:
        """Choose as on this way so far; at a new branch, 0."""
        if self._depth == len(self._path):
            self._path.append(0)
            self._bounds.append(bound)
        assert self._bounds[self._depth] == bound, "the story is not told alike"
        chosen = self._path[self._depth]
        self._depth += 1
        return chosen

    def part(self, length: int) -> int:
        """Nothing, half, or all of it: pages are chosen one by one anyway."""
        return (0, length // 2, length)[self.below(3)]
