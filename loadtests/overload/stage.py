"""A gateway on one core and a generator on another, and what the origin's log says behind them.

Owns the two processes and what they leave in the room.
"""

import contextlib
import os
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from loadtests.bench.__main__ import split_cores
from loadtests.bench.generator import started
from loadtests.bench.subjects import Subject, Wanted, gateway, on_cores
from loadtests.overload import generator
from loadtests.overload.audit import audit
from loadtests.overload.conductor import Conductor
from loadtests.overload.phases import MEMORY_MAX_BYTES

PLAYERS: Final = 2_000  # far above the connections: one's next event overtakes none before it


@dataclass(frozen=True, slots=True)
class Stage:
    """What runs.

    Attributes:
        room: Where the gateway's spool and the origin's log lie.
        gateway: Has nothing else to do.
        conductor: The generator, whose tokens the gateway believes.
    """

    room: Path
    gateway: Subject
    conductor: Conductor

    def settle(self) -> tuple[int, list[str]]:
        """Wait until all is at the origin; return how many events were accepted, and faults.

        Raises:
            SubjectError: The gateway does not forward what it accepted.
            GeneratorError: The generator ended.
        """
        self.gateway.cpu_when_forwarded_ns()
        accepted = self.room / "accepted"
        return self.conductor.list_accepted(accepted), audit(self.room / "origin", accepted)


@contextlib.contextmanager
def stage(room: Path) -> Generator[Stage, None, None]:
    """Have both run in *room*, an empty directory.

    Raises:
        SubjectError: The gateway does not start.
        GeneratorError: The generator does not.
    """
    servers, load = split_cores(os.sched_getaffinity(0))
    with (
        on_cores(load),
        started(generator.__name__, PLAYERS, Conductor) as conductor,
        gateway(
            Wanted("gateway", conductor.jwks, memory_max=MEMORY_MAX_BYTES), room, servers
        ) as subject,
    ):
        yield Stage(room, subject, conductor)
