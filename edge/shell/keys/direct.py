"""A development origin: revocations signed with a private key in a file.

For ``edge token revoke`` only. A gateway never signs, and believes these as little as any others
unless its settings name their keys.
"""

import uuid
from dataclasses import dataclass, field
from typing import Final

from edge.core.directive import REVOCATION, TYPE
from edge.core.instant import NS_PER_S, Instant
from edge.shell.keys.mint import SigningKey

TTL_S: Final = 86_400 + 60
"""A token's longest life by default, and twice the leeway: then nothing is left to revoke."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a revocation shall say. Nothing is checked: refused ones must be signed too.

    Attributes:
        session: A player's session, UUID text.
        subject: Or a player.
        jtis: Or tokens, by their serial numbers.
        ttl_s: From issue to end, s; 0 and below lift an earlier one of that *name*.
        name: Its ``id``.
    """

    session: str | None = None
    subject: str | None = None
    jtis: tuple[str, ...] | None = None
    ttl_s: int = TTL_S
    name: str = field(default_factory=lambda: str(uuid.uuid4()))


def revoke(key: SigningKey, order: Order, now: Instant) -> str:
    """Sign a revocation that says what *order* says, issued *now*: one line of a source."""
    issued_unix_s = now.unix_ns // NS_PER_S
    claims = {
        "id": order.name,
        "kind": REVOCATION,
        "issued_at": issued_unix_s,
        "until": issued_unix_s + order.ttl_s,
        "session": order.session,
        "subject": order.subject,
        "jti": order.jtis,
    }
    return key.sign(claims, TYPE)
