"""The model of a limiter: buckets in exact fractions, which never forget."""

from fractions import Fraction
from math import ceil

from edge.core.instant import NS_PER_S


class FractionBuckets:
    """One bucket per key, told in units of which there may be parts.

    Args:
        quota: Units per window.
        window_s: s.
        burst: Units.
    """

    def __init__(self, *, quota: int, window_s: int, burst: int) -> None:
        self._units_per_ns = Fraction(quota, window_s * NS_PER_S)
        self._burst = burst
        self._levels: dict[str, tuple[Fraction, int]] = {}

    def level(self, key: str, now_ns: int) -> Fraction:
        """What is in the bucket."""
        level, then_ns = self._levels.get(key, (Fraction(0), now_ns))
        return max(level - (now_ns - then_ns) * self._units_per_ns, Fraction(0))

    def wait_ns(self, key: str, units: int, now_ns: int) -> int:
        """After how many ns *units* have room; 0 is now."""
        excess = self.level(key, now_ns) + units - self._burst
        return ceil(max(excess, Fraction(0)) / self._units_per_ns)

    def take(self, key: str, units: int, now_ns: int) -> None:
        """Take *units*, which have room."""
        self._levels[key] = (self.level(key, now_ns) + units, now_ns)
