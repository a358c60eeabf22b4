"""A client that sends whatever bytes it is told, and reads answers one by one."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, cast

# Twice the longest a sync may take (``spool.sync_timeout_s``, 5 s).
TIMEOUT_S: Final = 10.0
READ_BYTES: Final = 65_536


class NoAnswerError(Exception):
    """The peer hung up before its answer was complete."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer.

    Attributes:
        status: HTTP status.
        headers: Lower-case names, in order of arrival; several values are joined by ", ".
        body: Whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, object]:
        """The body, which is a JSON object."""
        return cast("dict[str, object]", json.loads(self.body))

    @property
    def counts(self) -> tuple[object, object]:
        """Accepted and duplicate."""
        return self.json["accepted"], self.json["duplicate"]

    @property
    def refusals(self) -> list[tuple[object, object, object]]:
        """Index, code and pointer of each refused event."""
        refused = cast("list[dict[str, object]]", self.json["refused"])
        return [(each["index"], each["code"], each["pointer"]) for each in refused]


class Line:
    """One TCP connection; a context manager."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket = socket.create_connection(address, TIMEOUT_S)
        self._unread = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def fileno(self) -> int:
        """The socket's descriptor, for ``select``."""
        return self._socket.fileno()

    def send(self, octets: bytes) -> None:
        """Send *octets* as they are.

        Raises:
            OSError: Nobody listens any more.
        """
        self._socket.sendall(octets)

    def post(self, body: bytes, headers: Mapping[str, str], target: str = "/v1/events") -> None:
        """Send one POST with its length; *headers* win over nothing: only ``host`` is added."""
        lines = [f"POST {target} HTTP/1.1", "host: {}:{}".format(*self._address)]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"content-length: {len(body)}", "", ""]
        self.send("\r\n".join(lines).encode("latin-1") + body)

    def answer(self) -> Answer:
        """Read one answer; interim ones (1xx) are skipped.

        Raises:
            NoAnswerError: The peer hung up first.
            TimeoutError: It neither answers nor hangs up.
        """
        while True:
            head = self._until(b"\r\n\r\n").decode("latin-1")
            first, *lines = head[:-4].split("\r\n")
            status = int(first.split(" ")[1])
            if status >= 200:
                break
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            known = headers.get(name.lower())
            headers[name.lower()] = f"{known}, {value.strip()}" if known else value.strip()
        length = int(headers.get("content-length", "0"))
        return Answer(status, headers, self._exactly(length))

    def wait_for_end(self) -> bytes:
        """Read until the peer hangs up; return what came before that.

        Raises:
            TimeoutError: It does not.
        """
        try:
            while octets := self._socket.recv(READ_BYTES):
                self._unread += octets
        except ConnectionResetError:
            pass  # what it did not read of us, it resets; closed all the same
        return self._unread

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._unread:
            self._more()
        end = self._unread.index(mark) + len(mark)
        found, self._unread = self._unread[:end], self._unread[end:]
        return found

    def _exactly(self, count: int) -> bytes:
        while len(self._unread) < count:
            self._more()
        found, self._unread = self._unread[:count], self._unread[count:]
        return found

    def _more(self) -> None:
        try:
            octets = self._socket.recv(READ_BYTES)
        except ConnectionResetError as reset:
            raise NoAnswerError from reset
        if not octets:
            raise NoAnswerError
        self._unread += octets
