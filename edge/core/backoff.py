"""When to try a failing neighbour again, and how much to entrust it with: pure decisions.

Theory of operation
-------------------
A breaker counts failures in a row. After each one the next try waits a random part of a span
that doubles: *full jitter*, so that a thousand lanes that lost the same broker at once do not
come back at once. A few failures in a row are bad luck and the breaker stays closed; then it
opens, and after its wait lets one small try pass (half-open). Its success closes the breaker,
its failure opens it again. There is no giving up: the span stops growing, the tries do not.

    closed ──failures in a row──> open ──its wait is over──> half-open ──success──> closed
                                    ^──────────failure───────────┘

Source: M. Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), "Full
Jitter"; M. Nygard, *Release It!*, "Circuit Breaker".
"""

import enum
from typing import Final

import msgspec

from edge.core.instant import NS_PER_MS, NS_PER_S

SPAN_MIN_NS: Final = 100 * NS_PER_MS  # a broker's change of leader takes about this long
SPAN_MAX_NS: Final = 5 * NS_PER_S  # a mended origin is found again within this time
TRIP_FAILURES: Final = 5  # in a row: with the spans above, 1.5 s of failing on average
_DOUBLINGS_MAX: Final = 6  # 100 ms · 2^6 is beyond SPAN_MAX_NS; keeps the shift small for ever


class State(enum.StrEnum):
    """How much we trust the neighbour."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker(msgspec.Struct, frozen=True):
    """What we know of a neighbour's recent failures; each method returns the next breaker.

    Attributes:
        state: How much we trust it.
        failures: In a row.
        resume_ns: No try before this, steady ns.
    """

    state: State = State.CLOSED
    failures: int = 0
    resume_ns: int = 0

    def wait_ns(self, steady_ns: int) -> int:
        """Return how long to wait before the next try, ns; 0: try now."""
        return max(0, self.resume_ns - steady_ns)

    def trying(self) -> "Breaker":
        """Return the breaker for a try that begins, its wait being over."""
        if self.state is State.OPEN:
            return Breaker(State.HALF_OPEN, self.failures, self.resume_ns)
        return self

    def failed(self, steady_ns: int, draw: float) -> "Breaker":
        """Return the breaker after a failure.

        Args:
            steady_ns: Now.
            draw: Uniform in [0, 1): which part of the span to wait.
        """
        span_ns = min(SPAN_MAX_NS, SPAN_MIN_NS << min(self.failures, _DOUBLINGS_MAX))
        failures = self.failures + 1
        state = State.OPEN if failures >= TRIP_FAILURES else State.CLOSED
        return Breaker(state, failures, steady_ns + int(span_ns * draw))
