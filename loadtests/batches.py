"""Facts in, in the file's order; batches out, each of one shard, within the gateway's bounds.

*Theory of operation.* Order matters per player only. Players are spread over :data:`SHARDS`
shards by a hash of their name; a batch holds one shard's facts, in the file's order, and a
shard's batches go one after the other over one connection. So shards run side by side and no
player's events ever overtake each other. The number of shards is fixed and the hash is the same
everywhere: ``k``, by which load balancers choose the node, has to be the same in every run, or
another node would take for new what one node knows as a duplicate.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from loadtests.bets import Fact

# Few enough for one client's processor, enough to share each of the gateway's syncs.
SHARDS: Final = 8
# What /openapi.json states.
BATCH_EVENTS_MAX: Final = 200
BATCH_BYTES_MAX: Final = 256 * 1024
# n events need n - 1 commas; each is counted with its own.
_FRAME_BYTES: Final = len("[]") - len(",")


class Batch(NamedTuple):
    """What one request states.

    Attributes:
        shard: 0 to :data:`SHARDS` - 1.
        facts: In the file's order; at least one.
    """

    shard: int
    facts: Sequence[Fact]

    @property
    def k(self) -> str:
        """What keeps this shard on one node."""
        return f"replay-{self.shard}"


def shard_of(player: str) -> int:
    """Return the shard of a player, the same in every process."""
    return zlib.crc32(player.encode()) % SHARDS


def batches(facts: Iterable[Fact]) -> Iterator[Batch]:
    """Gather *facts* into batches as full as they may be; what is left over comes last."""
    filling: list[list[Fact]] = [[] for _ in range(SHARDS)]
    size_bytes = [_FRAME_BYTES] * SHARDS
    for fact in facts:
        shard = shard_of(fact.player)
        fact_bytes = len(fact.encoded) + len(",")
        is_full = (
            len(filling[shard]) == BATCH_EVENTS_MAX
            or size_bytes[shard] + fact_bytes > BATCH_BYTES_MAX
        )
        if is_full:
            yield Batch(shard, filling[shard])
            filling[shard], size_bytes[shard] = [], _FRAME_BYTES
        filling[shard].append(fact)
        size_bytes[shard] += fact_bytes
    yield from (Batch(shard, left) for shard, left in enumerate(filling) if left)


def body_of(facts: Iterable[Fact]) -> bytes:
    """Write the body of a request."""
    return b"[%s]" % b",".join(fact.encoded for fact in facts)
