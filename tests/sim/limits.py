"""What a seed may use: one that never ends is a finding, and takes no machine with it."""

import resource
import signal
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from tests.sim.disk import Violation

MEMORY_BYTES_MAX: Final = 1 << 30
"""Of a process: 60 MB are enough for any number of seeds."""

SEED_CPU_S_MAX: Final = 60.0
"""Of a seed: most take 0.03 s. A processor's seconds, so that a busy machine is no finding."""

_AGAIN_S: Final = 1.0
"""Where what is raised is not let through (in a finalizer), it is raised once more."""


def confine() -> None:
    """Have this process run out of memory (``MemoryError``) before the machine does."""
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES_MAX, most))


@contextmanager
def allotted(cpu_s: float) -> Generator[None]:
    """Break off what takes longer, wherever it is. Main thread.

    Raises:
        Violation: It has.
    """

    def end(_signal: int, _frame: object) -> None:
        raise Violation("it does not end")

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s, _AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
