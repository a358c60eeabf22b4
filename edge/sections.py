"""What an operator can set, by section: frozen tables, each field with its default.

What they mean together, and which do not go together, is :mod:`edge.config`'s business.
"""

from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta
from typing_extensions import override

from edge.settings import Size

# Ten years: longer is a slip of the unit, and still fits every timer of the system.
_SECONDS_MAX: Final = 10 * 366 * 86400
# RFC 9651 integers end at 999,999,999,999,999; the RateLimit fields carry quotas.
_EVENTS_MAX: Final = 10**12
# 10^8 entries of 32 B and more per lane are more memory than a node has.
_ENTRIES_MAX: Final = 10**8
# More connections than one process has descriptors for.
_SOCKETS_MAX: Final = 10**6
Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
Seconds: TypeAlias = Annotated[int, Meta(ge=1, le=_SECONDS_MAX)]
SecondsOrNone: TypeAlias = Annotated[int, Meta(ge=0, le=_SECONDS_MAX)]
Events: TypeAlias = Annotated[int, Meta(ge=1, le=_EVENTS_MAX)]
Charge: TypeAlias = Annotated[int, Meta(ge=0, le=_EVENTS_MAX)]
Entries: TypeAlias = Annotated[int, Meta(ge=1, le=_ENTRIES_MAX)]
# (?!\n) because $ lets a newline pass, and \Z means nothing to a reader of the schema.
Text: TypeAlias = Annotated[str, Meta(pattern=r"^[^\x00-\x1f\x7f]{1,2048}$(?!\n)")]
# It stands in every envelope.
Name: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$(?!\n)")]


