"""Whose turn it is to append to a topic: one process at a time, any number in turn.

It owns the topic's lock file. The file's lock (flock) is held for one batch; its content names
who had the last turn. So whoever comes learns by one read (1 µs) whether the topic is as it
left it, or another process appended meanwhile, and only then looks at the files anew.
"""

import errno
import fcntl
import os
import threading
from pathlib import Path
from typing import Final

from origin_client import log_layout
from origin_client.log_partition import identity
from origin_client.origin import OriginUnavailable

POLL_S: Final = 0.002  # between two looks at a lock that is held: a batch takes 1 to 3 ms
PATIENCE_S: Final = 5.0  # who holds it longer hangs, or was stopped


class Turn:
    """One writer's turns at one topic; used by one thread at a time.

    Args:
        directory: The topic's; made with the first turn, below the log's.
        name: Of the writer, unlike any other's.
    """

    def __init__(self, directory: Path, name: bytes) -> None:
        self._path = directory / log_layout.LOCK_FILE
        self._name = name
        self._fd = -1
        self._file: tuple[int, int] | None = None

    @property
    def is_open(self) -> bool:
        """Whether there was a turn, and the lock file was still there at the last one."""
        return self._fd >= 0

    def take(self, closed: threading.Event) -> bool:
        """Wait for the turn; return whether nobody else had one since our last.

        Raises:
            OriginUnavailable: *closed* was set while another process had it.
            OSError: The disk refused; another process has the turn for too long; or the lock
                file's name leads elsewhere, because the directory was removed or moved. We do
                not have the turn then, and the next call begins anew in what is there.
        """
        is_first = self._fd < 0
        if is_first:
            self._path.parent.mkdir(exist_ok=True)
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o640)
            self._file = identity(self._fd)
        tries_left = round(PATIENCE_S / POLL_S)
        while not self._try_lock():
            if closed.wait(POLL_S):
                raise OriginUnavailable("closed while another process was writing")
            tries_left -= 1
            if not tries_left:
                raise TimeoutError(f"another process has been writing for {PATIENCE_S:.0f} s")
        try:
            return self._begin(is_first=is_first)
        except BaseException:
            self.close()  # and so give up the turn: nobody else would
            raise

    def give_up(self) -> None:
        """End the turn; all that was written in it is synced or taken back."""
        fcntl.flock(self._fd, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the file; the next turn opens what has its name then."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _begin(self, *, is_first: bool) -> bool:
        if identity(self._path) != self._file:
            place = str(self._path.parent)
            raise FileNotFoundError(errno.ENOENT, "the log was removed or moved", place)
        if not is_first and os.pread(self._fd, len(self._name), 0) == self._name:
            return True
        os.pwrite(self._fd, self._name, 0)
        return False

    def _try_lock(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
