"""One owner, one identity, and a file system that keeps its promises."""

import errno
import os
import threading
from pathlib import Path
from random import Random
from zlib import crc32

import pytest

from edge.config import ConfigError
from edge.shell.spool.claim import (
    Identity,
    Lock,
    SpoolLocked,
    identify,
    read_identity,
    stranger,
    volatile,
)
from edge.shell.spool.disk import OsDisk
from tests.fakes_disk import FakeDisk
from tests.fakes_spool import counted

DISK = OsDisk()


def test_there_is_one_owner_at_a_time(tmp_path: Path) -> None:
    first = Lock(tmp_path / "lock", wait_s=0)

    with pytest.raises(SpoolLocked, match="another process owns"):
        Lock(tmp_path / "lock", wait_s=0.06)

    first.release()
    Lock(tmp_path / "lock", wait_s=0).release()


def test_an_identity_is_made_once_and_kept_twice(tmp_path: Path) -> None:
    first = identify(DISK, tmp_path / "id", counted)

    assert (len(first.secret), first.is_new) == (32, True)
    assert identify(DISK, tmp_path / "id", counted) == Identity(first.secret, is_new=False)
    line = b"edge-spool 1 " + first.secret.hex().encode()
    assert (tmp_path / "id").read_bytes() == (line + b" %08x\n" % crc32(line)) * 2


@pytest.mark.parametrize("seed", range(10))
def test_an_identity_that_a_killed_start_has_left_survives_a_power_loss(seed: int) -> None:
    disk, path = FakeDisk(), Path("/spool/0/id")
    dead = OSError(errno.EIO, "as if killed here")
    disk.plan = lambda _, call: dead if call.name == "sync_directory" else None
    with pytest.raises(OSError, match="killed"):
        identify(disk, path, counted)
    disk.plan = lambda _index, _call: None
    found = identify(disk, path, counted)

    disk.crash(Random(seed))  # noqa: S311  # replayable, no secret

    assert found.is_new is False
    assert identify(disk, path, counted) == found


def test_no_single_flipped_bit_loses_an_identity(tmp_path: Path) -> None:
    first, path = identify(DISK, tmp_path / "id", counted), tmp_path / "id"
    whole = path.read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)

        assert read_identity(DISK, path) == first.secret


@pytest.mark.parametrize("damaged", [b"", b"\0" * 90, b"edge-spool 2 00 00000000\n"])
def test_a_lost_identity_is_replaced_and_known_to_be_new(
    tmp_path: Path, damaged: bytes
) -> None:
    path = tmp_path / "id"
    first = identify(DISK, path, counted)
    path.write_bytes(damaged)

    replaced = identify(DISK, path, counted)

    assert replaced.is_new
    assert replaced.secret != first.secret


def test_another_format_stops_the_start_and_stays(tmp_path: Path) -> None:
    line = b"edge-spool 9 whatever it knows"
    content = line + b" %08x\n" % crc32(line)
    (tmp_path / "id").write_bytes(content)

    with pytest.raises(
        ConfigError, match=r"^spool\.path: .* has format 9, this version reads 1"
    ):
        identify(DISK, tmp_path / "id", counted)

    assert (tmp_path / "id").read_bytes() == content


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
23 22 0:21 / /dev/shm rw - tmpfs tmpfs rw
24 22 0:22 / /data/my\\040share rw - nfs4 server:/x rw
25 22 0:23 / /data/my\\040share/disk rw - xfs /dev/b rw
26 22 0:24 / /dev/shm rw - ext4 /dev/c rw
27 22 0:25 / /run rw,nosuid master:3 propagate_from:2 - ramfs none rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/var/spool", ""),
        ("/run/spool", "ramfs"),
        ("/running", ""),
        ("/data/my share/spool", "nfs4"),
        ("/data/my share/disk/spool", ""),
        ("/dev/shm/spool", ""),  # noqa: S108  # a row of the table above
    ],
    ids=["disk", "memory", "no more than a prefix", "network", "disk in it", "mounted over"],
)
def test_the_file_system_is_found_by_its_mount(
    tmp_path: Path, path: str, expected: str
) -> None:
    (tmp_path / "mountinfo").write_text(MOUNTS)

    assert volatile(Path(path), tmp_path / "mountinfo") == expected


def test_links_are_followed_to_the_file_system(tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(f"23 22 0:21 / {tmp_path}/memory rw - tmpfs tmpfs rw\n")
    (tmp_path / "memory").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "memory")

    assert volatile(tmp_path / "link" / "spool", tmp_path / "mountinfo") == "tmpfs"


def test_a_stranger_is_who_owns_the_lock_and_is_not_us(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, us = tmp_path / "lock", os.geteuid()
    assert stranger(path) is None, "nobody has been here"
    Lock(path, 0).release()
    assert stranger(path) is None

    monkeypatch.setattr("os.geteuid", lambda: us + 1)
    assert stranger(path) == us


def test_the_machine_can_be_asked() -> None:
    assert volatile(Path("/proc")) == ""


@pytest.mark.parametrize("is_made_anew", [False, True])
def test_a_lock_whose_name_was_removed_is_taken_on_the_new_file(
    tmp_path: Path, *, is_made_anew: bool
) -> None:
    """Between opening and locking somebody removes the name: the next one would lock another."""
    path = tmp_path / "lock"
    first = Lock(path, 0)

    def leave() -> None:
        path.unlink()
        if is_made_anew:
            path.touch()
        first.release()

    threading.Timer(0.05, leave).start()

    second = Lock(path, 5)

    with pytest.raises(SpoolLocked):
        Lock(path, 0)
    second.release()
