"""A disk that can lose its power: ext4 on a loop device, and copies of what was written to it.

Owns the backing file, the loop device and the mount; and what is mounted of the copies. Needs
root, and what :func:`tests.faults.mounts.missing` asks for.

*What an image is.* The backing file, copied while the owner of its files is frozen. The loop
device writes to it directly (``--direct-io=on``, past the page cache below), so it holds
exactly what the file system has submitted and the device has completed. A copy counts only if
the device was idle before, during and after (its own counters say so): so it is a moment of
that disk, and not a mixture of two.

*What an image loses.* Whatever only the page cache above knows: dirty pages, delayed
allocations, names and sizes in a transaction that is not committed. Nothing commits one by
itself: ``commit=300``, and the kernel writes pages back after 30 s. ``noauto_da_alloc`` takes
away ext4's own guess at a forgotten sync. Each image proves it with a control, a file that was
written just before and not synced: the copy must not have it, or have it empty.

*What it does not lose.* Writes that were submitted and not flushed: they model a disk that
keeps what it has taken. A disk whose cache forgets is for the simulation.

*What it cannot show.* On ext4 a sync commits the running transaction with all its names; so a
directory that is not synced is covered by the next sync of any file. That, too, is for the
simulation, whose disk forgets names one by one.

Source: ext4(5); loop(4); Documentation/admin-guide/iostats.rst, fields 5, 9, 12 and 16.
"""

import contextlib
import time
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.mounts import ext4, mounted, run

SIZE_BYTES: Final = 96 << 20  # an image is copied in 50 ms; a round writes less than half
LIVE_OPTIONS: Final = ("commit=300", "noatime", "noauto_da_alloc")
JOURNALS: Final = ("data=ordered", "data=writeback")
"""Both ways in which ext4 may bring new sizes to the disk: after the data, or whenever."""

_TRIES: Final = 4_000
_PAUSE_S: Final = 0.005
"""Before the next try: a frozen process has at most a sync for each lane under way, together 1 s
on a disk of its own; others may keep it busy for longer."""

_IN_FLIGHT: Final = 8
_WRITTEN: Final = (4, 11, 15)  # of writes, discards and flushes, how many were completed


class NeverIdleError(Exception):
    """The device was never idle for as long as a copy takes."""


@dataclass(frozen=True, slots=True)
class Disk:
    """One disk with power.

    Attributes:
        backing: The file below the device.
        device: ``/dev/loopN``.
        mount: Where its files are.
    """

    backing: Path
    device: Path
    mount: Path

    def image(self, target: Path) -> None:
        """Copy what is on stable storage now; nothing is flushed, nothing waits for it.

        Raises:
            NeverIdleError: Somebody goes on writing.
        """
        for _ in range(_TRIES):
            before = self._written()
            if before is not None:
                run("cp", "--sparse=always", str(self.backing), str(target))
                if before == self._written():
                    return
            time.sleep(_PAUSE_S)
        raise NeverIdleError(self.device)

    def _written(self) -> tuple[str, ...] | None:
        """Tell how much was ever written; ``None`` while something is on its way."""
        statistics = Path("/sys/block", self.device.name, "stat").read_text("ascii").split()
        if statistics[_IN_FLIGHT] != "0":
            return None
        return tuple(statistics[at] for at in _WRITTEN)


@contextlib.contextmanager
def powered(room: Path, journal: str = JOURNALS[0]) -> Generator[Disk]:
    """Make a disk in *room* and mount it; on the way out all of it is gone.

    Args:
        room: An existing directory on a file system that can be written directly.
        journal: One of :data:`JOURNALS`.

    Raises:
        CalledProcessError: Not on this machine.
    """
    backing, mount = room / "disk.img", room / "disk"
    options = ",".join((*LIVE_OPTIONS, journal))
    with (
        ext4(backing, SIZE_BYTES, loop="--direct-io=on") as device,
        mounted(device, mount, options),
    ):
        yield Disk(backing, device, mount)


@contextlib.contextmanager
def after_power_loss(image: Path, at: Path) -> Generator[Path]:
    """Mount an image, as the next boot would; on the way out it is gone.

    Args:
        image: What :meth:`Disk.image` made; its journal is replayed.
        at: A directory to be made.

    Raises:
        CalledProcessError: It cannot be mounted.
    """
    try:
        with mounted(image, at, "loop"):
            yield at
    finally:
        at.rmdir()
        image.unlink()
