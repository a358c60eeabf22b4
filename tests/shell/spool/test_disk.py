"""The operating system's file system, asked for the few things the spool needs."""

import contextlib
import errno
import os
import resource
import stat
from collections.abc import Generator
from pathlib import Path

import pytest

from edge.shell.spool.disk import Disk, OsDisk, Output, is_full, publish, settle_directory
from tests.fakes_disk import Call, FakeDisk

DISK = OsDisk()


@contextlib.contextmanager
def small_files() -> Generator[None, None, None]:
    """Let no file grow beyond 1,000 bytes, as on a disk that fills up in the midst of a write.

    The limit holds for the whole process, so for no longer than the call it is about: the
    tests' own report may be a file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_published_file_is_whole_private_and_can_be_appended_to(tmp_path: Path) -> None:
    output = publish(DISK, tmp_path / "a.seg", b"head")
    output.write(b"tail")
    output.sync()
    output.close()
    output.close()

    assert DISK.files(tmp_path) == {"a.seg": 8}
    assert DISK.read(tmp_path / "a.seg", 2, 100) == b"adtail"
    assert stat.S_IMODE((tmp_path / "a.seg").stat().st_mode) == 0o600


def test_publishing_replaces_the_old_file(tmp_path: Path) -> None:
    for content in (b"a longer one", b"new"):
        publish(DISK, tmp_path / "cursor", content).close()

    assert DISK.read(tmp_path / "cursor", 0, 100) == b"new"


@pytest.mark.parametrize("call", ["create", "write", "sync", "rename"])
def test_what_could_not_be_published_leaves_the_old_file(call: str) -> None:
    disk, path = FakeDisk(), Path("/spool/cursor")
    publish(disk, path, b"old").close()
    disk.plan = lambda _index, made: (
        OSError(errno.EIO, "planned") if made.name == call else None
    )

    with pytest.raises(OSError, match="planned"):
        publish(disk, path, b"new")

    assert disk.files(path.parent) == {"cursor": 3}
    assert disk.read(path, 0, 10) == b"old"
    is_made = call != "create"
    assert disk.calls.count(Call("close", path.with_suffix(".tmp"))) == 1 + is_made, "no leak"


def test_a_short_write_is_a_full_disk(tmp_path: Path) -> None:
    output = DISK.create(tmp_path / "a")

    with small_files(), pytest.raises(OSError, match="short write") as caught:
        output.write(bytes(2000))

    output.close()
    assert is_full(caught.value)


def test_a_file_that_was_removed_is_never_synced(tmp_path: Path) -> None:
    output = DISK.create(tmp_path / "a")
    output.write(b"content")
    (tmp_path / "a").unlink()

    with pytest.raises(FileNotFoundError, match="removed while it was written"):
        output.sync()
    output.close()


def test_directories_are_private_and_made_with_their_parents(tmp_path: Path) -> None:
    settle_directory(DISK, tmp_path / "a" / "b")
    settle_directory(DISK, tmp_path / "a" / "b")

    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700


def test_sizes_are_changed_with_real_blocks(tmp_path: Path) -> None:
    path = tmp_path / "headroom"
    DISK.resize(path, 1 << 16)
    assert path.stat().st_blocks * 512 >= 1 << 16

    DISK.resize(path, 10)
    assert path.stat().st_size == 10

    DISK.unlink(path)
    assert DISK.files(tmp_path) == {}


def test_directories_are_no_files(tmp_path: Path) -> None:
    (tmp_path / "dead").mkdir()

    assert DISK.files(tmp_path) == {}


@pytest.mark.parametrize(
    ("code", "expected"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False)]
)
def test_full_is_told_from_broken(code: int, expected: bool) -> None:  # noqa: FBT001  # a table
    assert is_full(OSError(code, os.strerror(code))) is expected
    assert not is_full(ValueError())


def test_overwriting_replaces_bytes_and_makes_no_file(tmp_path: Path) -> None:
    (tmp_path / "cursor").write_bytes(b"0123456789")

    DISK.overwrite(tmp_path / "cursor", 4, b"abc")

    assert (tmp_path / "cursor").read_bytes() == b"0123abc789"
    with pytest.raises(FileNotFoundError):
        DISK.overwrite(tmp_path / "none", 0, b"abc")


def test_what_is_written_unsynced_is_there_and_whose_it_is(tmp_path: Path) -> None:
    path = tmp_path / "0000000001.tmp"
    path.write_bytes(b"of an earlier try, and longer")

    DISK.write_unsynced(path, b"index")

    assert path.read_bytes() == b"index"
    DISK.write_unsynced(tmp_path / "new", b"")
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("promise", [Disk, Output])
def test_a_disk_that_leaves_a_call_out_is_none(promise: type) -> None:
    """Inherited from the promise, a sync would return at once, and nothing be durable."""
    calls: dict[str, object] = {
        name: object for name in vars(promise) if not name.startswith("_")
    }
    type("Whole", (promise,), calls)()

    for left_out in calls:
        rest = {name: call for name, call in calls.items() if name != left_out}
        with pytest.raises(TypeError, match=left_out):
            type("Partial", (promise,), rest)()


def test_a_file_that_goes_while_a_directory_is_read_is_not_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks into a spool in use sees temporary files come and go."""
    for name in ("here", "gone"):
        (tmp_path / name).write_bytes(b"123")
    scandir = os.scandir

    @contextlib.contextmanager
    def slow(path: Path) -> Generator[list["os.DirEntry[str]"]]:
        with scandir(path) as entries:
            seen = list(entries)
            (tmp_path / "gone").unlink()
            yield seen

    monkeypatch.setattr(os, "scandir", slow)

    assert DISK.files(tmp_path) == {"here": 3}
