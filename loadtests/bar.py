"""Draws the tally on a terminal, in one line that is written over; elsewhere says nothing."""

import shutil
import time
from types import TracebackType
from typing import Final, Self, TextIO

from loadtests.tally import Tally

# As often as eyes can follow.
DRAW_EVERY_S: Final = 0.1


class Bar:
    """A context manager; leaves an empty line behind."""

    def __init__(self, out: TextIO, tally: Tally) -> None:
        self._out = out
        self._tally = tally
        self._began_s = time.monotonic()
        self._drawn_s = self._began_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._write("")

    @property
    def elapsed_s(self) -> float:
        """Since it was made."""
        return time.monotonic() - self._began_s

    def draw(self) -> None:
        """Draw the tally, unless that was done a moment ago."""
        now_s = time.monotonic()
        if now_s - self._drawn_s >= DRAW_EVERY_S:
            self._drawn_s = now_s
            self._write(self._tally.bar(self.elapsed_s))

    def _write(self, text: str) -> None:
        if self._out.isatty():
            columns = shutil.get_terminal_size().columns - 1
            self._out.write(f"\r{text[:columns].ljust(columns)}\r")
            self._out.flush()
