"""Records to the origin until each is there, or refused alone.

In goes a batch; out comes why some of it is dead. A refusal within a batch may be a neighbour's
fault, or the batch's, that is larger than what the origin takes at once; only one that the
origin calls final, or of a record that was sent alone, is believed.

Theory of operation
-------------------
What a batch leaves refused goes out again in order, in shorter batches: half as long after each
refusal, down to one record, and twice as long after each that is taken whole. So what is wrong
is found in a logarithmic number of steps, and what is right goes on in batches soon; all refused
costs hardly more publishes than there are records. Nothing behind a doubtful record of a key was
written, by the origin's promise, so the order of each key stays.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from origin_client.origin import Outgoing, Refusal

BATCH_BYTES_MAX: Final = 1 << 20  # what a broker takes in one request by default
BATCH_RECORDS_MAX: Final = 1500  # 700 bytes each fill the bytes; a sync shared is cheaper


def first_batch(records: Iterable[Outgoing]) -> list[Outgoing]:
    """Return the first of *records* that may go at once: at least one, if there is any."""
    batch: list[Outgoing] = []
    size = 0
    for record in records:
        size += len(record.value)
        if len(batch) == BATCH_RECORDS_MAX or (batch and size > BATCH_BYTES_MAX):
            break
        batch.append(record)
    return batch


def deliver(
    publish: Callable[[Sequence[Outgoing]], Sequence[Refusal]],
    records: Sequence[Outgoing],
    *,
    records_max: int = BATCH_RECORDS_MAX,
) -> dict[int, str]:
    """Return when each of *records* is durable at the origin, or its place is in the answer.

    Args:
        publish: To one topic, as :meth:`origin_client.origin.Origin.publish`.
        records: A batch.
        records_max: So many at most are published at once.

    Returns:
        Why the origin refused a record alone, by its place.

    Raises:
        OriginUnavailable: The fate of all of them is unknown.
    """
    dead: dict[int, str] = {}
    waiting: Sequence[int] = range(len(records))
    length = min(len(records), records_max)
    while waiting:
        batch, rest = waiting[:length], waiting[length:]
        refusals = publish([records[place] for place in batch])
        doubtful: list[int] = []
        for refusal in refusals:
            if refusal.is_final or len(batch) == 1:
                dead[batch[refusal.index]] = refusal.reason
            else:
                doubtful.append(batch[refusal.index])
        if not refusals:
            length = min(2 * length, records_max)
        elif doubtful:
            length = max(1, len(doubtful) // 2)
        waiting = [*sorted(doubtful), *rest]
    return dead
