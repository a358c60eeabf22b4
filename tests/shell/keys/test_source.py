"""Where a setting says keys are read, and what reading there gives."""

from pathlib import Path

import pytest

from edge.config import ConfigError, Issuer
from edge.core.instant import NS_PER_S
from edge.core.keyset import KEY_SET_BYTES_MAX
from edge.shell.keys.fetch import FetchFailed
from edge.shell.keys.source import FILE_INTERVAL_NS, KeySource, open_source
from tests.fakes import AUDIENCE, ISSUER, JWKS
from tests.fakes_keys import key_server, reply


def _open(directory: Path, *, url: str | None = None, path: Path | None = None) -> KeySource:
    file = None if path is None else str(path)
    issuer = Issuer(issuer=ISSUER, audience=AUDIENCE, jwks_url=url, jwks_path=file)
    return open_source(issuer, "auth.issuers[3]", directory, refresh_s=30)


def test_a_url_is_fetched_every_refresh_and_kept(tmp_path: Path) -> None:
    with key_server(reply(JWKS)) as server:
        source = _open(tmp_path, url=server.url)

        assert source.read() == JWKS

    assert source.interval_ns == 30 * NS_PER_S
    assert source.last_good is not None
    with pytest.raises(FetchFailed):
        source.read()


def test_a_url_that_may_not_be_fetched_is_a_wrong_setting(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        _open(tmp_path, url="http://id.example/jwks.json")

    assert refused.value.path == "auth.issuers[3].jwks_url"
    assert "loopback" in refused.value.complaint


def test_a_file_is_read_anew_each_time_and_not_kept_twice(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    source = _open(tmp_path, path=path)
    path.write_bytes(b"old")
    before = source.read()
    path.write_bytes(b"new")

    assert (before, source.read()) == (b"old", b"new")
    assert (source.interval_ns, source.last_good) == (FILE_INTERVAL_NS, None)


def test_a_file_swapped_as_kubernetes_does_it_is_seen(tmp_path: Path) -> None:
    for name in ("..2026_01", "..2026_02"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "jwks.json").write_text(name, "utf-8")
    (tmp_path / "..data").symlink_to("..2026_01")
    (tmp_path / "jwks.json").symlink_to("..data/jwks.json")
    source = _open(tmp_path, path=tmp_path / "jwks.json")
    before = source.read()

    (tmp_path / "..data_tmp").symlink_to("..2026_02")
    (tmp_path / "..data_tmp").rename(tmp_path / "..data")

    assert (before, source.read()) == (b"..2026_01", b"..2026_02")


def test_no_more_of_a_file_is_read_than_shows_that_it_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "jwks.json"
    path.write_bytes(b"x" * (2 * KEY_SET_BYTES_MAX))

    assert len(_open(tmp_path, path=path).read()) == KEY_SET_BYTES_MAX + 1


def test_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _open(tmp_path, path=tmp_path / "none").read()
