"""All is said and answered, with no more under way than the window; anything else ends it."""

import contextlib
import json
import threading
from collections.abc import Generator

import pytest
from websockets.sync.server import ServerConnection

from loadtests.bench.client import SILENCE_S, WrongAnswerError
from loadtests.bench.sockets import client as module
from loadtests.bench.sockets.client import Sockets
from loadtests.bench.sockets.speakers import Speakers, StreamIssuer
from tests.fakes_bench_sockets import Part, echo, judge, playing, verdicts, welcome


def crowd(players: int = 3) -> Speakers:
    """New ones: their sessions begin at 1."""
    return Speakers(StreamIssuer(), players)


@contextlib.contextmanager
def sockets(part: Part, *, is_gateway: bool) -> Generator[Sockets, None, None]:
    """None open yet."""
    with (
        playing(part) as address,
        contextlib.closing(Sockets(address, is_gateway=is_gateway)) as ours,
    ):
        yield ours


def test_an_echo_sends_everything_back() -> None:
    speakers = crowd()
    speeches = speakers.speeches(3, messages=9, events=2)

    with sockets(echo, is_gateway=False) as ours:
        ours.open(speakers.handshakes(3, listens=False), speeches)
        sent = ours.speak(speeches, window=4)

        assert len(ours) == 3
    assert sent.elapsed_ns > 0


def test_a_gateway_may_tell_of_many_messages_at_once() -> None:
    speakers = crowd()
    speeches = speakers.speeches(3, messages=8, events=2)

    with sockets(judge, is_gateway=True) as ours:
        ours.open(speakers.handshakes(3, listens=False), speeches)
        ours.speak(speeches, window=4)


def test_the_window_is_used_and_no_more_is_under_way() -> None:
    too_many: list[str | bytes] = []

    def slow(connection: ServerConnection) -> None:
        while True:
            held = [connection.recv() for _ in range(3)]
            with contextlib.suppress(TimeoutError):
                too_many.append(connection.recv(timeout=0.02))
            for text in held:
                connection.send(text)

    speakers = crowd(1)
    speeches = speakers.speeches(1, messages=9, events=1)
    with sockets(slow, is_gateway=False) as ours:
        ours.open(speakers.handshakes(1, listens=False), speeches)
        ours.speak(speeches, window=3)

    assert too_many == []


def test_large_messages_come_back_in_pieces() -> None:
    speakers = crowd(1)
    speeches = speakers.speeches(1, messages=6, events=200)  # 100 KB each

    with sockets(echo, is_gateway=False) as ours:
        ours.open(speakers.handshakes(1, listens=False), speeches)
        ours.speak(speeches, window=6)


def test_a_refusal_ends_it() -> None:
    def refuse(connection: ServerConnection) -> None:
        connection.send(welcome())
        seq = json.loads(connection.recv())["events"][0]["seq"]
        connection.send(verdicts(seq, refused=[{"code": "rate_exceeded"}]))
        connection.recv()

    speakers = crowd(1)
    speeches = speakers.speeches(1, messages=1, events=1)
    with sockets(refuse, is_gateway=True) as ours:
        ours.open(speakers.handshakes(1, listens=False), speeches)
        with pytest.raises(WrongAnswerError, match="rate_exceeded"):
            ours.speak(speeches, window=1)


def test_a_silent_server_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.05)
    leave = threading.Event()

    def stay(connection: ServerConnection) -> None:
        connection.send(welcome())
        leave.wait()

    speakers = crowd(1)
    speeches = speakers.speeches(1, messages=1, events=1)
    with sockets(stay, is_gateway=True) as ours:
        try:
            ours.open(speakers.handshakes(1, listens=False), speeches)
            with pytest.raises(WrongAnswerError, match="no answer within"):
                ours.speak(speeches, window=1)
        finally:
            leave.set()


def test_who_is_not_welcome_is_not_let_in() -> None:
    def elsewhere(connection: ServerConnection) -> None:
        connection.send(welcome(next_seq=5))
        connection.recv()

    speakers = crowd(1)
    speeches = speakers.speeches(1, messages=1, events=1)
    with (
        sockets(elsewhere, is_gateway=True) as ours,
        pytest.raises(WrongAnswerError, match="welcome"),
    ):
        ours.open(speakers.handshakes(1, listens=False), speeches)


def test_more_than_a_welcome_ends_it() -> None:
    def talkative(connection: ServerConnection) -> None:
        connection.send(welcome())
        connection.send("more")
        connection.recv()

    def listen(ours: Sockets) -> None:
        ours.open(crowd(1).handshakes(1, listens=True))
        ours.hold(SILENCE_S)

    with (
        sockets(talkative, is_gateway=True) as ours,
        pytest.raises(WrongAnswerError, match="more"),
    ):
        listen(ours)


@pytest.mark.parametrize(("part", "is_gateway"), [(echo, False), (judge, True)])
def test_an_idle_socket_says_one_word_first(part: Part, is_gateway: bool) -> None:  # noqa: FBT001  # of the table
    with sockets(part, is_gateway=is_gateway) as ours:
        ours.open(crowd().handshakes(3, listens=True))
        ours.greet()
        ours.hold(0.01)


def test_an_idle_socket_answers_pings() -> None:
    answered = threading.Event()

    def ping(connection: ServerConnection) -> None:
        pong = connection.ping(b"there?")
        if pong.wait(10):
            answered.set()
        connection.recv()

    with sockets(ping, is_gateway=False) as ours:
        ours.open(crowd(1).handshakes(1, listens=True))
        while not answered.is_set():
            ours.hold(0.01)


def test_an_idle_socket_that_closes_ends_it() -> None:
    def listen(ours: Sockets) -> None:
        ours.open(crowd(1).handshakes(1, listens=True))
        ours.hold(SILENCE_S)

    with (
        sockets(lambda connection: connection.close(1012), is_gateway=False) as ours,
        pytest.raises(WrongAnswerError, match="says 8"),
    ):
        listen(ours)


def test_a_server_that_is_not_there_is_told() -> None:
    with playing(echo) as address:
        pass

    with (
        contextlib.closing(Sockets(address, is_gateway=False)) as ours,
        pytest.raises(OSError, match="refused"),
    ):
        ours.open(crowd(1).handshakes(1, listens=False))
