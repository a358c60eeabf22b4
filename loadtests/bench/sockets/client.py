"""Many sockets to one server, on one poll: opened, spoken on, kept.

In: handshakes and speeches as bytes; out: what it took. A message costs 10 µs here, most of it
the system's: each is a write of its own. So a server on another core never waits for its load.
"""

import select
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from loadtests.bench.client import (
    READ_BYTES,
    SILENCE_S,
    Sent,
    WrongAnswerError,
    connect,
)
from loadtests.bench.sockets.answers import (
    Acknowledged,
    Answers,
    Echoed,
    Judged,
    check_welcome,
    wrong,
)
from loadtests.bench.sockets.frames import (
    PING,
    PONG,
    TEXT,
    behind_handshake,
    client_frame,
    server_frames,
)
from loadtests.bench.sockets.speakers import Speech, greeting

OPENED_AT_ONCE: Final = (
    8  # handshakes under way: what disturbs a machine makes no overload of it
)

_NS_PER_S: Final = 1_000_000_000


class Line:
    """One socket.

    Attributes:
        sock: The connection.
        is_open: Whether the handshake has succeeded.
        heard: Texts so far.
    """

    __slots__ = ("_received", "heard", "is_open", "sock")

    def __init__(self, address: tuple[str, int]) -> None:
        self.sock = connect(address)
        self.is_open = False
        self.heard = 0
        self._received = b""

    def send(self, octets: bytes) -> None:
        """Put *octets* on their way whole.

        Raises:
            WrongAnswerError: The server is gone, or takes nothing.
        """
        try:
            sent = self._send_now(octets)
            if sent < len(octets):
                self.sock.settimeout(SILENCE_S)
                self.sock.sendall(octets[sent:])
                self.sock.setblocking(False)
        except OSError as error:
            raise WrongAnswerError(f"the server takes nothing: {error}") from error

    def texts(self) -> list[bytes]:
        """Read what is there; answer pings.

        Raises:
            WrongAnswerError: The server hung up, or says what it should not.
        """
        try:
            chunk = self.sock.recv(READ_BYTES)
        except ConnectionError as error:
            raise WrongAnswerError(f"the connection broke: {error}") from error
        if not chunk:
            raise WrongAnswerError("the server hung up")
        received = self._received + chunk
        if not self.is_open:
            behind = behind_handshake(received)
            if behind is None:
                self._received = received
                return []
            self.is_open, received = True, behind
        frames, self._received = server_frames(received)
        texts = [payload for opcode, payload in frames if opcode == TEXT]
        self.heard += len(texts)
        if len(texts) < len(frames):
            self._answer(frames)
        return texts

    def _send_now(self, octets: bytes) -> int:
        try:
            return self.sock.send(octets)
        except BlockingIOError:
            return 0

    def _answer(self, frames: Sequence[tuple[int, bytes]]) -> None:
        for opcode, payload in frames:
            if opcode == PING:
                self.send(client_frame(PONG, payload))
            elif opcode != TEXT:
                raise WrongAnswerError(f"the server says {opcode}: {payload!r}")


class _Talk:
    """What is said on one socket, and how far it is."""

    __slots__ = ("answers", "at", "line", "wires")

    def __init__(self, line: Line, wires: Sequence[bytes], answers: Answers) -> None:
        self.line = line
        self.wires = wires
        self.answers = answers
        self.at = 0

    def speak(self, window: int) -> bool:
        """Say what may be said; return whether all is answered."""
        done, count = self.answers.done, len(self.wires)
        until = min(done + window, count)
        while self.at < until:
            self.line.send(self.wires[self.at])
            self.at += 1
        return done == count


