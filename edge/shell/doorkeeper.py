"""May this connection come in? One port's connections in, counted; an answer for those too many.

What a connection takes, a descriptor and memory, is just what is missing when it is refused. So
it is told at once, by one write, before a byte of it is read, and closed. Who sends a request and
then reads finds the answer, or, where the system has thrown it away with the request, a
connection that was reset.
"""

from collections import Counter
from collections.abc import Callable
from functools import cache
from http import HTTPStatus
from typing import Final

import msgspec

from edge.core.answer import problem
from edge.core.reject import Reason
from edge.shell.answers import PROBLEM_JSON

RETRY_AFTER_S: Final = 5
"""Idle connections are closed after 15 s: in between there is room again for some."""

_REASON: Final = Reason.TOO_MANY_CONNECTIONS


class Doorkeeper:
    """Keeps one port's connections countable. Loop thread.

    Args:
        is_full: Told how many there are, says whether there is no room for one more.
        refused: Where those that are turned away are counted, by code.

    Attributes:
        connections: Open now.
    """

    def __init__(self, is_full: Callable[[int], bool], refused: Counter[str]) -> None:
        self.connections = 0
        self._is_full: Final = is_full
        self._refused: Final = refused

    def let_in(self) -> bool:
        """Count one more connection, unless there is no room for it; return whether."""
        if self._is_full(self.connections):
            self._refused[_REASON.code] += 1
            return False
        self.connections += 1
        return True

    def let_out(self) -> None:
        """Uncount one that was let in."""
        self.connections -= 1


@cache
def farewell() -> bytes:
    """Write the answer to whoever is not let in: a whole one, the connection's last.

    It is one for all: no request was read, so none has an id.
    """
    body = msgspec.json.encode(problem(_REASON))
    status = HTTPStatus(_REASON.status)
    headers = (
        (b"%b: %b" % PROBLEM_JSON),
        b"content-length: %d" % len(body),
        b"retry-after: %d" % RETRY_AFTER_S,
        b"connection: close",
    )
    line = f"HTTP/1.1 {status.value} {status.phrase}".encode()
    return b"\r\n".join((line, *headers, b"", body))
