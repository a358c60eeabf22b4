"""A key server with moods, for whatever fetches from one: real sockets on loopback."""

import contextlib
import socket
import threading
from collections.abc import Callable, Generator
from typing import Final, TypeAlias

Script: TypeAlias = Callable[[socket.socket], None]
"""What the server does with a connection whose request it has read."""

_PATIENCE_S: Final = 5.0
"""A script that waits for a client to give up waits no longer than this."""


class KeyServer:
    """Answers each connection as its *script* says; counts them.

    Attributes:
        script: Changed at will while it runs.
        requests: Every request head read so far.
        url: Where it listens.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/jwks.json"
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def close(self) -> None:
        """Stop listening, and wait until every connection is done."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # the listener was closed
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._answer, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _answer(self, connection: socket.socket) -> None:
        connection.settimeout(_PATIENCE_S)
        with connection, contextlib.suppress(OSError):  # the client gave up, as it should
            head = b""
            while b"\r\n\r\n" not in head:
                head += connection.recv(4096)
            self.requests.append(head)
            self.script(connection)


@contextlib.contextmanager
def key_server(script: Script) -> Generator[KeyServer]:
    """Run a key server that begins with *script*."""
    server = KeyServer(script)
    try:
        yield server
    finally:
        server.close()


def reply(body: bytes, *, status: str = "200 OK", head: str = "") -> Script:
    """Answer at once and close; *head* is more header lines, each ended."""

    def script(connection: socket.socket) -> None:
        length = f"Content-Length: {len(body)}\r\n"
        start = f"HTTP/1.1 {status}\r\n{length}{head}\r\n"
        connection.sendall(start.encode("ascii") + body)

    return script


def raw(answer: bytes) -> Script:
    """Write these bytes and close."""

    def script(connection: socket.socket) -> None:
        connection.sendall(answer)

    return script


def hang(connection: socket.socket) -> None:
    """Say nothing until the client gives up."""
    connection.recv(1)


def drip(body: bytes, *, pause_s: float) -> Script:
    """Answer one byte at a time: each comes in time, all together never."""

    def script(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
        connection.settimeout(pause_s)
        for octet in body:
            connection.sendall(bytes([octet]))
            with contextlib.suppress(TimeoutError):
                if not connection.recv(1):
                    return

    return script


def drip_head(*, pause_s: float) -> Script:
    """Never finish the head of the answer."""

    def script(connection: socket.socket) -> None:
        connection.settimeout(pause_s)
        connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
        while True:
            connection.sendall(b"x")
            with contextlib.suppress(TimeoutError):
                if not connection.recv(1):
                    return

    return script
