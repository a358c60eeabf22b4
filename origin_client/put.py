"""Publishes lines, one record each: ``edge origin put``.

In go a URL, a topic and lines, each a structured-mode CloudEvent as JSON; out comes how many
are durable there, and what the origin has against the others. For development, and for whoever
has no producer of his own at hand: one record is durable before the next one goes, so that a
refusal is about that line alone.
"""

from collections.abc import Iterable
from typing import NamedTuple

from origin_client.open import open_origin
from origin_client.origin import Options, Outgoing


class Published(NamedTuple):
    """What became of the lines.

    Attributes:
        records: How many are durable.
        complaints: One for each of the others: which line, from 1, and why.
    """

    records: int
    complaints: list[str]


def put(
    url: str, options: Options, topic: str, lines: Iterable[bytes], *, key: bytes = b""
) -> Published:
    """Publish each of *lines* under *key*; empty ones are passed over.

    Raises:
        OriginError: No origin is described, it cannot be opened, or *topic* is no topic's name.
        OriginUnavailable: It does not answer; the fate of the line under way is unknown.
    """
    records, complaints = 0, list[str]()
    origin = open_origin(url, options)
    try:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            refusals = origin.publish(topic, [Outgoing(key, line.strip())])
            records += not refusals
            complaints += [f"line {number}: {refusal.reason}" for refusal in refusals]
    finally:
        origin.close()
    return Published(records, complaints)
