"""What is printed on the way: one line per happening, and a running count between them.

On a terminal the count is one line that is written over; elsewhere it is a plain line now and
then, so that a build log stays readable.
"""

import time
from typing import Final, TextIO

# Often enough to see that it lives; seldom enough for a build log.
PLAIN_COUNT_EVERY_S: Final = 5.0


class Narrator:
    """Tells the evening to *out*, each line with the seconds since it began."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._is_terminal = out.isatty()
        self._began_s = time.monotonic()
        self._counted_s = self._began_s
        self._width = 0

    def tell(self, happening: str) -> None:
        """Write one line that stays."""
        self._wipe()
        self._out.write(f"{self._elapsed_s():6.1f} s  {happening}\n")
        self._out.flush()

    def count(self, counts: str) -> None:
        """Write how far we are: over the last count on a terminal, else every few seconds."""
        if self._is_terminal:
            line = f"{self._elapsed_s():6.1f} s  {counts}"
            self._out.write("\r" + line.ljust(self._width))
            self._width = len(line)
            self._out.flush()
        elif time.monotonic() - self._counted_s >= PLAIN_COUNT_EVERY_S:
            self._counted_s = time.monotonic()
            self.tell(counts)

    def show(self, text: str) -> None:
        """Write *text* as it is."""
        self._wipe()
        self._out.write(text + "\n")
        self._out.flush()

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    def _wipe(self) -> None:
        if self._width:
            self._out.write("\r" + " " * self._width + "\r")
            self._width = 0
