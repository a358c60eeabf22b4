"""One connection that never blocks: a request out, an answer in.

Owns the socket. Whoever polls it says when it may write or read.
"""

import contextlib
import errno
import os
import socket
from typing import Final

from tests.faults.ledger.ruling import Answer, parse
from tests.faults.ledger.shape import Address

READ_BYTES: Final = 1 << 16  # an answer with two hundred refusals is 30 KiB
_UNDER_WAY: Final = frozenset({0, errno.EINPROGRESS})


class Line:
    """A connection that is made while its first request waits.

    Attributes:
        has_sent: Whether the server may have seen some of the request.

    Raises:
        OSError: Nobody listens.
    """

    __slots__ = ("_out", "_received", "_sock", "has_sent")

    def __init__(self, address: Address) -> None:
        self._sock = socket.socket()
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._out = memoryview(b"")
        self._received = b""
        self.has_sent = False
        code = self._sock.connect_ex(address)
        if code not in _UNDER_WAY:
            self._sock.close()
            raise OSError(code, os.strerror(code))

    def fileno(self) -> int:
        """The descriptor to poll."""
        return self._sock.fileno()

    @property
    def is_writing(self) -> bool:
        """Whether some of the request is still to go out."""
        return bool(self._out)

    def put(self, request: bytes) -> None:
        """Take the next request; the last one has its answer."""
        self._out, self._received, self.has_sent = memoryview(request), b"", False

    def write(self) -> bool:
        """Send what the kernel takes now; return whether that was all.

        Raises:
            ConnectionRefusedError: Nobody listens.
            OSError: The connection was not made.
        """
        try:
            sent = self._sock.send(self._out)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionResetError):
            # A server may answer before it has read everything: what came decides.
            sent = len(self._out)
        self._out, self.has_sent = self._out[sent:], True
        return not self._out

    def read(self) -> Answer | None:
        """Read what is there; ``None`` while more is to come.

        Raises:
            OSError: The connection ended.
            ValueError: It is no HTTP answer.
        """
        try:
            chunk = self._sock.recv(READ_BYTES)
        except BlockingIOError:
            return None
        if not chunk:
            raise ConnectionResetError("the server hung up")
        self._received += chunk
        return parse(self._received)

    def close(self) -> None:
        """Hang up."""
        with contextlib.suppress(OSError):
            self._sock.close()
