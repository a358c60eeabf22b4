"""Compares what came to an origin with what was said, attribute by attribute.

In: events as they were accepted, and envelopes as they came, of one order; out: what must not be,
in words. For stories of a few events; a ledger's millions have :mod:`tests.faults.ledger.audit`.
"""

from collections.abc import Iterator, Sequence

from edge.demo.ledger import Event


def unlike(what: str, said: Sequence[Event], came: Sequence[Event]) -> Iterator[str]:
    """Tell of an event that is missing, strange, there again, out of its order, or not as said.

    Args:
        what: Whose events; to begin the words with.
        said: In the order of acceptance.
        came: Envelopes; what is no repetition to the caller is one here.
    """
    wanted, there = ([each["id"] for each in those] for those in (said, came))
    if there != wanted:
        yield f"{what}: {wanted} were accepted, {there} came"
        return
    for event, envelope in zip(said, came, strict=True):
        changed = [name for name, value in event.items() if envelope.get(name) != value]
        if changed:
            yield f"{what}: event {event['id']}: {', '.join(changed)} not as it was said"
