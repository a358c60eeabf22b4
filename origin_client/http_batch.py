"""From records to requests, and from a receiver's objections to the records at fault.

In go records, and a way to post some of them at once; out come the refusals. Nothing here knows
what a request is.

Theory of operation
-------------------
A receiver takes a body whole or not at all, and objects without saying to which record. A batch
it objects to is halved, the older half first, until the record stands alone: the objection to
that one is its refusal, and what stood behind it goes on. So what is written is written in
order, each record once, and ``b`` bad records among ``n`` cost ``2·b·log2(n)`` requests more.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from origin_client.json_object import is_json_object
from origin_client.origin import Outgoing, Refusal

FRAME_BYTES: Final = len(b",")  # between two events, and before the first: then it is a bracket

Post: TypeAlias = Callable[[bytes], str | None]
"""Sends one body; returns ``None`` when all of it is durable, or why none of it ever will be."""


def deliver(records: Sequence[Outgoing], *, bytes_max: int, post: Post) -> list[Refusal]:
    """Return when every record not refused has been posted with success, in order.

    Args:
        records: In order; what is not a JSON object is refused here, or it would change what
            its neighbours say.
        bytes_max: Of one body; only a record that is larger by itself makes a larger one.
        post: Its exceptions pass through, and leave open what has been written.

    Returns:
        By index, ascending.
    """
    sound = [index for index, record in enumerate(records) if is_json_object(record.value)]
    reasons = dict.fromkeys(
        set(range(len(records))).difference(sound), "the value is not one JSON object"
    )
    waiting = [*_batches(records, sound, bytes_max)][::-1]  # the next one is the last
    while waiting:
        batch = waiting.pop()
        reason = post(b"[%s]" % b",".join(records[index].value for index in batch))
        if reason is None:
            continue
        if len(batch) == 1:
            reasons[batch[0]] = reason
        else:
            middle = len(batch) // 2
            waiting += [batch[middle:], batch[:middle]]
    return [Refusal(index, reasons[index], is_final=True) for index in sorted(reasons)]


def _batches(
    records: Sequence[Outgoing], indices: Sequence[int], bytes_max: int
) -> Iterator[list[int]]:
    """Cut *indices* into pieces whose records fit one body."""
    batch: list[int] = []
    body_bytes = len(b"]")
    for index in indices:
        record_bytes = FRAME_BYTES + len(records[index].value)
        if batch and body_bytes + record_bytes > bytes_max:
            yield batch
            batch, body_bytes = [], len(b"]")
        batch.append(index)
        body_bytes += record_bytes
    if batch:
        yield batch
