"""File systems of our own: ext4 in a file, on a loop device, mounted. Needs root.

A file system, or a device, is there within a ``with`` block, and gone behind it.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Final

# Source: Filesystem Hierarchy Standard 3.0; a user's PATH often has no sbin.
PLACES: Final = "/usr/sbin:/sbin:/usr/bin:/bin"


def missing() -> str:
    """Say what this machine lacks for it; ``""``: nothing."""
    if os.geteuid() != 0:
        return "not root"
    for command in ("mkfs.ext4", "losetup", "mount", "umount"):
        if shutil.which(command, path=PLACES) is None:
            return f"no {command}"
    return "" if Path("/dev/loop-control").exists() else "no loop devices"


def run(command: str, *arguments: str) -> str:
    """Run one of the system's commands; return what it says.

    Raises:
        CalledProcessError: It failed.
    """
    found = shutil.which(command, path=PLACES)
    assert found is not None, "missing() tells before"
    return subprocess.run(
        [found, *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout


@contextlib.contextmanager
def ext4(backing: Path, size_bytes: int, *, make: str = "", loop: str = "") -> Generator[Path]:
    """Make an ext4 in the file *backing*, and a loop device of it.

    Args:
        backing: A file to be made.
        size_bytes: Of the device.
        make: Options of mkfs.ext4.
        loop: Options of losetup.

    Raises:
        CalledProcessError: Not on this machine.
    """
    with backing.open("wb") as file:
        file.truncate(size_bytes)
    run("mkfs.ext4", "-q", "-F", *make.split(), str(backing))
    device = run("losetup", "--find", "--show", *loop.split(), str(backing)).strip()
    try:
        yield Path(device)
    finally:
        run("losetup", "--detach", device)
        backing.unlink()


@contextlib.contextmanager
def mounted(
    what: Path | str, at: Path, options: str = "defaults", *, kind: str = "ext4"
) -> Generator[Path]:
    """Mount a device, or an image.

    Args:
        what: It; or the name of a file system that needs no device.
        at: A directory; made if it is not there.
        options: Of mount.
        kind: Of file system.

    Raises:
        CalledProcessError: It cannot be mounted.
    """
    at.mkdir(exist_ok=True)
    run("mount", "-t", kind, "-o", options, str(what), str(at))
    try:
        yield at
    finally:
        run("umount", str(at))


@contextlib.contextmanager
def in_memory(at: Path, *, size_bytes: int, inodes: int = 0) -> Generator[Path]:
    """Mount a tmpfs.

    Args:
        at: A directory; made if it is not there.
        size_bytes: Of all its files.
        inodes: Files it may have; 0: any number.

    Raises:
        CalledProcessError: Not on this machine.
    """
    options = f"size={size_bytes},nr_inodes={inodes},mode=700"
    with mounted("tmpfs", at, options, kind="tmpfs"):
        yield at
