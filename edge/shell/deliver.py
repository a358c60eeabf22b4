"""Records to a topic that nobody waits for: in batches, and what is refused once more alone.

A refusal within a batch may be a neighbour's fault; only one that is refused alone is believed.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from origin_client.origin import Origin, Outgoing

BATCH_BYTES_MAX: Final = 1 << 20  # what a broker takes in one request by default
BATCH_RECORDS_MAX: Final = 500  # of 2 KB each they fill the bytes


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


def deliver(origin: Origin, topic: str, records: Sequence[Outgoing]) -> dict[int, str]:
    """Return when each of *records* is durable at the origin, or its place is in the answer.

    Args:
        origin: Where to.
        topic: Which one there.
        records: At least one.

    Returns:
        Why the origin refused a record alone, by its place.

    Raises:
        OriginUnavailable: The fate of all of them is unknown.
    """
    refused: dict[int, str] = {}
    for refusal in sorted(origin.publish(topic, records), key=lambda refusal: refusal.index):
        alone = [refusal]
        if len(records) > 1:
            alone = origin.publish(topic, [records[refusal.index]])
        if alone:
            refused[refusal.index] = alone[0].reason
    return refused
