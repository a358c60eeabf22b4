"""Everything an operator can set, as one frozen tree, read once.

In come a TOML file and the environment (:mod:`edge.settings` says how); out comes a
:class:`Config` that has passed every rule between its settings, or the first complaint.
Relative paths count from the working directory.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

import msgspec
from msgspec import Meta
from typing_extensions import override

from edge.core.lane import Lane
from edge.settings import ConfigError, Reader, Size

__all__ = ["Config", "ConfigError"]  # whoever reads settings catches their complaint

# Ten years: longer is a slip of the unit, and still fits every timer of the system.
_SECONDS_MAX: Final = 10 * 366 * 86400
# RFC 9651 integers end at 999,999,999,999,999; the RateLimit fields carry quotas.
_EVENTS_MAX: Final = 10**12
# 10^8 entries of 32 B and more per lane are more memory than a node has.
_ENTRIES_MAX: Final = 10**8
# Each issuer has its own key source and refresher.
_ISSUERS_MAX: Final = 16
# Below it one batch of the largest events (256 KiB) in each of six lanes is already full.
_SPOOL_BYTES_MIN: Final = 16 << 20
# Below it one batch of refused records (1 MiB, base64 in JSON) may never fit, and its lane stops.
_DEAD_BYTES_MIN: Final = 4 << 20
# What an idle process holds (70 MB), and as much again for what is under way.
_MEMORY_MIN: Final = 128 << 20
# As `python -m loadtests.stages` measures them: of ids and keys, of sessions with numbers missing.
_ENTRY_BYTES: Final = 33
_SESSION_BYTES: Final = 234
# More of them are told apart when they are opened.
_ORIGINS: Final = {"log", "kafka", "https", "http"}
_ANY_ADDRESS: Final = {"0.0.0.0", "::"}  # noqa: S104  # to compare with, not to listen on
# Source: RFC 1123 §2.1.
_HOST_NAME: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*")

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


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A typo in a setting's name must stop the start, not be ignored."""


class Node(_Section, frozen=True):
    """Which node this is, and how it leaves.

    Attributes:
        name: Of this node, in every envelope; unique within the region.
        region: Of this node, in every envelope.
        settle_s: How long listeners stay open after SIGTERM, while the load balancer notices.
        drain_s: How long it forwards after the last request, before it exits.
        memory_max: Resident; above it new connections are refused and telemetry is shed.
    """

    name: Name = "edge-1"
    region: Name = "local"
    settle_s: SecondsOrNone = 0
    drain_s: SecondsOrNone = 20
    memory_max: Size = 1 << 30


class Http(_Section, frozen=True):
    """The public door.

    Attributes:
        host: Address or host name to listen on.
        port: 0 takes a free one.
    """

    host: Text = "127.0.0.1"
    port: Port = 8080


class Admin(_Section, frozen=True):
    """The operators' door, never reachable through the public one.

    Attributes:
        host: Address or host name to listen on.
        port: 0 takes a free one.
    """

    host: Text = "127.0.0.1"
    port: Port = 9090


class Issuer(_Section, frozen=True):
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


class Auth(_Section, frozen=True):
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


class ClockRules(_Section, frozen=True):
    """How far a sender's clock may be off.

    Attributes:
        intent_max_age_s: Oldest ``time`` of an intent: it asks for something now.
        observation_max_age_s: Oldest ``time`` of an observation: clients report in batches.
        future_max_s: How far ``time`` may lie ahead.
    """

    intent_max_age_s: Seconds = 30
    observation_max_age_s: Seconds = 300
    future_max_s: SecondsOrNone = 2


class Cost(_Section, frozen=True):
    """What one event of each authority takes from a quota; 0 is free."""

    intent: Charge = 1
    observation: Charge = 1
    fact: Charge = 1


class Limit(_Section, frozen=True):
    """One quota: *burst* at once, then *quota* per *window_s*."""

    quota: Events
    window_s: Seconds
    burst: Events
    cost: Cost = Cost()


class Limits(_Section, frozen=True):
    """The quotas of design.md §3a rule 7; ``None`` (``false`` in the file) is no limit.

    Attributes:
        player: Of one player's client events.
        service: Of one service's facts.
        brand: Of one brand's events, whoever sends them.
        address: Of one IPv4 /32 or IPv6 /64, in requests.
        node: Of everything this node takes.
    """

    player: Limit | None = Limit(quota=1200, window_s=60, burst=200)
    service: Limit | None = Limit(quota=600_000, window_s=60, burst=20_000)
    brand: Limit | None = None
    address: Limit | None = Limit(quota=6000, window_s=60, burst=600)
    node: Limit | None = None


class SpoolSettings(_Section, frozen=True):
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


