"""Everything an operator can set, as one frozen tree, read once.

In come a TOML file and the environment (:mod:`edge.settings` says how); out comes a
:class:`Config` that has passed every rule between its settings, or the first complaint.
Relative paths count from the working directory. The sections are :mod:`edge.sections`'s, and
handed on: whoever is configured imports from here.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, Self

import msgspec

from edge.core.lane import Lane
from edge.core.ops import BATCH_EVENTS_MAX, BURST_S, FRAME_BYTES_MAX
from edge.sections import (
    Admin,
    Auth,
    ClockRules,
    Connections,
    Cost,
    DirectiveSettings,
    Http,
    Issuer,
    Limit,
    Limits,
    Node,
    OriginSettings,
    Section,
    SpoolSettings,
    Stream,
)
from edge.settings import ConfigError, Reader

__all__ = [
    "Admin",
    "Auth",
    "ClockRules",
    "Config",
    "ConfigError",
    "Connections",
    "Cost",
    "DirectiveSettings",
    "Http",
    "Issuer",
    "Limit",
    "Limits",
    "Node",
    "OriginSettings",
    "SpoolSettings",
    "Stream",
]

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
# Source: RFC 6454 §6.2: a scheme's usual port is left out.
_USUAL_PORT: Final = re.compile(r"http://.*[^:]:80|https://.*[^:]:443")


class Config(Section, frozen=True):
    """The whole gateway."""

    node: Node = Node()
    http: Http = Http()
    admin: Admin = Admin()
    auth: Auth = Auth()
    clock: ClockRules = ClockRules()
    limits: Limits = Limits()
    stream: Stream = Stream()
    spool: SpoolSettings = SpoolSettings()
    origin: OriginSettings = OriginSettings()
    directives: DirectiveSettings = DirectiveSettings()

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
    yield from _stream_faults(config)
    yield from _room_faults(config.spool)
    yield from _reach_faults(config)
    yield from _memory_faults(config)
    yield from _origin_faults(config)
    yield from _directive_faults(config)


def _door_faults(http: Http, admin: Admin) -> Iterator[ConfigError]:
    for path, host in (("http.host", http.host), ("admin.host", admin.host)):
        if not _address(host) and not _HOST_NAME.fullmatch(host):
            yield ConfigError(path, "must be an IP address or a host name, without brackets")
    hosts = {http.host, admin.host}
    for index, origin in enumerate(http.allowed_origins):
        if _USUAL_PORT.fullmatch(origin):
            complaint = "leaves its usual port out when a browser sends it"
            yield ConfigError(f"http.allowed_origins[{index}]", complaint)
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
        limit: Limit | Connections | None = getattr(limits, field.name)
        if not isinstance(limit, Limit):
            continue
        for authority, cost in msgspec.structs.asdict(limit.cost).items():
            if cost > limit.burst:
                path = f"limits.{field.name}.cost.{authority}"
                yield ConfigError(path, "is above the burst, so no such event could ever pass")


def _stream_faults(config: Config) -> Iterator[ConfigError]:
    stream = config.stream
    if stream.pong_s > stream.ping_s:
        yield ConfigError("stream.pong_s", "must not be above stream.ping_s")
    if stream.in_flight_bytes < FRAME_BYTES_MAX:
        complaint = f"must be at least {FRAME_BYTES_MAX >> 10}KiB, one frame"
        yield ConfigError("stream.in_flight_bytes", complaint)
    if stream.events_per_s * BURST_S < BATCH_EVENTS_MAX:
        complaint = f"must be at least {BATCH_EVENTS_MAX // BURST_S}: a frame is no burst"
        yield ConfigError("stream.events_per_s", complaint)
    if stream.sockets_per_session > config.limits.connections.per_player:
        complaint = "must not be above limits.connections.per_player"
        yield ConfigError("stream.sockets_per_session", complaint)


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


def _directive_faults(config: Config) -> Iterator[ConfigError]:
    """Who may let players in may not yet shut them out: two key sets, two files."""
    source, keys = config.directives.source, config.directives.keys
    if (source is None) != (keys is None):
        missing = "keys" if keys is None else "source"
        yield ConfigError(f"directives.{missing}", "is required: set both, or neither")
    paths = [issuer.jwks_path for issuer in config.auth.issuers]
    if keys is not None and Path(keys).absolute() in [
        Path(path).absolute() for path in paths if path
    ]:
        yield ConfigError(
            "directives.keys", "is an issuer's key set; give directives their own"
        )
