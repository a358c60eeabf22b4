"""``origin_client.http_line``: an answer or a cause, in time, whatever the other side does."""

import contextlib
import socket
import threading
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from hypothesis import example, given, settings, strategies as st
from typing_extensions import override

from origin_client import http_line
from origin_client.http_answer import Answer, objection
from origin_client.http_line import ANSWER_BYTES_MAX, Line
from origin_client.http_settings import HttpOptions, read_address
from origin_client.origin import OriginUnavailable
from tests.fakes_http_origin import CONTENT_TYPE, Receiver, Reply, always, receiver
from tests.fakes_keys import hang, raw
from tests.kafka.certificates import issue

TARGET = "/in/edge.bet.v1"
HEADERS = {"Content-Type": CONTENT_TYPE}
BODY = b'[{"specversion":"1.0"}]'
Where: TypeAlias = Callable[[], contextlib.AbstractContextManager[str]]

TEN_MINUTES_S = 600.0
SOON_S = 0.2


@contextlib.contextmanager
def line_to(
    url: str, timeout_s: float = TEN_MINUTES_S, ca_file: Path | None = None
) -> Generator[Line]:
    options = HttpOptions(timeout_s, ca_file=None if ca_file is None else str(ca_file))
    line = Line(read_address(url), options)
    try:
        yield line
    finally:
        line.close()


def post(line: Line, body: bytes = BODY) -> Answer:
    return line.post(TARGET, HEADERS, body)


@contextlib.contextmanager
def deaf() -> Generator[str]:
    """Listen where connections are made and nobody ever takes one; yields the authority."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def unreachable() -> Generator[str]:
    """Listen where no connection is ever made, the queue being full; yields the authority."""
    with (
        socket.create_server(("127.0.0.1", 0), backlog=0) as listener,
        contextlib.ExitStack() as s,
    ):
        address = listener.getsockname()
        for _ in range(8):
            queued = s.enter_context(socket.socket())
            queued.setblocking(False)
            queued.connect_ex(address)
        yield f"127.0.0.1:{address[1]}"


@contextlib.contextmanager
def without_tls() -> Generator[str]:
    """Answer whatever comes in plain text; yields the authority."""

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


@pytest.fixture(scope="module")
def there() -> Generator[Receiver]:
    """One receiver for many connections."""
    with receiver() as running:
        yield running


def descriptors() -> int:
    """How many are open."""
    return len(list(Path("/proc/self/fd").iterdir()))


WAITS = pytest.mark.parametrize(
    ("scheme", "where", "body"),
    [
        ("http", unreachable, BODY),
        ("https", unreachable, BODY),
        ("https", deaf, BODY),
        ("http", deaf, BODY),
        ("http", deaf, b"x" * (16 << 20)),
    ],
    ids=["connecting", "connecting-tls", "shaking-hands", "receiving", "sending"],
)


@WAITS
def test_whatever_it_waits_for_the_deadline_ends_it(
    scheme: str, where: Where, body: bytes
) -> None:
    with (
        where() as authority,
        line_to(f"{scheme}://{authority}", SOON_S) as line,
        pytest.raises(OriginUnavailable, match="does not answer in time"),
    ):
        post(line, body)


@WAITS
def test_whatever_it_waits_for_closing_ends_it(scheme: str, where: Where, body: bytes) -> None:
    with where() as authority, line_to(f"{scheme}://{authority}") as line:
        soon = threading.Timer(SOON_S, line.close)
        soon.start()
        with pytest.raises(OriginUnavailable, match="closed"):
            post(line, body)
        soon.join()


def test_a_closed_line_sends_nothing() -> None:
    with receiver() as there, line_to(there.url) as line:
        line.close()
        with pytest.raises(OriginUnavailable, match="closed"):
            post(line)

    assert there.requests == []


def test_a_line_that_was_cut_works_again() -> None:
    with receiver(always(hang)) as there, line_to(there.url, SOON_S) as line:
        with pytest.raises(OriginUnavailable):
            post(line)
        there.script = always(Reply(200, b"here", {"Retry-After": "3"}))

        assert post(line) == post(line) == Answer(200, "3", b"here")
    assert there.connections == 2


@contextlib.contextmanager
def breaking_off() -> Generator[str]:
    """Begin an answer that only hanging up would end, and do not; yields the authority."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as kept:

        def answer() -> None:
            connection = kept.enter_context(listener.accept()[0])
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nthe beg")

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def test_an_answer_that_the_deadline_cut_short_is_none() -> None:
    with (
        breaking_off() as authority,
        line_to(f"http://{authority}", SOON_S) as line,
        pytest.raises(OriginUnavailable, match="does not answer in time"),
    ):
        post(line)