class OriginSettings(_Section, frozen=True):
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

    @classmethod
    def load(cls, path: Path | None, environ: Mapping[str, str]) -> Self:
        """Read the file at *path* (``None``: none) and the ``EDGE_…__…`` of *environ*.

        Raises:
            ConfigError: The first complaint of :meth:`survey`.
        """
        config, faults = cls.survey(path, environ)
        if config is None:
            raise faults[0]
        return config

    @classmethod
    def survey(
        cls, path: Path | None, environ: Mapping[str, str]
    ) -> tuple[Self | None, list[ConfigError]]:
        """Read as :meth:`load` does, and tell every complaint.

        Returns:
            The tree and no complaint, or ``None`` and at least one. Rules between settings are
            asked only when each setting stands by itself.
        """
        reader = Reader()
        config = reader.read(cls, path, environ)
        faults = reader.faults if config is None else list(_disagreements(config))
        return (None if faults else config), faults


def _disagreements(config: Config) -> Iterator[ConfigError]:
    """Tell what each setting alone does not show."""
    yield from _door_faults(config.http, config.admin)
    yield from _auth_faults(config.auth)
    yield from _quota_faults(config.limits)
    yield from _room_faults(config.spool)
    yield from _reach_faults(config)
    yield from _memory_faults(config)
    yield from _origin_faults(config)


def _door_faults(http: Http, admin: Admin) -> Iterator[ConfigError]:
    for path, host in (("http.host", http.host), ("admin.host", admin.host)):
        if not _address(host) and not _HOST_NAME.fullmatch(host):
            yield ConfigError(path, "must be an IP address or a host name, without brackets")
    hosts = {http.host, admin.host}
    if http.port == admin.port != 0 and (len(hosts) == 1 or hosts & _ANY_ADDRESS):
        yield ConfigError("admin.port", "is http.port too; give each door its own")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _auth_faults(auth: Auth) -> Iterator[ConfigError]:
    if not 1 <= len(auth.issuers) <= _ISSUERS_MAX:
        yield ConfigError("auth.issuers", f"name 1 to {_ISSUERS_MAX} issuers of tokens")
    if auth.jwks_stale_max_s < auth.jwks_refresh_s:
        yield ConfigError("auth.jwks_stale_max_s", "must not be below auth.jwks_refresh_s")
    names = [issuer.issuer for issuer in auth.issuers]
    for index, issuer in enumerate(auth.issuers):
        path = f"auth.issuers[{index}]"
        if issuer.issuer in names[:index]:
            yield ConfigError(f"{path}.issuer", "is listed twice; issuers never share keys")
        if (issuer.jwks_url is None) == (issuer.jwks_path is None):
            yield ConfigError(path, "set exactly one of jwks_url and jwks_path")


def _quota_faults(limits: Limits) -> Iterator[ConfigError]:
    for field in msgspec.structs.fields(Limits):
        limit: Limit | None = getattr(limits, field.name)
        if limit is None:
            continue
        for authority, cost in msgspec.structs.asdict(limit.cost).items():
            if cost > limit.burst:
                path = f"limits.{field.name}.cost.{authority}"
                yield ConfigError(path, "is above the burst, so no such event could ever pass")


def _room_faults(spool: SpoolSettings) -> Iterator[ConfigError]:
    if spool.bytes_max < _SPOOL_BYTES_MIN:
        yield ConfigError("spool.bytes_max", f"must be at least {_SPOOL_BYTES_MIN >> 20}MiB")
    if spool.dead_bytes_max < _DEAD_BYTES_MIN:
        yield ConfigError(
            "spool.dead_bytes_max", f"must be at least {_DEAD_BYTES_MIN >> 20}MiB"
        )
    if spool.reserve_bytes >= spool.bytes_max:
        yield ConfigError("spool.reserve_bytes", "must be below spool.bytes_max")
    if spool.retained_bytes_max > spool.bytes_max:
        yield ConfigError("spool.retained_bytes_max", "must not be above spool.bytes_max")


def _reach_faults(config: Config) -> Iterator[ConfigError]:
    """A retry must be recognised for as long as its clock check would let it in."""
    for field in ("intent_max_age_s", "observation_max_age_s"):
        if getattr(config.clock, field) > config.spool.dedupe_window_s:
            yield ConfigError(f"clock.{field}", "must not be above spool.dedupe_window_s")


def _memory_faults(config: Config) -> Iterator[ConfigError]:
    """Tables only ever grow until they are full: the watermark must lie above that."""
    spool = config.spool
    tables = spool.dedupe_entries_max * _ENTRY_BYTES * len(Lane)
    needed = _MEMORY_MIN + tables + spool.sessions_max * _SESSION_BYTES
    if config.node.memory_max < needed:
        complaint = f"must be at least {-(-needed >> 20)}MiB, which full tables take"
        yield ConfigError("node.memory_max", complaint)


def _origin_faults(config: Config) -> Iterator[ConfigError]:
    scheme, _, path = config.origin.url.partition(":")
    if scheme not in _ORIGINS or not path:
        yield ConfigError("origin.url", "must be log:PATH, kafka://HOST:PORT,… or https://HOST")
    if scheme != "log" or not path:
        return
    log, spool = Path(path).absolute(), Path(config.spool.path).absolute()
    if log.is_relative_to(spool) or spool.is_relative_to(log):
        yield ConfigError("origin.url", "and spool.path must not lie in one another")
