"""How much one key may take: a leaky bucket kept as one number per key.

Theory of operation
-------------------
GCRA. Each key has an *empty-at* time: the instant at which its bucket will have drained. To
take one unit pushes it into the future by *window / quota*; when that would be more than a full
bucket (*burst* units) ahead of now, there is no room and nothing changes.

No interval is rounded: all times here are counted in *ticks* of 1/quota ns (the fraction
cancelled), in which a unit is exactly ``window_ns`` and an instant ``now_ns x quota``. So a
quota of 7 per second admits 7 in each second, forever, and the wait that is told is exact: one
ns earlier there is no room, then there is.

A key whose bucket has drained is indistinguishable from one never seen, and no bucket takes
longer than *burst* units to drain. So keys are kept in two generations, and the older is
forgotten whole once it is that old: bounded memory, no scan, and not one decision changed. Only
when a generation fills to half of ``keys_max`` first is something forgotten that still counts:
some keys get their burst anew, which is counted, and errs on the side of admitting; whoever
brings that many keys meets the quota of the node.

Source: ITU-T I.371, annex A.
"""

from math import gcd
from typing import Final

from edge.core.instant import NS_PER_S

KEYS_MAX: Final = 100_000  # per quota; about 150 B each; half are freed in 2 ms


class Buckets:
    """One bucket per key.

    Args:
        quota: Units per window, at least 1.
        window_s: Length of the window, s, at least 1.
        burst: Size of a bucket, units, at least 1.
        keys_max: Bound of keys, at least 2. Full: the older half is forgotten early.

    Attributes:
        forgotten_early: Keys forgotten because of the bound; some may have drained.
    """

    def __init__(
        self, *, quota: int, window_s: int, burst: int, keys_max: int = KEYS_MAX
    ) -> None:
        assert min(quota, window_s, burst) >= 1
        divisor = gcd(quota, window_s * NS_PER_S)
        self._ticks_per_ns = quota // divisor
        self._unit_ticks = window_s * NS_PER_S // divisor
        self._full_ticks = self._unit_ticks * burst
        self._drain_ns = -(-self._full_ticks // self._ticks_per_ns)
        self._half = max(keys_max // 2, 1)
        self._young: dict[str, int] = {}
        self._old: dict[str, int] = {}
        self._born_ns = 0
        self.forgotten_early = 0

    def __len__(self) -> int:
        """Count the keys remembered; one in both generations counts twice."""
        return len(self._young) + len(self._old)

    def take(self, key: str, units: int, now_ns: int) -> int:
        """Take *units* if they have room.

        Args:
            key: Whose bucket.
            units: 0 to *burst*; more never has room, and the wait told would be no help.
            now_ns: Steady clock, ns; never less than in the call before.

        Returns:
            0 if they were taken; else nothing was, and they will have room in so many ns.
        """
        now = now_ns * self._ticks_per_ns
        empty_at = self._young.get(key) or self._old.get(key, 0)
        if empty_at < now:  # noqa: PLR1730  # a call of max costs a third of all this
            empty_at = now
        empty_at += units * self._unit_ticks
        excess = empty_at - now - self._full_ticks
        if excess > 0:
            return -(-excess // self._ticks_per_ns)
        if units:
            if now_ns - self._born_ns >= self._drain_ns or len(self._young) >= self._half:
                self._forget(key, now_ns)
            self._young[key] = empty_at
        return 0

    def give_back(self, key: str, units: int) -> None:
        """Undo a :meth:`take` of the same instant."""
        if units:
            self._young[key] -= units * self._unit_ticks

    def room(self, key: str, now_ns: int) -> tuple[int, int]:
        """Return how many units have room now, and in how many ns one more will (0: never)."""
        now = now_ns * self._ticks_per_ns
        filled = max((self._young.get(key) or self._old.get(key, 0)) - now, 0)
        units, spare = divmod(self._full_ticks - filled, self._unit_ticks)
        if not filled:
            return units, 0
        return units, -((spare - self._unit_ticks) // self._ticks_per_ns)

    def _forget(self, key: str, now_ns: int) -> None:
        """Let go of what has drained; or, for a key that is one too many, of the older half."""
        age_ns = now_ns - self._born_ns
        if age_ns >= 2 * self._drain_ns:
            self._old = {}
        elif age_ns >= self._drain_ns:
            self._old = self._young
        elif key in self._young:
            return
        else:
            self.forgotten_early += len(self._old)
            self._old = self._young
        self._young = {}
        self._born_ns = now_ns
