"""Compares what came to an origin with what was said, attribute by attribute.

In: events as they were accepted, and envelopes as they came, of one order; out: what must not be,
in words. All of them lie in memory; a ledger's millions have :mod:`tests.faults.ledger.audit`.
"""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Final

from edge.demo.ledger import Event

IDS_SHOWN: Final = 5  # of either, from where they differ: these tell what kind it is


def unlike(what: str, said: Sequence[Event], came: Sequence[Event]) -> Iterator[str]:
    """Tell of an event that is missing, strange, there again, out of its order, or not as said.

    Args:
        what: Whose events; to begin the words with.
        said: In the order of acceptance.
        came: Envelopes; what is no repetition to the caller is one here.
    """
    wanted, there = ([each["id"] for each in those] for those in (said, came))
    if there != wanted:
        # Where one is the beginning of the other, they differ where it ends.
        alike = takewhile(lambda pair: pair[0] == pair[1], zip(wanted, there, strict=False))
        at = sum(1 for _ in alike)
        accepted, arrived = (ids[at : at + IDS_SHOWN] for ids in (wanted, there))
        yield f"{what}: from event {at + 1} on {accepted} were accepted, {arrived} came"
        return
    for event, envelope in zip(said, came, strict=True):
        changed = [name for name, value in event.items() if envelope.get(name) != value]
        if changed:
            yield f"{what}: event {event['id']}: {', '.join(changed)} not as it was said"