class JustFired(threading.Timer):
    """Fires as it is cancelled, and is done only when somebody waits for its end."""

    def __init__(self, interval: float, function: Callable[[], None]) -> None:
        super().__init__(interval, function)
        self._awaited = threading.Event()

    @override
    def cancel(self) -> None:
        """Come too late."""

    @override
    def run(self) -> None:
        self._awaited.wait()
        self.function()

    @override
    def join(self, timeout: float | None = None) -> None:
        self._awaited.set()
        super().join(timeout)


def test_a_deadline_that_comes_with_the_answer_cuts_no_later_request(
    there: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    there.script = always(Reply(200, b"here"))
    with line_to(there.url) as line:
        with monkeypatch.context() as late:
            late.setattr(threading, "Timer", JustFired)
            with pytest.raises(OriginUnavailable, match="does not answer in time"):
                post(line)

        assert post(line).status == 200


@pytest.mark.parametrize(
    ("surplus", "connections"),
    [(0, 1), (1 << 20, 2)],
    ids=["full", "too long"],
)
def test_no_more_of_an_answer_is_read_than_wanted(surplus: int, connections: int) -> None:
    long = Reply(400, b"x" * (ANSWER_BYTES_MAX + surplus))
    with receiver(always(long)) as there, line_to(there.url) as line:
        for _ in range(2):
            answer = post(line)
            assert (answer.status, set(answer.body)) == (400, set(b"x"))
            assert len(answer.body) - ANSWER_BYTES_MAX in {0, 1}

    assert there.connections == connections


@contextlib.contextmanager
def answering(answer: bytes, *, read_bytes: int, stays: bool) -> Generator[str]:
    """Answer once that many bytes were read; hang up or begin to drip; yields the authority."""
    over = threading.Event()

    def say() -> None:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(OSError):
            left = read_bytes
            while left > 0 and (part := connection.recv(left)):
                left -= len(part)
            connection.sendall(answer)
            while stays and not over.wait(0.02):
                connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # for what it accepts
        thread = threading.Thread(target=say)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
BEYOND_BUFFERS_BYTES: Final = 64 << 20
WITHIN_BUFFERS_BYTES: Final = 100_000


def test_who_hangs_up_before_all_was_sent_has_taken_nothing() -> None:
    with (
        answering(OK, read_bytes=300, stays=False) as authority,
        line_to(f"http://{authority}") as line,
        pytest.raises(OriginUnavailable, match="broke"),
    ):
        post(line, bytes(BEYOND_BUFFERS_BYTES))


def test_what_could_not_be_written_was_not_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was written has arrived: the connection broke between head and body."""

    def break_at_body(connection: socket.socket, part: bytes) -> None:
        if part == BODY:
            raise BrokenPipeError
        assert connection.send(part) == len(part)

    monkeypatch.setattr(socket.socket, "sendall", break_at_body)
    with (
        answering(OK, read_bytes=100, stays=True) as authority,
        line_to(f"http://{authority}") as line,
        pytest.raises(OriginUnavailable, match="it took what it had not received"),
    ):
        post(line)


def test_what_still_waits_in_our_own_system_was_not_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    room = (socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * WITHIN_BUFFERS_BYTES)
    monkeypatch.setattr(http_line, "_SOCKET_OPTIONS", [room])
    with (
        answering(OK, read_bytes=300, stays=True) as authority,
        line_to(f"http://{authority}") as line,
        pytest.raises(OriginUnavailable, match="it took what it had not received"),
    ):
        post(line, bytes(WITHIN_BUFFERS_BYTES))


def test_an_objection_to_what_was_not_read_counts() -> None:
    with (
        answering(OK.replace(b"200 OK", b"413 No"), read_bytes=300, stays=False) as authority,
        line_to(f"http://{authority}") as line,
    ):
        assert post(line, bytes(BEYOND_BUFFERS_BYTES)).status == 413


@pytest.mark.parametrize("last", [b"", b"Connection: close\r\n"])
def test_an_answer_that_drips_until_it_hangs_up_ends_at_the_deadline(last: bytes) -> None:
    """The library closes its descriptor before such an answer is read."""
    with (
        answering(
            b"HTTP/1.1 200 OK\r\n%s\r\n" % last, read_bytes=len(BODY), stays=True
        ) as authority,
        line_to(f"http://{authority}", SOON_S) as line,
        pytest.raises(OriginUnavailable, match="does not answer in time"),
    ):
        post(line)


def test_an_acknowledgement_is_read_to_its_end_or_is_none() -> None:
    verbose = Reply(200, b"x" * http_line.ACKNOWLEDGEMENT_BYTES_MAX)
    with receiver(always(verbose)) as there, line_to(there.url) as line:
        assert post(line).status == 200
        there.script = always(Reply(200, verbose.body + b"x"))
        with pytest.raises(OriginUnavailable, match="answers more than"):
            post(line)


@pytest.mark.parametrize(
    "answer",
    [
        b"-ERR unknown: canary\r\n\r\n",
        b"HTTP/1.1 canary\r\n\r\n",
        b"HTTP/9.canary 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncanary\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: canary\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://canary:canary/\r\n\r\n",
        b"HTTP/1.1 500 canary\r\n\r\ncanary",
    ],
)
def test_no_cause_and_no_log_repeats_what_the_receiver_says(
    there: Receiver, answer: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    there.script = always(raw(answer))
    said = ""
    with line_to(there.url) as line:
        try:
            objection(post(line), None)
        except OriginUnavailable as error:
            said = str(error)

    assert said
    assert "canary" not in said + caplog.text


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, Callable[[], list[str]]]:
    """A name server of the test's own: what it answers, addresses with their ports, by name."""
    answers: dict[str, Callable[[], list[str]]] = {}

    def resolve(host: str, _: int, **__: object) -> list[tuple[object, ...]]:
        places = [authority.split(":") for authority in answers[host]()]
        kind = socket.SOCK_STREAM
        return [(socket.AF_INET, kind, 0, "", (ip, int(port))) for ip, port in places]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return answers


def authority_of(there: Receiver) -> str:
    return there.url.removeprefix("http://").removesuffix("/in")


def test_the_next_address_of_a_name_is_tried_long_before_the_deadline(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, Callable[[], list[str]]]
) -> None:
    monkeypatch.setattr(http_line, "CONNECT_S", SOON_S)
    with unreachable() as dead, receiver() as there, line_to("http://localhost") as line:
        names["localhost"] = lambda: [dead]
        with pytest.raises(OriginUnavailable, match=r"cannot be reached .timed out"):
            post(line)
        names["localhost"] = lambda: [dead, authority_of(there)]

        assert post(line).status == 204
        there.complaints.clear()  # of a name it does not know