# As browsers write it: lower case, no path; a native app has a scheme of its own.
# Source: RFC 6454 §6.2.
WebOrigin: TypeAlias = Annotated[
    str, Meta(pattern=r"^[a-z][a-z0-9+.-]{0,31}://[a-z0-9.:\[\]_-]{1,255}$(?!\n)")
]
Sockets: TypeAlias = Annotated[int, Meta(ge=1, le=_SOCKETS_MAX)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A typo in a setting's name must stop the start, not be ignored."""


class Node(Section, frozen=True):
    """Which node this is, and how it leaves.

    Attributes:
        name: Of this node, in every envelope; unique within the region.
        region: Of this node, in every envelope.
        settle_s: How long listeners stay open after SIGTERM, while the load balancer notices.
        drain_s: How long it forwards after the last request, before it exits; what has begun,
            sockets too, has a second to end even if this is 0.
        memory_max: Resident; above it new connections are refused and telemetry is shed.
    """

    name: Name = "edge-1"
    region: Name = "local"
    settle_s: SecondsOrNone = 0
    drain_s: SecondsOrNone = 20
    memory_max: Size = 1 << 30


class Http(Section, frozen=True):
    """The public door.

    Attributes:
        host: Address or host name to listen on.
        port: 0 takes a free one.
        allowed_origins: Whose pages may open a socket, ``scheme://host[:port]`` each; empty:
            no page's. Who sends no ``Origin``, as native clients do, is not asked.
    """

    host: Text = "127.0.0.1"
    port: Port = 8080
    allowed_origins: tuple[WebOrigin, ...] = ()


class Admin(Section, frozen=True):
    """The operators' door, never reachable through the public one.

    Attributes:
        host: Address or host name to listen on.
        port: 0 takes a free one.
    """

    host: Text = "127.0.0.1"
    port: Port = 9090


class Issuer(Section, frozen=True):
    """One party whose tokens we believe; exactly one of the two key sources is set.

    Attributes:
        issuer: The ``iss`` of its tokens, compared as it stands.
        audience: The ``aud`` its tokens must name.
        jwks_url: Its key set; https, or http on a loopback address.
        jwks_path: Its key set as a mounted file, re-read on change.
        algorithm: For key sets that name none; absent: each key must.
    """

    issuer: Text
    audience: Text
    jwks_url: Text | None = None
    jwks_path: Text | None = None
    algorithm: Literal["EdDSA", "ES256", "RS256", "PS256"] | None = None


class Auth(Section, frozen=True):
    """Whom we believe, and for how long.

    Attributes:
        lifetime_max_s: Longest ``exp - iat`` of a token.
        jwks_refresh_s: Between two fetches of a key set.
        jwks_stale_max_s: How long the last good keys outlive their source.
        audience_list: Whether ``aud`` may be a list.
        typ_jwt: Whether the ``typ`` of a token may also be ``JWT``.
        issuers: At least one.
    """

    lifetime_max_s: Seconds = 86400
    jwks_refresh_s: Seconds = 30
    jwks_stale_max_s: Seconds = 86400
    audience_list: bool = False
    typ_jwt: bool = False
    issuers: tuple[Issuer, ...] = ()


class ClockRules(Section, frozen=True):
    """How far a sender's clock may be off.

    Attributes:
        intent_max_age_s: Oldest ``time`` of an intent: it asks for something now.
        observation_max_age_s: Oldest ``time`` of an observation: clients report in batches.
        future_max_s: How far ``time`` may lie ahead.
    """

    intent_max_age_s: Seconds = 30
    observation_max_age_s: Seconds = 300
    future_max_s: SecondsOrNone = 2


class Cost(Section, frozen=True):
    """What one event of each authority takes from a quota; 0 is free."""

    intent: Charge = 1
    observation: Charge = 1
    fact: Charge = 1


class Limit(Section, frozen=True):
    """One quota: *burst* at once, then *quota* per *window_s*."""

    quota: Events
    window_s: Seconds
    burst: Events
    cost: Cost = Cost()


class Connections(Section, frozen=True):
    """How many sockets may be open at once; the handshake of one more is refused.

    Attributes:
        total: Of this process.
        per_address: From one IPv4 /32 or IPv6 /64; ``None`` (``false``): behind a proxy, where
            all have one.
        per_player: Of one player, all sessions together.
    """

    total: Sockets = 10_000
    per_address: Sockets | None = 200
    per_player: Sockets = 3


class Limits(Section, frozen=True):
    """The quotas of design.md §3a rule 7; ``None`` (``false`` in the file) is no limit.

    Attributes:
        player: Of one player's client events.
        service: Of one service's facts.
        brand: Of one brand's events, whoever sends them.
        address: Of one IPv4 /32 or IPv6 /64, in requests.
        node: Of everything this node takes.
        connections: How many may be connected at once; these have no window.
    """

    player: Limit | None = Limit(quota=1200, window_s=60, burst=200)
    service: Limit | None = Limit(quota=600_000, window_s=60, burst=20_000)
    brand: Limit | None = None
    address: Limit | None = Limit(quota=6000, window_s=60, burst=600)
    node: Limit | None = None
    connections: Connections = Connections()


class Stream(Section, frozen=True):
    """The life of one socket.

    Attributes:
        sockets_per_session: Of one session; a newer one replaces the oldest.
        silent_s: After ``welcome``, until its first frame; only for those who may write.
        ping_s: Between two pings.
        pong_s: How long a pong may take.
        frames_per_s: Text frames; beyond them it is closed.
        events_per_s: Of all frames, whatever becomes of them; beyond them it is not read. A
            hundred times what a player may have accepted, and at worst 3 % of a processor.
        control_frames_per_s: Pings and pongs; beyond them it is closed.
        in_flight_bytes: Of frames whose verdicts are not told; beyond them it is not read.
    """

    sockets_per_session: Sockets = 1
    silent_s: Seconds = 60
    ping_s: Seconds = 20
    pong_s: Seconds = 10
    frames_per_s: Sockets = 50
    events_per_s: Sockets = 2000
    control_frames_per_s: Sockets = 10
    in_flight_bytes: Size = 256 << 10


class SpoolSettings(Section, frozen=True):
    """Where accepted events wait, and how much of everything.

    Attributes:
        path: The directory; one process owns it.
        bytes_max: Of this process: waiting (not yet acknowledged) and, in what is left over,
            retained (acknowledged, kept for recall).
        lane_share_max: Of ``bytes_max``, what one lane may take.
        reserve_bytes: The last of ``bytes_max``, open only to the lanes that hold money.
        retained_bytes_max: Per lane; how far recall remembers, in bytes.
        dead_bytes_max: Per lane; when dead letters fill it, the lane waits.
        dedupe_window_s: How far recall remembers, in time.
        dedupe_entries_max: Per lane; how far recall remembers, in ids and business keys.
        sessions_max: Sessions whose numbers are remembered; longest unused out first.
        sync_timeout_s: A sync that takes longer is answered 503.
        lock_wait_s: How long a second owner waits for the first to leave.
        allow_volatile: Whether tmpfs and network file systems, which cannot keep the promise,
            are accepted.
    """

    path: Text = "var/spool"
    bytes_max: Size = 4 << 30
    lane_share_max: Annotated[float, Meta(gt=0, le=1)] = 0.5
    reserve_bytes: Size = 64 << 20
    retained_bytes_max: Size = 256 << 20
    dead_bytes_max: Size = 256 << 20
    dedupe_window_s: Seconds = 86400
    dedupe_entries_max: Entries = 1_000_000
    sessions_max: Entries = 200_000
    sync_timeout_s: Seconds = 5
    lock_wait_s: SecondsOrNone = 0
    allow_volatile: bool = False


class DirectiveSettings(Section, frozen=True):
    """What the origin directs: whom to believe no longer. Both are set, or neither.

    Attributes:
        source: A mounted file of signed directives, one per line; looked at all the time.
        keys: The key set that verifies them, a mounted file of its own; never an issuer's.
    """

    source: Text | None = None
    keys: Text | None = None


class OriginSettings(Section, frozen=True):
    """Where accepted events go.

    Attributes:
        url: ``log:PATH``, the embedded log; ``kafka://HOST:PORT,…``; ``https://HOST/PATH``.
            Never holds a secret.
        options: The origin's own settings, by its names. Never shown, as they may be secrets;
            such go into a file that ``<name>_file`` names, or into a JSON object in the file
            that ``EDGE_ORIGIN__OPTIONS_FILE`` names.
    """

    url: Text = "log:var/origin"
    options: dict[str, str | int | float | bool] = {}

    @override
    def __repr__(self) -> str:
        options = ", ".join(f"{name!r}: <secret>" for name in self.options)
        return f"OriginSettings(url={self.url!r}, options={{{options}}})"
