"""The library: what it counts is what the spool does, and each fault is what it says."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.preload import (
    ALL_KINDS,
    NEVER,
    WRITES,
    Kind,
    Manner,
    Preload,
    build,
    missing,
)
from tests.faults.strace_calls import missing as strace_missing, read, tracer

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(missing() != "", reason=f"SKIPPED: {missing()}"),
]

SPOOL = """
import errno, os, sys, time
from pathlib import Path
from edge.shell.spool.disk import OsDisk, publish
disk, room = OsDisk(), Path({room!r})

def attempt(call, *arguments):
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]

"""
"""A program that does to files what the gateway does, and nothing else in that room."""

ALL_THERE_IS = """
disk.make_directory(room / "lane")
with_header = publish(disk, room / "lane" / "1.seg", b"header")
with_header.write(b"frame")
with_header.sync()
with_header.close()
disk.overwrite(room / "lane" / "1.seg", 0, b"H")
disk.resize(room / "lane" / "1.seg", 4)
disk.resize(room / "lane" / "1.seg", 4096)
disk.read(room / "lane" / "1.seg", 0, 10)
disk.files(room / "lane")
disk.unlink(room / "lane" / "1.seg")
disk.sync_directory(room)
"""

KERNEL = {
    Kind.OPEN: ("openat",),
    Kind.READ: ("pread64",),
    Kind.WRITE: ("write", "pwrite64"),
    Kind.SYNC: ("fsync", "fdatasync"),
    Kind.RESIZE: ("ftruncate", "fallocate"),
    Kind.RENAME: ("rename",),
    Kind.UNLINK: ("unlink",),
    Kind.MKDIR: ("mkdir",),
}
"""The kernel's names; how often a directory is listed, and a file looked at, differs below."""


@pytest.fixture(name="room")
def _room(tmp_path: Path) -> Path:
    room = tmp_path / "spool"
    room.mkdir()
    return room


@pytest.fixture(name="library", scope="module")
def _library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("library"))


@pytest.fixture(name="orders")
def _orders(library: Path, tmp_path: Path, room: Path) -> Preload:
    return Preload(library, tmp_path / "control", room)


def run(orders: Preload, room: Path, program: str, *before: str) -> list[str]:
    """Run a program under the library; return the lines that it prints."""
    whole = SPOOL.format(room=str(room)) + program
    command = [*orders.launcher, *before, sys.executable, "-c", whole]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.splitlines()


@pytest.mark.skipif(strace_missing() != "", reason=f"SKIPPED: {strace_missing()}")
def test_no_call_of_a_spool_goes_by_uncounted(
    orders: Preload, room: Path, tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    names = ",".join(name for names in KERNEL.values() for name in names)

    run(orders, room, ALL_THERE_IS, *tracer(trace, "-e", f"trace={names}"))

    calls = read(trace)
    of_room = {
        kind: sum(str(room) in call.arguments for call in calls.named(*names))
        for kind, names in KERNEL.items()
    }
    of_room[Kind.OPEN] -= 1  # inside opendir, which is counted as a listing
    assert {kind: orders.counts()[kind] for kind in KERNEL} == of_room
    assert orders.counts()[Kind.LIST] == 5  # opened, two dots, one file, the end
    assert orders.counts()[Kind.CLOSE] == of_room[Kind.OPEN]
    assert orders.counts()[Kind.STAT] > 0


def test_what_lies_elsewhere_goes_through(orders: Preload, room: Path, tmp_path: Path) -> None:
    orders.hurt_calls(1)

    run(orders, room, f"disk.sync_directory(Path({str(tmp_path)!r}))")

    assert (orders.hurt, orders.scene) == (0, "")


@pytest.mark.parametrize(
    ("manner", "error", "said", "left"),
    [
        (Manner.REFUSED, errno.EIO, "EIO", b"header"),
        (Manner.REFUSED, errno.ENOSPC, "ENOSPC", b"header"),
        (Manner.BELIED, errno.EIO, "EIO", b"headerframe"),
        (Manner.CUT, errno.EIO, "ENOSPC", b"headerfr"),
    ],
    ids=["refused", "full", "done all the same", "cut short"],
)
def test_a_write_goes_wrong_as_it_is_told(
    orders: Preload, room: Path, manner: Manner, error: int, said: str, left: bytes
) -> None:
    orders.hurt_calls(2, 2, manner=manner, error=error, kinds=WRITES)

    lines = run(
        orders,
        room,
        """
output = publish(disk, room / "1.seg", b"header")
print(attempt(output.write, b"frame"))
""",
    )

    assert lines == [said]
    assert (room / "1.seg").read_bytes() == left
    assert (orders.hurt, orders.scene) == (1, f"write {room}/1.seg")
    assert orders.reuse == ""


def test_a_descriptor_that_is_used_again_after_a_failed_sync_is_told(
    orders: Preload, room: Path
) -> None:
    orders.hurt_calls(1, 1, kinds=frozenset({Kind.SYNC}))

    run(
        orders,
        room,
        """
file = os.open(room / "1.seg", os.O_WRONLY | os.O_CREAT)
print(attempt(os.fsync, file), attempt(os.fsync, file))
""",
    )

    assert orders.reuse == f"{room}/1.seg"


@pytest.mark.parametrize("kind", sorted(ALL_KINDS))
def test_every_kind_of_call_can_fail(orders: Preload, room: Path, kind: Kind) -> None:
    orders.hurt_calls(1, 1, kinds=frozenset({kind}))

    run(
        orders,
        room,
        f"""
def everything():
    exec({ALL_THERE_IS!r}, globals())
print(attempt(everything))
""",
    )

    assert orders.hurt == 1
    assert orders.scene.startswith(kind.name.lower())


def test_a_late_call_goes_on_when_it_is_released(orders: Preload, room: Path) -> None:
    orders.hurt_calls(1, 1, manner=Manner.LATE, kinds=WRITES)
    program = SPOOL.format(room=str(room)) + 'publish(disk, room / "1.seg", b"header")'
    command = [*orders.launcher, sys.executable, "-c", program]
    with subprocess.Popen(command) as process:
        while not orders.hurt:
            assert process.poll() is None
        assert (room / "1.tmp").read_bytes() == b""
        orders.spare()
        assert process.wait() == 0

    assert (room / "1.seg").read_bytes() == b"header"


def test_only_paths_with_the_part_count(orders: Preload, room: Path) -> None:
    orders.hurt_calls(1, kinds=WRITES, part="/b")

    lines = run(
        orders,
        room,
        """
for name in ("a", "b"):
    print(attempt(disk.create(room / name).write, b"x"))
""",
    )

    assert lines == ["None", "EIO"]


def test_the_wall_clock_jumps_and_the_steady_one_does_not(orders: Preload, room: Path) -> None:
    orders.shift_clock(-86_400)

    (line,) = run(orders, room, "print(time.time() - os.stat('/proc/self').st_ctime)")

    assert -86_410 < float(line) < -86_300


def test_a_library_without_orders_hurts_nothing(orders: Preload, room: Path) -> None:
    orders.hurt_calls(NEVER, NEVER)

    run(orders, room, ALL_THERE_IS)

    assert orders.hurt == 0
    assert sum(orders.counts().values()) > 0
