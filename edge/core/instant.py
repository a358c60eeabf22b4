"""One reading of both clocks, taken once per request; and the lengths of time."""

from typing import Final

import msgspec

NS_PER_S: Final = 1_000_000_000
NS_PER_MS: Final = 1_000_000


class Instant(msgspec.Struct, frozen=True, gc=False):
    """Now, twice.

    Attributes:
        unix_ns: Since 1970, ns. Comparable with the world; may be stepped back.
        steady_ns: Since an arbitrary start, ns. Comparable only with itself; never goes back.
    """

    unix_ns: int
    steady_ns: int
