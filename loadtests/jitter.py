"""How long to wait before the next try: full jitter, drawn from a generator that is handed in.

Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
"""

from random import Random


class Jitter:
    """A random part of a span that doubles with each try that led to nothing.

    Args:
        rng: Draws.
        first_s: The span before the first try.
        most_s: It grows no further.
    """

    __slots__ = ("_first_s", "_most_s", "_rng", "_span_s")

    def __init__(self, rng: Random, first_s: float, most_s: float) -> None:
        self._rng = rng
        self._first_s = first_s
        self._most_s = most_s
        self._span_s = first_s

    def draw_s(self) -> float:
        """Return how long to wait, s, and expect to wait longer the next time."""
        drawn_s = self._rng.uniform(0, self._span_s)
        self._span_s = min(2 * self._span_s, self._most_s)
        return drawn_s

    def rest(self) -> None:
        """Begin again: a try led to something."""
        self._span_s = self._first_s
