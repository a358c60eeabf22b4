"""One answer read from a socket, or word that it is not a whole one.

In go the bytes of a receiver; out comes an answer whose every line and length has been there.
``http.client`` takes the end of the stream for the end of the head, and a length that is no
number for none: good enough for a browser, but here a 2xx lets what it acknowledges be deleted.

Source: RFC 9112 §6.3, §8 (incomplete messages); RFC 9110 §15.2 (interim answers).
"""

import re
import socket
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse
from io import BufferedReader
from typing import Any, Final

from typing_extensions import override

_LENGTH: Final = re.compile("[0-9]{1,18}")  # what 64 bits hold
_INTERIM: Final = range(HTTPStatus.PROCESSING, HTTPStatus.OK)  # 100 is passed over before


class IncompleteAnswer(HTTPException):  # named as what http.client raises
    """What came is no whole answer; the message says why, and repeats none of it."""


class WholeResponse(HTTPResponse):
    """An answer whose head is well-formed and ends."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = _Lines(self.fp.detach())

    @override
    def begin(self) -> None:
        """Read the head of the final answer; the deadline bounds how many come before it.

        Raises:
            HTTPException: There is none.
        """
        super().begin()
        while self.status in _INTERIM:
            self.headers = None  # type: ignore[assignment]  # "not read": it reads the next
            super().begin()
        if self.headers.defects or self.headers.get_payload():
            raise IncompleteAnswer("its head is not HTTP")
        lengths = self.headers.get_all("Content-Length", [])
        if len(lengths) > 1 or not all(_LENGTH.fullmatch(each.strip()) for each in lengths):
            raise IncompleteAnswer("the length it gives is none")


class _Lines(BufferedReader):
    """A stream whose lines all end."""

    @override
    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line.endswith(b"\n") and len(line) != size:
            raise IncompleteAnswer("it hung up before the end of its answer")
        return line
