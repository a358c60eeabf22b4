"""System calls of a process and all its threads, in the order in which they happened.

In: what ``strace -f -y -o FILE`` wrote; out: calls with their beginning and their end. A tracer
lets no thread go on before it has written down what the thread did, so whatever one thread did
because of another stands behind it.

Source: strace(1), options -D, -f, -y, -s, --inject.
"""

import ast
import re
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STRING_BYTES: Final = 1 << 16  # a commit of the stories is a few KiB
TRACED: Final = (
    "openat,close,read,write,pwrite64,writev,sendto,sendmsg,fsync,fdatasync,rename,unlink"
)
END_S: Final = 5.0  # strace is at most some thousand lines behind
POLL_S: Final = 0.01
_LINE: Final = re.compile(r"(\d+) +(.*)", re.DOTALL)
_BEGUN: Final = re.compile(r"(.*) <unfinished \.\.\.>")
_RESUMED: Final = re.compile(r"<\.\.\. \w+ resumed>(.*)", re.DOTALL)
_WHOLE: Final = re.compile(r"(\w+)\((.*)\) += (-?\d+)(.*)", re.DOTALL)
_DESCRIPTOR: Final = re.compile(r"(\d+)<(.*?)>")
_STRING: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')
_SYNCED: Final = re.compile(r"\bO_D?SYNC\b")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call.

    Attributes:
        name: As strace writes it.
        arguments: As strace writes them.
        result: What it returned; -1: it failed.
        began: Its place in the order of all beginnings and ends.
        ended: Likewise.
        remark: What follows the result: the error, and ``(INJECTED)``.
    """

    name: str
    arguments: str
    result: int
    began: int
    ended: int
    remark: str = ""

    @property
    def descriptor(self) -> int:
        """The one it works on; -1: none."""
        found = _DESCRIPTOR.match(self.arguments)
        return int(found[1]) if found else -1

    @property
    def path(self) -> str:
        """Of its descriptor, else the last path that it was given."""
        found = _DESCRIPTOR.match(self.arguments)
        return found[2] if found else self.strings[-1].decode()

    @property
    def strings(self) -> list[bytes]:
        """What it was given, or has read, between quotation marks."""
        found = _STRING.findall(self.arguments)
        return [ast.literal_eval(f'b"{text}"') for text in found]

    @property
    def is_synced(self) -> bool:
        """Whether what it opens is synced by each write."""
        return self.name == "openat" and _SYNCED.search(self.arguments) is not None


class Calls:
    """All calls of one trace."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._calls: Final = sorted(_calls(lines), key=lambda call: call.began)

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    def named(self, *names: str) -> Iterator[Call]:
        """Yield the calls of these names, in the order in which they began."""
        return (call for call in self._calls if call.name in names)

    def durable_at(self, write: Call) -> int | None:
        """Tell by when what *write* wrote was on stable storage; ``None``: never for sure.

        That is its own end where the descriptor was opened with ``O_DSYNC``, which makes one
        call of ``write`` and ``fdatasync``; else the end of the next sync of that descriptor.
        """
        if write.result < 0:
            return None
        opened = [
            call
            for call in self.named("openat")
            if call.result == write.descriptor and call.ended < write.began
        ]
        if opened and opened[-1].is_synced:
            return write.ended
        return self.synced_at(write)

    def synced_at(self, after: Call) -> int | None:
        """Tell when the next sync of the descriptor that *after* works on had ended well."""
        for call in self.until_closed(after):
            if call.name in ("fsync", "fdatasync") and call.result == 0:
                return call.ended
        return None

    def until_closed(self, after: Call) -> list[Call]:
        """Return what was done later with the descriptor that *after* works on.

        The last one is its close, if it came: from then on the number is another file's.
        """
        found: list[Call] = []
        for call in self._calls:
            if call.began > after.ended and call.descriptor == after.descriptor:
                found.append(call)
                if call.name == "close":
                    break
        return found


def missing() -> str:
    """Say what this machine lacks for it; ``""``: nothing."""
    return "" if shutil.which("strace") else "no strace"


def tracer(trace: Path, *more: str) -> tuple[str, ...]:
    """Put before a command: what it does is written to *trace*.

    The command stays our child, and strace its grandchild (``-D``), so signals and exit codes
    are those of the command.
    """
    strace = shutil.which("strace")
    assert strace is not None
    options = ("-D", "-f", "-y", "-s", str(STRING_BYTES), "-e", f"trace={TRACED}", *more)
    return (strace, *options, "-o", str(trace))


def read(trace: Path) -> Calls:
    """Read the trace of a process that has ended, as soon as strace has written all of it."""
    end_s = time.monotonic() + END_S
    while not _is_whole(text := trace.read_text("latin-1")):
        assert time.monotonic() < end_s, "strace does not come to its end"
        time.sleep(POLL_S)
    return Calls(text.splitlines())


def _is_whole(text: str) -> bool:
    """Whether the end of every thread that did anything is written down."""
    threads = set(re.findall(r"^\d+", text, re.MULTILINE))
    return bool(threads) and threads == set(re.findall(r"^(\d+) +\+\+\+ ", text, re.MULTILINE))


def _calls(lines: Iterable[str]) -> Iterator[Call]:
    begun: dict[str, tuple[int, str]] = {}
    for at, line in enumerate(lines):
        found = _LINE.fullmatch(line.rstrip("\n"))
        if found is None:
            continue
        thread, text = found.groups()
        began = at
        if first := _BEGUN.fullmatch(text):
            begun[thread] = at, first[1]
            continue
        if rest := _RESUMED.fullmatch(text):
            began, head = begun.pop(thread)
            text = head + rest[1]
        if whole := _WHOLE.fullmatch(text):
            yield Call(whole[1], whole[2], int(whole[3]), began, at, whole[4].strip())
