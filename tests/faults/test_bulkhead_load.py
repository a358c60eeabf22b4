"""The clients: who is not answered says less, and who waits uses no processor."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

import pytest
from typing_extensions import override

from tests.faults.bulkhead_load import CONNECTIONS, Conversation, Heard

ACCEPTED = b'{"accepted":1,"duplicate":0,"refused":[]}'
MS = 1_000_000


class Gate(ThreadingHTTPServer):
    """Accepts whatever it is told; but of strangers nothing while it is shut.

    Attributes:
        is_open: Set while strangers are answered.
        heard: Of whom it has read a request, in order.
    """

    daemon_threads = True
    request_queue_size = 64  # all that connect at once; one more would wait for a second

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Door)
        self.is_open = threading.Event()
        self.heard: list[str] = []


class Door(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer, at once or when the gate is open."""
        gate = cast("Gate", self.server)
        voice = self.path[1:]
        gate.heard.append(voice)
        if gate.heard.count("game") == LAST:
            gate.is_open.set()
        if voice == "stranger":
            gate.is_open.wait()
        self.send_response(202)
        self.send_header("content-length", str(len(ACCEPTED)))
        self.end_headers()
        self.wfile.write(ACCEPTED)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


LAST = 30
"""Of the requests of ``game``: when that was read, the strangers are answered."""


@contextlib.contextmanager
def gate() -> Generator[Gate]:
    """Run one."""
    server = Gate()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.is_open.set()
        server.shutdown()
        thread.join()
        server.server_close()


def due(voice: str, *dues_ms: int) -> deque[tuple[int, bytes]]:
    """Requests of one voice, due then."""
    request = f"POST /{voice} HTTP/1.1\r\ncontent-length: 0\r\n\r\n".encode()
    return deque((at * MS, request) for at in dues_ms)


def hold(server: Gate, unheard: str, **waiting: deque[tuple[int, bytes]]) -> dict[str, Heard]:
    """Have all of it said within a tenth of a second."""
    address = cast("tuple[str, int]", server.server_address)
    with Conversation(address, waiting) as conversation:
        return conversation.hold(time.perf_counter_ns(), 0.1, unheard)


def test_what_the_unheard_cannot_say_when_it_is_due_is_not_said_later() -> None:
    with gate() as server:
        heard = hold(
            server,
            "stranger",
            game=due("game", *range(0, 3 * LAST, 3)),
            stranger=due("stranger", *range(60)),
        )

    assert server.heard.count("stranger") == CONNECTIONS
    assert heard["stranger"].codes == {"accepted": CONNECTIONS}
    assert heard["game"].codes == {"accepted": LAST}


def test_what_all_others_cannot_say_when_it_is_due_is_said_later() -> None:
    with gate() as server:
        server.is_open.set()
        heard = hold(server, "stranger", game=due("game", *[0] * 5 * CONNECTIONS))

    assert heard["game"].codes == {"accepted": 5 * CONNECTIONS}


def test_who_waits_until_a_request_is_due_does_not_look_at_the_clock_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = 0
    clock = time.perf_counter_ns

    def look() -> int:
        nonlocal looks
        looks += 1
        return clock()

    with gate() as server, monkeypatch.context() as patched:
        patched.setattr(time, "perf_counter_ns", look)
        hold(server, "", game=due("game", 30, 60, 90))

    # Two a turn; a request is sent in one, and its answer read in another, be it in two parts.
    assert looks < 50
