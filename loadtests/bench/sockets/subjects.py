"""The two servers: the bare echo, and a gateway whose bounds on sockets let the bench through."""

import contextlib
import resource
from collections.abc import Generator
from pathlib import Path
from typing import Final

from typing_extensions import override

from loadtests.bench.subjects import ROOT, Subject, Wanted, server

SOCKETS_MAX: Final = 20_000  # as many as any plan has, and all from one address
FRAMES_PER_S: Final = 1_000_000  # the highest there is: counted, never used up

DESCRIPTORS_BESIDE: Final = 512
"""Of a server, beside its sockets: files, and what the gateway sets aside for itself."""


class TooFewDescriptorsError(Exception):
    """The system does not let one process have so many sockets; the message says how many."""


def allow_sockets(count: int) -> None:
    """Let this process, and those that it starts, have *count* sockets each.

    Raises:
        TooFewDescriptorsError: The system allows fewer.
    """
    needed = count + DESCRIPTORS_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise TooFewDescriptorsError(
            f"{count:,} sockets take {needed:,} descriptors, and the system allows a process "
            f"{hard:,} (ulimit -Hn)"
        )
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class StreamWanted(Wanted):
    """A gateway that counts all that sockets do, and refuses none of it."""

    __slots__ = ()

    @override
    def settings(self, room: Path) -> str:
        """Write its configuration."""
        return f"""{super().settings(room)}
[stream]
frames_per_s = {FRAMES_PER_S}
events_per_s = {FRAMES_PER_S}
[limits.connections]
total = {SOCKETS_MAX}
per_address = {SOCKETS_MAX}
"""


@contextlib.contextmanager
def echo_server(room: Path, cores: frozenset[int]) -> Generator[Subject, None, None]:
    """Run :mod:`loadtests.bench.sockets.echo` on *cores*.

    Raises:
        SubjectError: It does not start.
    """
    command = ["-m", "loadtests.bench.sockets.echo"]
    with server("echo", command, room, ROOT, cores) as subject:
        yield subject
