"""The settings either describe a gateway that can run, or name what does not."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edge.config import Config, ConfigError, Limit, OriginSettings, SpoolSettings
from edge.settings import FILE_SUFFIX

ISSUER = """
[[auth.issuers]]
issuer = "https://id.example"
audience = "edge"
jwks_path = "jwks.json"
"""

AGREED = """
[node]
name = "mt-1"
region = "eu-mt"
settle_s = 0
drain_s = 20
[http]
host = "127.0.0.1"
port = 8080
allowed_origins = []
[admin]
host = "127.0.0.1"
port = 9090
[auth]
lifetime_max_s = 86400
jwks_refresh_s = 30
jwks_stale_max_s = 86400
[[auth.issuers]]
issuer = "https://id.example"
audience = "edge"
jwks_url = "http://127.0.0.1:8090/jwks.json"
[clock]
intent_max_age_s = 30
observation_max_age_s = 300
future_max_s = 2
[limits.player]
quota = 1200
window_s = 60
burst = 200
cost = { intent = 1, observation = 1, fact = 1 }
[limits.connections]
total = 10000
per_address = 200
per_player = 3
[stream]
sockets_per_session = 1
[spool]
path = "var/spool"
bytes_max = "4GiB"
lane_share_max = 0.5
reserve_bytes = "64MiB"
retained_bytes_max = "256MiB"
dead_bytes_max = "256MiB"
dedupe_window_s = 86400
dedupe_entries_max = 1000000
sessions_max = 200000
sync_timeout_s = 5
lock_wait_s = 0
[origin]
url = "log:var/origin"
options = {}
"""
"""What design.md §10 shows, as far as it is built."""


def load(folder: Path, toml: str = ISSUER, **environ: str) -> Config:
    """Write *toml* down and load it."""
    path = folder / "edge.toml"
    path.write_text(toml)
    return Config.load(path, environ)


def complaints(folder: Path, toml: str, **environ: str) -> list[str]:
    """Every complaint about *toml*."""
    path = folder / "edge.toml"
    path.write_text(toml)
    _, faults = Config.survey(path, environ)
    return [str(fault) for fault in faults]


def test_the_agreed_settings_are_the_defaults(tmp_path: Path) -> None:
    agreed = load(tmp_path, AGREED)
    default = Config()

    assert agreed.node.name == "mt-1"
    assert agreed.auth.issuers[0].jwks_url == "http://127.0.0.1:8090/jwks.json"
    assert (agreed.http, agreed.admin, agreed.clock) == (
        default.http,
        default.admin,
        default.clock,
    )
    assert (agreed.limits, agreed.spool, agreed.origin) == (
        default.limits,
        default.spool,
        default.origin,
    )


def test_one_issuer_makes_a_gateway(tmp_path: Path) -> None:
    assert load(tmp_path).auth.issuers[0].issuer == "https://id.example"


def test_the_first_complaint_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^http.prot: unknown setting; did you mean port\?$"):
        load(tmp_path, ISSUER + "[http]\nprot = 1\n[admin]\nport = -1")


def test_the_environment_reaches_every_depth(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        EDGE_HTTP__PORT="0",
        EDGE_LIMITS__PLAYER__QUOTA="7",
        EDGE_SPOOL__BYTES_MAX="1GiB",
        EDGE_LIMITS__ADDRESS="false",
        EDGE_PORT_8080_TCP="tcp://10.0.0.1:8080",
    )

    assert config.http.port == 0
    assert config.limits.player == Limit(quota=7, window_s=60, burst=200)
    assert config.spool.bytes_max == 1 << 30
    assert config.limits.address is None


def test_two_free_ports_are_never_the_same(tmp_path: Path) -> None:
    config = load(tmp_path, ISSUER + "[http]\nport = 0\n[admin]\nport = 0")

    assert (config.http.port, config.admin.port) == (0, 0)


def test_two_doors_on_two_addresses_may_share_a_number(tmp_path: Path) -> None:
    config = load(tmp_path, ISSUER + '[admin]\nhost = "127.0.0.2"\nport = 8080')

    assert config.admin.port == config.http.port


ISSUER_WITH = '[[auth.issuers]]\nissuer = "https://id.example"\naudience = "edge"\n'


@pytest.mark.parametrize(
    ("toml", "path"),
    [
        pytest.param("", "auth.issuers", id="nobody to believe"),
        pytest.param(
            "".join(ISSUER.replace("id.example", f"{n}.example") for n in range(17)),
            "auth.issuers",
            id="too many issuers",
        ),
        pytest.param(ISSUER * 2, "auth.issuers[1].issuer", id="an issuer twice"),
        pytest.param(ISSUER_WITH, "auth.issuers[0]", id="no key source"),
        pytest.param(
            ISSUER + 'jwks_url = "https://id.example/jwks"',
            "auth.issuers[0]",
            id="two key sources",
        ),
        pytest.param(
            ISSUER + "[auth]\njwks_refresh_s = 60\njwks_stale_max_s = 59",
            "auth.jwks_stale_max_s",
            id="keys stale before they are fresh",
        ),
        pytest.param(ISSUER + "[admin]\nport = 8080", "admin.port", id="one port, two doors"),
        pytest.param(
            ISSUER + '[http]\nhost = "0.0.0.0"\n[admin]\nport = 8080',
            "admin.port",
            id="one port, one of the doors everywhere",
        ),
        pytest.param(
            ISSUER + '[http]\nhost = "[::1]"', "http.host", id="an address in brackets"
        ),
        pytest.param(ISSUER + '[admin]\nhost = "a b"', "admin.host", id="no host"),
        pytest.param(
            ISSUER + '[http]\nallowed_origins = ["https://a.example", "https://b.example:443"]',
            "http.allowed_origins[1]",
            id="a port that browsers leave out",
        ),
        pytest.param(
            ISSUER + '[http]\nallowed_origins = ["http://[::1]:80"]',
            "http.allowed_origins[0]",
            id="the other one",
        ),
        pytest.param(
            ISSUER + '[http]\nallowed_origins = ["*"]', "http.allowed_origins", id="any page"
        ),
        pytest.param(
            ISSUER + "[stream]\nping_s = 5\npong_s = 6",
            "stream.pong_s",
            id="a pong behind the next ping",
        ),
        pytest.param(
            ISSUER + '[stream]\nin_flight_bytes = "63KiB"',
            "stream.in_flight_bytes",
            id="less than a frame",
        ),
        pytest.param(
            ISSUER + "[stream]\nevents_per_s = 39",
            "stream.events_per_s",
            id="a frame longer than the burst",
        ),
        pytest.param(
            ISSUER + "[stream]\nsockets_per_session = 4",
            "stream.sockets_per_session",
            id="more sockets of a session than of its player",
        ),
        pytest.param(ISSUER + '[admin]\nhost = ""', "admin.host", id="an empty host"),
        pytest.param(
            ISSUER + '[node]\nname = "a\\n"', "node.name", id="a name with a line's end"
        ),
        pytest.param(
            ISSUER + "[limits.player]\ncost = { observation = 201 }",
            "limits.player.cost.observation",
            id="a cost above the burst",
        ),
        pytest.param(
            ISSUER + '[spool]\nreserve_bytes = "4GiB"',
            "spool.reserve_bytes",
            id="all room reserved",
        ),
        pytest.param(
            ISSUER + '[spool]\nbytes_max = "15MiB"\nreserve_bytes = 0\nretained_bytes_max = 0',
            "spool.bytes_max",
            id="no room for a batch per lane",
        ),
        pytest.param(
            ISSUER + '[spool]\ndead_bytes_max = "3MiB"',
            "spool.dead_bytes_max",
            id="no room for a dead batch",
        ),
        pytest.param(
            '[node]\nmemory_max = "1GiB"\n' + ISSUER + "[spool]\ndedupe_entries_max = 5000000",
            "node.memory_max",
            id="memory for fewer entries than are to be kept",
        ),
        pytest.param(
            '[node]\nmemory_max = "170MiB"\n' + ISSUER + "[spool]\ndedupe_entries_max = 1",
            "node.memory_max",
            id="memory for fewer sessions than are to be kept",
        ),
        pytest.param(
            ISSUER + '[spool]\nretained_bytes_max = "5GiB"',
            "spool.retained_bytes_max",
            id="more retained than there is",
        ),
        pytest.param(
            ISSUER + "[spool]\nlane_share_max = 1.5",
            "spool.lane_share_max",
            id="a share above one",
        ),
        pytest.param(
            ISSUER + "[spool]\ndedupe_window_s = 299",
            "clock.observation_max_age_s",
            id="older events than recall remembers",
        ),
        pytest.param(
            ISSUER + '[origin]\nurl = "ftp://x"', "origin.url", id="no origin of this name"
        ),
        pytest.param(ISSUER + '[origin]\nurl = "log:"', "origin.url", id="no path"),
        pytest.param(
            ISSUER + '[directives]\nsource = "d"', "directives.keys", id="directives, no keys"
        ),
        pytest.param(
            ISSUER + '[directives]\nkeys = "k"', "directives.source", id="keys of no directives"
        ),
        pytest.param(
            ISSUER + '[directives]\nsource = "d"\nkeys = "./jwks.json"',
            "directives.keys",
            id="directives signed by who lets players in",
        ),
        pytest.param(
            ISSUER + '[origin]\nurl = "log:var/spool/origin"',
            "origin.url",
            id="the origin inside the spool",
        ),
        pytest.param(
            ISSUER + '[spool]\npath = "var/origin/spool"',
            "origin.url",
            id="the spool inside the origin",
        ),
    ],
)
def test_settings_that_disagree_are_named(tmp_path: Path, toml: str, path: str) -> None:
    assert [complaint.partition(": ")[0] for complaint in complaints(tmp_path, toml)] == [path]


def test_no_complaint_quotes_a_secret(tmp_path: Path) -> None:
    toml = ISSUER + '[origin]\noptions = { password = ["s3cret"] }\nurl = "log:"'

    assert "s3cret" not in "".join(complaints(tmp_path, toml, EDGE_ORIGIN__OPTIONS="s3cret"))


def test_a_secret_is_not_shown() -> None:
    config = Config(origin=OriginSettings(options={"sasl.password": "s3cret"}))

    assert "s3cret" not in repr(config)
    assert "OriginSettings(url='log:var/origin', options={'sasl.password': <secret>})" in repr(
        config
    )


def test_bounds_keep_an_agreed_order() -> None:
    spool = SpoolSettings()

    assert spool.reserve_bytes < spool.lane_share_max * spool.bytes_max


def _names(kind: type[msgspec.Struct]) -> Iterator[str]:
    for field in msgspec.structs.fields(kind):
        yield field.name
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from _names(field.type)


def test_no_setting_ends_as_the_mark_of_a_secret_file_does() -> None:
    assert not [name for name in _names(Config) if name.endswith(FILE_SUFFIX)]


def test_memory_that_full_tables_leave_nothing_of_is_named_with_what_they_take(
    tmp_path: Path,
) -> None:
    [complaint] = complaints(tmp_path, '[node]\nmemory_max = "1MiB"\n' + ISSUER)
    named = complaint.rpartition("at least ")[2].partition("MiB")[0]

    enough = [f'[node]\nmemory_max = "{int(named) + n}MiB"\n{ISSUER}' for n in (0, -1)]

    assert complaints(tmp_path, enough[0]) == []
    assert len(complaints(tmp_path, enough[1])) == 1
