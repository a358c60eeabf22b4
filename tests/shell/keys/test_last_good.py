"""The last good key set on disk: it survives, it is found again, it is never half there."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from edge.core.instant import NS_PER_MS
from edge.shell.keys.last_good import LastGood
from tests.fakes import ISSUER, JWKS, NOW

URL = "https://id.example/jwks.json"
FETCHED_UNIX_NS = NOW.unix_ns + 7 * NS_PER_MS


def _last_good(directory: Path, *, issuer: str = ISSUER, source: str = URL) -> LastGood:
    return LastGood(directory, issuer=issuer, source=source)


def _only_file(directory: Path) -> Path:
    (path,) = directory.iterdir()
    return path


def test_a_saved_set_is_loaded_by_the_next_process(tmp_path: Path) -> None:
    _last_good(tmp_path / "spool" / "keys").save(JWKS, FETCHED_UNIX_NS)

    assert _last_good(tmp_path / "spool" / "keys").load() == (JWKS, FETCHED_UNIX_NS)


def test_the_newer_set_replaces_the_older(tmp_path: Path) -> None:
    last_good = _last_good(tmp_path)
    last_good.save(b"old", 0)
    last_good.save(b"new", FETCHED_UNIX_NS)

    assert last_good.load() == (b"new", FETCHED_UNIX_NS)
    assert _only_file(tmp_path).suffix == ".json"


def test_before_the_first_set_there_is_none(tmp_path: Path) -> None:
    assert _last_good(tmp_path / "keys").load() is None


def test_another_issuer_or_source_finds_nothing(tmp_path: Path) -> None:
    _last_good(tmp_path).save(JWKS, FETCHED_UNIX_NS)

    assert _last_good(tmp_path, issuer="https://other.example").load() is None
    assert _last_good(tmp_path, source=URL + "?v=2").load() is None


def test_a_file_of_another_issuer_under_our_name_is_not_believed(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    _last_good(ours).save(JWKS, FETCHED_UNIX_NS)
    _last_good(theirs, issuer="https://other.example").save(JWKS, FETCHED_UNIX_NS)

    _only_file(ours).write_bytes(_only_file(theirs).read_bytes())

    assert _last_good(ours).load() is None


def test_a_crash_while_writing_leaves_the_old_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last_good = _last_good(tmp_path)
    last_good.save(b"old", FETCHED_UNIX_NS)

    def crash(_draft: Path, _target: Path) -> Path:
        raise OSError("power failure")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", crash)
        with pytest.raises(OSError, match="power"):
            last_good.save(b"new", FETCHED_UNIX_NS)

    assert last_good.load() == (b"old", FETCHED_UNIX_NS)
    last_good.save(b"newer", FETCHED_UNIX_NS)
    assert last_good.load() == (b"newer", FETCHED_UNIX_NS)


def test_only_the_gateway_reads_it(tmp_path: Path) -> None:
    _last_good(tmp_path / "keys").save(JWKS, FETCHED_UNIX_NS)

    assert (tmp_path / "keys").stat().st_mode & 0o077 == 0
    assert _only_file(tmp_path / "keys").stat().st_mode & 0o077 == 0


def test_the_record_is_what_the_module_says(tmp_path: Path) -> None:
    _last_good(tmp_path).save(JWKS, FETCHED_UNIX_NS)

    assert json.loads(_only_file(tmp_path).read_bytes()) == {
        "version": 1,
        "issuer": ISSUER,
        "source": URL,
        "fetched_unix_ms": FETCHED_UNIX_NS // NS_PER_MS,
        "jwks": JWKS.decode(),
    }


@settings(max_examples=50)
@given(
    octets=st.binary() | st.sampled_from([b'{"version":2}', b"[" * 9999, b'{"jwks":"\xff"}'])
)
def test_any_octets_on_disk_are_no_set(
    octets: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("keys")
    last_good = _last_good(directory)
    last_good.save(JWKS, FETCHED_UNIX_NS)

    _only_file(directory).write_bytes(octets)

    assert last_good.load() is None
