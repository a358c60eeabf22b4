"""Everything an operator can set, as one frozen tree, read once."""

from typing import Annotated, Literal, TypeAlias

import msgspec
from msgspec import Meta

Port: TypeAlias = Annotated[int, Meta(ge=0, le=65535)]
Positive: TypeAlias = Annotated[int, Meta(ge=1)]
Natural: TypeAlias = Annotated[int, Meta(ge=0)]


class ConfigError(Exception):
    """The settings do not describe a gateway we can run.

    Attributes:
        path: The setting, ``section.field``, or ``""`` for the file as a whole.
        complaint: What is wrong with it and what to do.
    """

    def __init__(self, path: str, complaint: str) -> None:
        super().__init__(f"{path}: {complaint}" if path else complaint)
        self.path = path
        self.complaint = complaint


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A typo in a setting's name must stop the start, not be ignored."""


class Node(_Section, frozen=True):
    """Which node this is, and how it leaves."""

    name: str = "edge-1"
    region: str = "local"
    settle_s: Natural = 0
    drain_s: Natural = 20


class Http(_Section, frozen=True):
    """The public door."""

    host: str = "127.0.0.1"
    port: Port = 8080


class Admin(_Section, frozen=True):
    """The operators' door, never reachable through the public one."""

    host: str = "127.0.0.1"
    port: Port = 9090


class Issuer(_Section, frozen=True):
    """One party whose tokens we believe; exactly one of the two key sources is set."""

    issuer: str
    audience: str
    jwks_url: str | None = None
    jwks_path: str | None = None
    algorithm: Literal["EdDSA", "ES256", "RS256", "PS256"] | None = None


class Auth(_Section, frozen=True):
    """Whom we believe, and for how long."""

    lifetime_max_s: Positive = 86400
    jwks_refresh_s: Positive = 30
    jwks_stale_max_s: Positive = 86400
    audience_list: bool = False
    typ_jwt: bool = False
    issuers: tuple[Issuer, ...] = ()


class ClockRules(_Section, frozen=True):
    """How far a sender's clock may be off."""

    intent_max_age_s: Positive = 30
    observation_max_age_s: Positive = 300
    future_max_s: Natural = 2


class Cost(_Section, frozen=True):
    """What one event of each authority takes from a quota."""

    intent: Natural = 1
    observation: Natural = 1
    fact: Natural = 1


class Limit(_Section, frozen=True):
    """One quota: *burst* at once, then *quota* per *window_s*."""

    quota: Positive
    window_s: Positive
    burst: Positive
    cost: Cost = Cost()


class Limits(_Section, frozen=True):
    """The quotas of design.md §3a rule 7; ``None`` is no limit."""

    player: Limit | None = Limit(quota=1200, window_s=60, burst=200)
    service: Limit | None = Limit(quota=600_000, window_s=60, burst=20_000)
    brand: Limit | None = None
    address: Limit | None = Limit(quota=6000, window_s=60, burst=600)
    node: Limit | None = None


class SpoolSettings(_Section, frozen=True):
    """Where accepted events wait, and how much of everything."""

    path: str = "var/spool"
    bytes_max: int = 4 << 30
    lane_share_max: Annotated[float, Meta(gt=0, le=1)] = 0.5
    reserve_bytes: int = 64 << 20
    retained_bytes_max: int = 256 << 20
    dead_bytes_max: int = 256 << 20
    dedupe_window_s: Positive = 86400
    dedupe_entries_max: Positive = 1_000_000
    sessions_max: Positive = 200_000
    sync_timeout_s: Positive = 5
    lock_wait_s: Natural = 0
    allow_volatile: bool = False


class OriginSettings(_Section, frozen=True):
    """Where accepted events go."""

    url: str = "log:var/origin"
    options: dict[str, str | int | float | bool] = {}


class Config(_Section, frozen=True):
    """The whole gateway."""

    node: Node = Node()
    http: Http = Http()
    admin: Admin = Admin()
    auth: Auth = Auth()
    clock: ClockRules = ClockRules()
    limits: Limits = Limits()
    spool: SpoolSettings = SpoolSettings()
    origin: OriginSettings = OriginSettings()
