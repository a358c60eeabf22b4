"""Small file systems to run out of: in memory, or ext4 in a file. Needs root."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Final

EXT4_BYTES: Final = 96 << 20


def missing() -> str:
    """Say what this machine lacks for it; ``""``: nothing."""
    if os.geteuid() != 0:
        return "not root"
    return next(
        (f"no {c}" for c in ("mount", "mkfs.ext4", "losetup") if not shutil.which(c)), ""
    )


@contextlib.contextmanager
def in_memory(at: Path, *, size_bytes: int, inodes: int = 0) -> Generator[Path]:
    """Mount a tmpfs at a directory to be made; on the way out it is gone.

    Args:
        at: Where.
        size_bytes: Of all its files.
        inodes: Files it may have; 0: any number.

    Raises:
        CalledProcessError: Not on this machine.
    """
    at.mkdir()
    options = f"size={size_bytes},nr_inodes={inodes},mode=700"
    _run("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(at))
    try:
        yield at
    finally:
        _run("umount", str(at))


@contextlib.contextmanager
def image(room: Path, *options: str) -> Generator[Path]:
    """Make an ext4 in a file of *room*; its loop device is gone on the way out.

    Args:
        room: An existing directory.
        *options: Of mkfs.ext4.

    Raises:
        CalledProcessError: Not on this machine.
    """
    backing = room / "small.img"
    with backing.open("wb") as file:
        file.truncate(EXT4_BYTES)
    _run("mkfs.ext4", "-q", "-F", *options, str(backing))
    device = _run("losetup", "--find", "--show", str(backing)).strip()
    try:
        yield Path(device)
    finally:
        _run("losetup", "--detach", device)
        backing.unlink()


@contextlib.contextmanager
def mounted(device: Path, at: Path, options: str = "defaults") -> Generator[Path]:
    """Mount a device; on the way out it is unmounted.

    Raises:
        CalledProcessError: It cannot be mounted.
    """
    at.mkdir(exist_ok=True)
    _run("mount", "-o", options, str(device), str(at))
    try:
        yield at
    finally:
        _run("umount", str(at))


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
