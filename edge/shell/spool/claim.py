"""Whose directory this is, and whether it can keep a promise: lock, identity, file system.

Record
------
``<spool>/<worker>/lock`` is empty; its owner holds a ``flock`` on it, and one on the directory:
who removes the file, taking it for the remains of a dead process, makes no room for a second.
``<spool>/<worker>/id`` is one line of text, twice, so that no single fault loses it:
``edge-spool 1 <64 hex digits> <8 hex digits>``, the format, the secret for keyed hashes, and
the CRC-32 of all before the last space.
"""

import fcntl
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from edge.config import ConfigError
from edge.core.instant import NS_PER_S
from edge.shell.spool.disk import Disk, publish

_VERSION: Final = 1
_SECRET_BYTES: Final = 32
_COPIES: Final = 2
_IDENTITY: Final = re.compile(
    rb"(edge-spool (\d+)(?: ([0-9a-f]{64}))?[^\n]*?) ([0-9a-f]{8})(?![0-9a-f])"
)
_POLL_S: Final = 0.05
"""The lock of a dead process is free at once; this is for one that is leaving."""

_VOLATILE: Final = frozenset({"tmpfs", "ramfs", "nfs", "nfs4"})
"""Memory keeps nothing; NFS may report a sync that its server has not done."""

_MOUNTS: Final = Path("/proc/self/mountinfo")


class SpoolLocked(Exception):  # noqa: N818  # an expected state: another process is still there
    """Another process owns the spool."""


class Lock:
    """The right to write to one directory."""

    def __init__(self, path: Path, wait_s: float) -> None:
        """Take the lock.

        Args:
            path: The lock's file, or a directory: nobody can remove that by mistake.
            wait_s: How long another owner is waited for.

        Raises:
            OSError: The file cannot be opened.
            SpoolLocked: Another process has it.
        """
        self._path: Final = path
        self._descriptor = self._open()
        deadline_ns = time.monotonic_ns() + round(wait_s * NS_PER_S)
        while not self._is_taken():
            if time.monotonic_ns() >= deadline_ns:
                os.close(self._descriptor)
                owned = path if path.is_dir() else path.parent
                raise SpoolLocked(f"another process owns {owned}: stop it first")
            time.sleep(_POLL_S)

    def release(self) -> None:
        """Let the next one in."""
        os.close(self._descriptor)

    def _open(self) -> int:
        if self._path.is_dir():
            return os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        return os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)

    def _is_taken(self) -> bool:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if self._is_there():
            return True
        os.close(self._descriptor)
        self._descriptor = self._open()
        return False

    def _is_there(self) -> bool:
        """Whether what is locked still has the name: else the next one locks another file."""
        try:
            named = self._path.stat()
        except FileNotFoundError:
            return False
        return os.path.samestat(os.fstat(self._descriptor), named)


def stranger(path: Path) -> int | None:
    """Tell the user who owns the lock at *path*, if there is one and it is not ours."""
    try:
        owner = path.stat().st_uid
    except OSError:  # whoever opens the spool learns why
        return None
    return None if owner == os.geteuid() else owner


class Identity(NamedTuple):
    """Which spool this is.

    Attributes:
        secret: 32 random bytes, for keyed hashes.
        is_new: It was made now; what an earlier secret hashed cannot be known again.
    """

    secret: bytes
    is_new: bool


def identify(disk: Disk, path: Path, entropy: Callable[[int], bytes]) -> Identity:
    """Read the spool's identity, or give it one if it has none that can be read.

    What is found is on stable storage, too, on return: the start that wrote it may have been
    killed before it had synced the name, and a power loss would take the memory of all ids.

    Raises:
        ConfigError: Another version of the gateway wrote the spool.
        OSError: The identity can be neither read nor written, or it is not there for sure.
    """
    found = read_identity(disk, path)
    if found is not None:
        disk.sync_directory(path.parent)
        return Identity(found, is_new=False)
    fresh = entropy(_SECRET_BYTES)
    line = b"edge-spool %d %s" % (_VERSION, fresh.hex().encode())
    publish(disk, path, b"%s %08x\n" % (line, crc32(line)) * _COPIES).close()
    return Identity(fresh, is_new=True)


def read_identity(disk: Disk, path: Path) -> bytes | None:
    """Read the spool's secret from whichever copy is whole; ``None`` when neither is.

    Raises:
        ConfigError: Another version of the gateway wrote the spool.
        OSError: The identity is there and cannot be read.
    """
    try:
        content = disk.read(path, 0, 4096)
    except FileNotFoundError:
        return None
    for found in _IDENTITY.finditer(content):
        if int(found[4], 16) == crc32(found[1]):
            if int(found[2]) != _VERSION:
                raise ConfigError("spool.path", unknown_format(path, int(found[2])))
            return bytes.fromhex(found[3].decode())
    return None


def unknown_format(path: Path, version: int) -> str:
    """Tell an operator what to do about a spool of another version."""
    return (
        f"{path} has format {version}, this version reads {_VERSION}; drain it with the version "
        "that wrote it, or name another directory"
    )


def volatile(path: Path, mounts: Path = _MOUNTS) -> str:
    """Name the file system under *path* if it cannot keep a promise, else ``""``.

    Links are followed: what counts is where the bytes go.

    Source: proc_pid_mountinfo(5).
    """
    path, kind, depth = path.resolve(), "", -1
    for line in mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        left, _, right = line.partition(" - ")
        point = Path(re.sub(r"\\([0-7]{3})", _unescape, left.split(" ")[4]))
        if len(point.parts) >= depth and path.is_relative_to(point):
            kind, depth = right.split(" ")[0], len(point.parts)
    return kind if kind in _VOLATILE else ""


def _unescape(match: re.Match[str]) -> str:
    return chr(int(match[1], 8))
