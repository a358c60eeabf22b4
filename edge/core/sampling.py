"""Refusals in; out comes which of them are told in full, and how many each of them stands for.

A flood of one code must neither hide the other codes nor become a flood of its own at the
origin. So each code has a bucket, all together have one, and what is not told is counted with
the next sample of its code.
"""

from collections import Counter
from typing import Final

from edge.core.gcra import Buckets
from edge.core.instant import Instant

CODE_QUOTA: Final = 1  # per second: a lasting fault is one picture, which does not change
CODE_BURST: Final = 10  # a new fault's variants; what an operator looks at before the code
NODE_QUOTA: Final = 20  # per second: most codes at their own pace; 20 KB/s, 0.1 % of a core
NODE_BURST: Final = 50  # five codes that begin at once

_NODE: Final = "node"


class Sampler:
    """Chooses samples; one number and one bucket per code, a closed list."""

    def __init__(self) -> None:
        self._codes = Buckets(quota=CODE_QUOTA, window_s=1, burst=CODE_BURST)
        self._node = Buckets(quota=NODE_QUOTA, window_s=1, burst=NODE_BURST)
        self._counted: Counter[str] = Counter()

    def take(self, code: str, now: Instant) -> int:
        """Count one refusal.

        Returns:
            0 when it is only counted; else it is a sample, and stands for so many refusals
            with *code* since the last one, itself included.
        """
        self._counted[code] += 1
        if self._codes.take(code, 1, now.steady_ns):
            return 0
        if self._node.take(_NODE, 1, now.steady_ns):
            self._codes.give_back(code, 1)
            return 0
        return self._counted.pop(code)
