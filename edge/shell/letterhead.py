"""Notices in this node's name: what is told in, one CloudEvent's bytes out."""

import uuid
from dataclasses import dataclass

from edge.core.instant import NS_PER_MS, Instant
from edge.core.rfc3339 import canonical
from origin_client.notice import (
    QUARANTINED_TYPE,
    REFUSED_TYPE,
    Notice,
    Quarantined,
    Refused,
    encode,
)
from origin_client.origin import Outgoing


@dataclass(frozen=True, slots=True)
class Letterhead:
    """Who tells.

    Attributes:
        node: ``edgenode``.
        region: ``edgeregion``.
    """

    node: str
    region: str

    def write(
        self, told: Refused | Quarantined, now: Instant, *, subject: str = ""
    ) -> Outgoing:
        """Make the record that tells it.

        Args:
            told: What.
            now: When.
            subject: The player whose token it was, if it was one's.
        """
        value = Notice(
            specversion="1.0",
            id=str(uuid.uuid4()),
            source=f"urn:edge:node:{self.node}",
            type=REFUSED_TYPE if isinstance(told, Refused) else QUARANTINED_TYPE,
            time=canonical(now.unix_ns // NS_PER_MS),
            subject=subject,
            edgenode=self.node,
            edgeregion=self.region,
            data=told,
        )
        return Outgoing((subject or self.node).encode(), encode(value))
