"""A gateway that is none: remembers ids, answers per contract, and misbehaves when it is told to."""

import contextlib
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from typing_extensions import override

POLL_S = 0.01  # how long its end is waited for


class FakeGateway(ThreadingHTTPServer):
    """Accepts what it does not know.

    Attributes:
        events: What it accepted, in its order.
        mutes: Requests that are taken, remembered, and never answered.
        holds_back: Whether no answer goes out yet.
        puts_off: Requests that are refused whole, for the time being.
        seen: Requests by authorization, to tell who was there.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Door)
        self.events: list[dict[str, Any]] = []
        self.known: set[str] = set()
        self.mutes = 0
        self.holds_back = False
        self.puts_off = 0
        self.seen: Counter[str] = Counter()
        self.lock = threading.Lock()
        self._lines: list[socket.socket] = []

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        return "127.0.0.1", self.server_port

    def forget(self) -> None:
        """Lose what was accepted, as a gateway does that answers before its sync."""
        with self.lock:
            self.known.clear()

    def rule(self, events: list[dict[str, Any]]) -> tuple[int, int]:
        """Return how many of *events* are new, and how many were known."""
        with self.lock:
            fresh = [event for event in events if event["id"] not in self.known]
            self.known.update(event["id"] for event in fresh)
            self.events += fresh
        return len(fresh), len(events) - len(fresh)

    @override
    def get_request(self) -> tuple[socket.socket, tuple[str, int]]:
        """Remember who is connected."""
        line, address = super().get_request()
        self._lines.append(line)
        return line, address

    def hang_up(self) -> None:
        """End every connection, as the end of a process does."""
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a client that hung up."""


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        gateway = cast("FakeGateway", self.server)
        body: Any = json.loads(self.rfile.read(int(self.headers["content-length"])))
        gateway.seen[self.headers["authorization"]] += 1
        if gateway.puts_off > 0:
            gateway.puts_off -= 1
            self._answer(503, {"code": "draining"}, {"retry-after": "0"})
            return
        events = cast("list[dict[str, Any]]", body) if isinstance(body, list) else [body]
        accepted, duplicate = gateway.rule(events)
        if gateway.mutes > 0:
            gateway.mutes -= 1
            self.close_connection = True
            return
        while gateway.holds_back:
            time.sleep(POLL_S)
        verdicts: dict[str, Any] = {"accepted": accepted, "duplicate": duplicate}
        self._answer(202, verdicts | {"refused": [], "retry_after_ms": None}, {})

    def _answer(self, status: int, document: dict[str, Any], headers: dict[str, str]) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        for name, value in (headers | {"content-length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def fake_gateway(port: int = 0) -> Generator[FakeGateway]:
    """Run one; at the end nobody listens there."""
    server = FakeGateway(port)
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        server.hang_up()
