"""A mounted file: no change is missed, and an unchanged one is not read for ever."""

import os
import time
from pathlib import Path
from typing import Final

import pytest

from edge.core.instant import NS_PER_S
from edge.shell.watched_file import FileTooLarge, WatchedFile

NOW: Final = time.time_ns()
LATER: Final = NOW + 3600 * NS_PER_S
"""When the time of any file written in a test is settled."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "mounted").write_bytes(b"one")
    return tmp_path / "mounted"


def test_an_old_file_is_read_once(path: Path) -> None:
    file = WatchedFile(path, 9)

    assert [file.read(LATER), file.read(LATER)] == [b"one", None]


def test_a_young_file_is_read_again_because_its_time_may_stand_still(path: Path) -> None:
    file = WatchedFile(path, 9)

    assert [file.read(NOW), file.read(NOW), file.read(LATER)] == [b"one"] * 3
    assert file.read(LATER) is None


def test_a_change_of_the_same_size_at_the_same_time_is_seen(path: Path) -> None:
    file = WatchedFile(path, 9)
    file.read(NOW)
    before = path.stat()

    path.write_bytes(b"two")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert file.read(LATER) == b"two"


@pytest.mark.parametrize("way", ["renamed over", "a swapped symlink", "in place", "touched"])
def test_each_way_to_replace_it_is_seen(way: str, path: Path) -> None:
    mounted = path.with_name("link")
    mounted.symlink_to(path)
    file = WatchedFile(mounted, 9)
    file.read(LATER)
    time.sleep(0.02)  # a tick of the clock that files' times come from

    new = path.with_name("new")
    new.write_bytes(b"one")
    if way == "renamed over":
        new.replace(path)
    elif way == "a swapped symlink":
        path.with_name("link2").symlink_to(new)
        path.with_name("link2").replace(mounted)
    elif way == "in place":
        path.write_bytes(b"one")
    else:
        path.touch()

    assert file.read(LATER) == b"one"


def test_a_file_that_is_back_is_read_again(path: Path) -> None:
    file = WatchedFile(path, 9)
    file.read(LATER)
    path.rename(path.with_name("away"))
    with pytest.raises(FileNotFoundError):
        file.read(LATER)

    path.with_name("away").rename(path)

    assert file.read(LATER) == b"one"


def test_one_that_is_too_large_is_refused_and_not_cut(path: Path) -> None:
    assert WatchedFile(path, 3).read(LATER) == b"one"
    with pytest.raises(FileTooLarge, match="larger than 2 bytes"):
        WatchedFile(path, 2).read(LATER)


def test_a_device_without_end_is_too_large() -> None:
    with pytest.raises(FileTooLarge):
        WatchedFile(Path("/dev/zero"), 9).read(LATER)


def test_a_directory_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        WatchedFile(tmp_path, 9).read(LATER)
