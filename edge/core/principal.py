"""Who a token speaks for, once we believe it."""

import enum

import msgspec

from edge.core.lane import Lane


class Kind(enum.StrEnum):
    """The two kinds of speaker: a player's client, or a backend service."""

    PLAYER = "player"
    SERVICE = "service"


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """The speaker behind a verified token; trusted, unlike anything in an event.

    Attributes:
        kind: Player (the token has a ``sid``) or service.
        subject: ``sub``: the player id, or the service's own name.
        client_id: ``client_id``: the app, or the service; the scope of a service's event ids.
        session: ``sid``, lower-case UUID text; ``""`` for a service.
        brand: The player's brand; ``""`` for a service.
        jurisdiction: The player's jurisdiction; ``""`` for a service.
        brands: Brands a service is bound to; ``None`` means any. Always ``None`` for a player.
        jurisdictions: Jurisdictions a service is bound to; ``None`` means any.
        writes: Lanes it may write: all with ``events:write``, else those of ``facts:<lane>``.
        reads_stream: Whether it holds ``stream:read``.
        jti: Its token's serial number; ``""`` where no token was read.
        expires_unix_s: ``exp``, unix s, without leeway.
    """

    kind: Kind
    subject: str
    client_id: str
    session: str = ""
    brand: str = ""
    jurisdiction: str = ""
    brands: frozenset[str] | None = None
    jurisdictions: frozenset[str] | None = None
    writes: frozenset[Lane] = frozenset()
    reads_stream: bool = False
    jti: str = ""
    expires_unix_s: int
