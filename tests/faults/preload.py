"""Orders to the library that stands between a gateway and its C library; and what it reports.

In: a compiler, and the path below which calls count. Out: a command to start a process by, and
a control that hurts one call, or many, while that process runs (``preload.c``).

It serves for the wall clock as well, instead of libfaketime: there the offset is one number in
the same shared memory, so a jump takes effect between two reads of a running process's clock,
and the steady clock stays untouched.
"""

import ctypes
import enum
import errno
import mmap
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final, cast

from edge.core.instant import NS_PER_S

SOURCE: Final = Path(__file__).with_name("preload.c")
FLAGS: Final = ("-std=c11", "-Wall", "-Wextra", "-O1", "-shared", "-fPIC")
NEVER: Final = 0  # calls count from 1
ALWAYS: Final = (1 << 64) - 1
HANG_MAX_MS: Final = 30_000
"""Of one late call, should nobody release it: longer than any story waits for it."""


class Kind(enum.IntEnum):
    """What a call does; several functions of the C library are one kind."""

    OPEN = 0
    READ = 1
    WRITE = 2
    SYNC = 3
    RESIZE = 4
    RENAME = 5
    UNLINK = 6
    CLOSE = 7
    MKDIR = 8
    LIST = 9
    STAT = 10


class Manner(enum.IntEnum):
    """How a call goes wrong.

    Attributes:
        REFUSED: It does nothing, and fails.
        BELIED: It does what it was asked for, and says that it failed.
        CUT: A write of half; any other call goes right.
        LATE: It does it much later.
    """

    REFUSED = 0
    BELIED = 1
    CUT = 2
    LATE = 3


ALL_KINDS: Final = frozenset(Kind)
TAKE_ROOM: Final = frozenset({Kind.OPEN, Kind.WRITE, Kind.RESIZE, Kind.RENAME, Kind.MKDIR})
"""What can fail for want of room."""

WRITES: Final = frozenset({Kind.WRITE})


class Control(ctypes.Structure):
    """``struct control`` of the library, shared with the process."""

    prefix: bytes
    part: bytes
    calls: int
    tally: "ctypes.Array[ctypes.c_uint64]"
    first: int
    last: int
    kinds: int
    manner: int
    error: int
    hang_ms: int
    lies: int
    shift_ns: int
    hurt: int
    reused: int
    scene: bytes
    reuse: bytes

    # mypy wants a list of any types there are, pyright no list that could be changed.
    _fields_ = cast(
        "Any",
        (
            ("prefix", ctypes.c_char * 256),
            ("part", ctypes.c_char * 64),
            ("calls", ctypes.c_uint64),
            ("tally", ctypes.c_uint64 * 16),
            ("first", ctypes.c_uint64),
            ("last", ctypes.c_uint64),
            ("kinds", ctypes.c_uint64),
            ("manner", ctypes.c_uint64),
            ("error", ctypes.c_uint64),
            ("hang_ms", ctypes.c_uint64),
            ("lies", ctypes.c_uint64),
            ("shift_ns", ctypes.c_int64),
            ("hurt", ctypes.c_uint64),
            ("reused", ctypes.c_uint64),
            ("scene", ctypes.c_char * 256),
            ("reuse", ctypes.c_char * 256),
        ),
    )


class Preload:
    """Memory shared with one process under the library, or with several in turn.

    Args:
        library: What :func:`build` made.
        path: The file of the memory, to be made.
        prefix: A directory; calls about what lies in it count.
    """

    def __init__(self, library: Path, path: Path, prefix: Path) -> None:
        path.write_bytes(bytes(ctypes.sizeof(Control)))
        with path.open("r+b") as file:
            self._control: Final = Control.from_buffer(mmap.mmap(file.fileno(), 0))
        self._library: Final = library
        self._path: Final = path
        self._control.prefix = str(prefix).encode()
        self.hurt_calls(NEVER, NEVER)

    @property
    def launcher(self) -> tuple[str, ...]:
        """Put before a command: it runs under the library."""
        env = shutil.which("env")
        assert env is not None
        return (env, f"LD_PRELOAD={self._library}", f"FAULTS_CONTROL={self._path}")

    def counts(self) -> dict[Kind, int]:
        """Tell how many calls of each kind there were since the last order."""
        return {kind: self._control.tally[kind] for kind in Kind}

    @property
    def hurt(self) -> int:
        """How many calls have gone wrong since the last order."""
        return self._control.hurt

    @property
    def scene(self) -> str:
        """The last call that went wrong: what, and on which path."""
        return self._control.scene.decode(errors="replace")

    @property
    def reuse(self) -> str:
        """A descriptor that was written or synced after that had failed; ``""``: none."""
        return self._control.reuse.decode(errors="replace")

    def hurt_calls(
        self,
        first: int,
        last: int = ALWAYS,
        *,
        manner: Manner = Manner.REFUSED,
        error: int = errno.EIO,
        kinds: frozenset[Kind] = ALL_KINDS,
        part: str = "",
    ) -> None:
        """Have calls go wrong, counted anew from 1.

        Args:
            first: The first; ``NEVER`` with *last*: count only.
            last: The last.
            manner: How.
            error: The ``errno``, where it says that it failed.
            kinds: Which calls are counted.
            part: What must stand in the path of a call that is counted.
        """
        control = self._control
        control.last = NEVER  # from here on the process is left alone, and late calls go on
        control.kinds = sum(1 << kind for kind in kinds)
        control.part = part.encode()
        control.manner, control.error, control.hang_ms = manner, error, HANG_MAX_MS
        control.calls = control.hurt = 0
        ctypes.memset(control.tally, 0, ctypes.sizeof(control.tally))
        control.first, control.last = first, last

    def slow_down(self, ms: int) -> None:
        """Have every write wait so long before it is begun."""
        self.hurt_calls(1, manner=Manner.LATE, kinds=WRITES)
        self._control.hang_ms = ms

    def spare(self) -> None:
        """Let all go right from now on; calls that hang come back."""
        self._control.last = NEVER

    def lie_about_syncs(self, *, is_lying: bool) -> None:
        """Have every sync succeed without syncing, for descriptors opened from now on."""
        self._control.lies = is_lying

    def shift_clock(self, seconds: float) -> None:
        """Put the wall clock off by *seconds*, counted from the true time."""
        self._control.shift_ns = round(seconds * NS_PER_S)


def missing() -> str:
    """Say what this machine lacks for it; ``""``: nothing."""
    return "" if shutil.which("cc") else "no C compiler (cc)"


def build(room: Path) -> Path:
    """Compile the library into *room*.

    Raises:
        CalledProcessError: It does not compile here.
    """
    library = room / "preload.so"
    subprocess.run(["cc", *FLAGS, "-o", str(library), str(SOURCE), "-ldl"], check=True)  # noqa: S607  # cc is what cc means here
    return library