def test_a_line_closed_while_a_name_is_looked_up_connects_nowhere(
    names: dict[str, Callable[[], list[str]]],
) -> None:
    with receiver() as there, line_to("http://localhost") as line:

        def late() -> list[str]:
            line.close()
            return [authority_of(there)]

        names["localhost"] = late
        with pytest.raises(OriginUnavailable, match="closed"):
            post(line)

    assert there.connections == 0


def test_a_port_without_tls_is_told_from_a_certificate_without_trust() -> None:
    with (
        without_tls() as authority,
        line_to(f"https://{authority}") as line,
        pytest.raises(OriginUnavailable, match="there is no TLS with the receiver"),
    ):
        post(line)


def test_a_certificate_for_another_host_is_not_trusted(tmp_path: Path) -> None:
    certificates, ca = issue("ours"), tmp_path / "ca.pem"
    ca.write_text(certificates.authority)
    with (
        receiver(certificates=certificates, host="127.0.0.2") as there,
        line_to(there.url, ca_file=ca) as line,
        pytest.raises(OriginUnavailable, match=r"not trusted .*127\.0\.0\.2"),
    ):
        post(line)


def test_a_file_that_holds_no_authority_is_named(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text("nothing")
    with (
        receiver(certificates=issue("ours")) as there,
        line_to(there.url, ca_file=ca) as line,
        pytest.raises(OriginUnavailable, match="ca_file"),
    ):
        post(line)


def test_trouble_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_text(issue("another").authority)
    with receiver(certificates=issue("ours")) as there:
        before = descriptors()
        for _ in range(3):
            with line_to(there.url, ca_file=ca) as line, pytest.raises(OriginUnavailable):
                post(line)
    with deaf() as authority:
        for _ in range(3):
            with line_to(f"http://{authority}", 0.1) as line, pytest.raises(OriginUnavailable):
                post(line)

    assert descriptors() <= before


def test_a_closed_line_keeps_no_descriptor() -> None:
    before = descriptors()
    with receiver() as there, line_to(there.url) as line:
        post(line)
        line.close()

    assert descriptors() <= before
    del line  # until here it is alive, or the collector would do its work


@settings(max_examples=60)  # a connection each
@given(
    answer=st.binary(max_size=200) | st.binary(max_size=80).map(lambda end: b"HTTP/1.1 " + end)
)
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 5, 6\r\n\r\nhello")
@example(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello")
@example(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nhello")
@example(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nhello")
@example(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n")
@example(b"HTTP/1.1 100 Continue\r\n\r\n" * 5)
@example(b"HTTP/1.1 99999999999 OK\r\n\r\n")
@example(b"HTTP/1.1 302 \r\nLocation: \xff://\r\n\r\n")
@example(b"HTTP/1.1 200 " + b"x" * 70_000)
@example(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n")
def test_any_bytes_are_an_answer_or_a_cause(there: Receiver, answer: bytes) -> None:
    there.script = always(raw(answer))
    with line_to(there.url) as line, contextlib.suppress(OriginUnavailable):
        assert 100 <= post(line).status <= 999