class Sockets:
    """Sockets to one server, which whoever opens them closes.

    Args:
        address: The server's.
        is_gateway: Whether it welcomes and judges; else it sends back.
    """

    def __init__(self, address: tuple[str, int], *, is_gateway: bool) -> None:
        self._address = address
        self._is_gateway = is_gateway
        self._by_fd: dict[int, Line] = {}
        self._poll = select.epoll()

    def __len__(self) -> int:
        return len(self._by_fd)

    def close(self) -> None:
        """Hang up, without a word."""
        self._poll.close()
        for line in self._by_fd.values():
            line.sock.close()
        self._by_fd.clear()

    def open(self, handshakes: Sequence[bytes], speeches: Sequence[Speech] = ()) -> None:
        """Open one socket for each of *handshakes*; on return all are welcome.

        Args:
            handshakes: Of as many players.
            speeches: What will be said there; none: nothing with a number.

        Raises:
            WrongAnswerError: One is not, or its session does not stand where its speech begins.
            OSError: Nobody takes the connections.
        """
        for at in range(0, len(handshakes), OPENED_AT_ONCE):
            waiting: dict[int, Speech] = {}
            for number, handshake in enumerate(handshakes[at:][:OPENED_AT_ONCE], start=at):
                line = self._connect()
                line.send(handshake)
                waiting[line.sock.fileno()] = speeches[number] if speeches else greeting()
            while waiting:
                for line, texts in self.heard(SILENCE_S):
                    fd = line.sock.fileno()
                    if fd in waiting and self._is_welcome(line, texts, waiting[fd]):
                        del waiting[fd]
                        texts = texts[self._is_gateway :]  # noqa: PLW2901  # behind the welcome
                    if texts:
                        raise wrong(texts[0])

    def speak(self, speeches: Sequence[Speech], window: int) -> Sent:
        """Say one of *speeches* on each socket, with *window* messages under way on each.

        Raises:
            WrongAnswerError: An answer is wrong, or does not come.
        """
        pairs = zip(self._by_fd.values(), speeches, strict=True)
        return self._speak(pairs, self._answers_to, window)

    def greet(self) -> None:
        """Say a first word on each socket, that has no events, and hear its answer.

        Raises:
            WrongAnswerError: An answer is wrong, or does not come.
        """
        word = greeting()
        pairs = ((line, word) for line in self._by_fd.values())
        self._speak(pairs, self._answer_to_greeting, window=1)

    def hold(self, seconds: float) -> None:
        """Keep the sockets for so long, and do nothing but answer pings.

        Raises:
            WrongAnswerError: One says anything else.
        """
        end_ns = time.perf_counter_ns() + round(seconds * _NS_PER_S)
        while (left_ns := end_ns - time.perf_counter_ns()) > 0:
            for _, texts in self.heard(left_ns / _NS_PER_S, may_be_silent=True):
                if texts:
                    raise wrong(texts[0])

    def heard(
        self, wait_s: float, *, may_be_silent: bool = False
    ) -> Iterator[tuple[Line, list[bytes]]]:
        """Wait for what comes, and yield it socket by socket.

        Raises:
            WrongAnswerError: A socket ends; or nothing comes at all, if it may not be silent.
        """
        ready = self._poll.poll(wait_s)
        if not ready and not may_be_silent:
            raise WrongAnswerError(f"no answer within {wait_s:.0f} s")
        for fd, _ in ready:
            line = self._by_fd[fd]
            yield line, line.texts()

    def _connect(self) -> Line:
        line = Line(self._address)
        self._by_fd[line.sock.fileno()] = line
        self._poll.register(line.sock.fileno(), select.EPOLLIN)
        return line

    def _is_welcome(self, line: Line, texts: Sequence[bytes], speech: Speech) -> bool:
        if not self._is_gateway:
            return line.is_open
        if texts:
            check_welcome(texts[0], speech)
        return bool(texts)

    def _answers_to(self, speech: Speech) -> Answers:
        return Judged(speech) if self._is_gateway else Echoed(speech.payloads)

    def _answer_to_greeting(self, speech: Speech) -> Answers:
        return Acknowledged() if self._is_gateway else Echoed(speech.payloads)

    def _speak(
        self,
        pairs: Iterator[tuple[Line, Speech]],
        answers_to: Callable[[Speech], Answers],
        window: int,
    ) -> Sent:
        talks = {
            line.sock.fileno(): _Talk(line, speech.wires, answers_to(speech))
            for line, speech in pairs
        }
        began_ns = time.perf_counter_ns()
        unfinished = {fd for fd, talk in talks.items() if not talk.speak(window)}
        while unfinished:
            for line, texts in self.heard(SILENCE_S):
                talk = talks[line.sock.fileno()]
                for text in texts:
                    talk.answers.take(text)
                if talk.speak(window):
                    unfinished.discard(line.sock.fileno())
        return Sent(time.perf_counter_ns() - began_ns, [])
