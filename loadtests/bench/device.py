"""What the disk alone takes: a small append and its fdatasync, again and again."""

import os
import time
from pathlib import Path
from typing import Final

APPEND: Final = bytes(4096)  # one page: a group commit of a handful of events


def sync_latencies(room: Path, count: int) -> list[int]:
    """Append to a file in *room* and sync it *count* times; return what each took, ns.

    Raises:
        OSError: The disk does not take it.
    """
    path = room / "device-probe"
    latencies_ns: list[int] = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        for _ in range(count):
            began_ns = time.perf_counter_ns()
            os.write(descriptor, APPEND)
            os.fdatasync(descriptor)
            latencies_ns.append(time.perf_counter_ns() - began_ns)
    finally:
        os.close(descriptor)
        path.unlink()
    return latencies_ns
