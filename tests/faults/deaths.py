"""Ends that come from outside while a gateway starts, or a moment later.

In: a gateway that is about to start, and when it is to die; out: whether it did, for who asks its
exit code. Owns the one timer of such a death: none of them hits who comes after.
"""

import contextlib
import threading
from collections.abc import Generator
from typing import Final

from edge.demo.gateway import Gateway
from tests.faults import faults

KILLED: Final = -9  # what subprocess calls the exit code of SIGKILL


@contextlib.contextmanager
def killed_after(gateway: Gateway, delay_s: float) -> Generator[None]:
    """Kill what runs then, so long after now; on return that is over, or it ended before."""
    killer = threading.Timer(delay_s, _kill_if_there, [gateway])
    killer.start()
    try:
        yield
    finally:
        if gateway.process is None:
            killer.cancel()
        killer.join()


def _kill_if_there(gateway: Gateway) -> None:
    process = gateway.process
    if process is not None and process.poll() is None:  # else its number may be another's
        faults.kill(process.pid)
