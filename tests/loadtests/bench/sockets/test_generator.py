"""The generator as a process: it opens, speaks, holds, and ends at the first wrong answer."""

import io
import json
from collections.abc import Generator

import pytest
from websockets.sync.server import ServerConnection

from loadtests.bench.generator import GeneratorError
from loadtests.bench.sockets.generator import SocketLoader, main, socket_generator
from loadtests.bench.subjects import Subject
from tests.fakes_bench import server
from tests.fakes_bench_sockets import echo, judge, playing, welcome


@pytest.fixture(scope="module")
def loader() -> Generator[SocketLoader, None, None]:
    """A generator with few players, for all who do not end it."""
    with socket_generator(players=3) as started:
        yield started


def at(address: tuple[str, int], *, is_gateway: bool) -> Subject:
    """A server there."""
    return Subject("it", address, ("127.0.0.1", 1) if is_gateway else None, pid=0)


def test_what_was_prepared_is_said_to_one_after_the_other() -> None:
    with (
        socket_generator(players=3) as loader,
        playing(echo) as echoing,
        playing(judge) as judging,
    ):
        assert loader.prepare_messages(sockets=3, count=4, events=2) == 24
        for subject in (at(echoing, is_gateway=False), at(judging, is_gateway=True)):
            with loader.opened(subject, 3, speaks=True):
                assert loader.speak(window=2).elapsed_ns > 0


def test_sockets_are_held_and_nothing_is_said(loader: SocketLoader) -> None:
    with (
        playing(judge) as address,
        loader.opened(at(address, is_gateway=True), 3),
    ):
        loader.hold(0.01)


def test_batches_are_requests_as_before(loader: SocketLoader) -> None:
    assert loader.prepare_batches(count=3, events=20) == 60
    assert loader.prepare("single", count=2) == 2

    with server() as address, loader.connected(address, 2):
        assert len(loader.send(accepts=True).latencies_ns) == 2


def test_a_wrong_answer_ends_it() -> None:
    def welcome_and_echo(connection: ServerConnection) -> None:
        connection.send(welcome())
        echo(connection)

    with playing(welcome_and_echo) as address, socket_generator(players=1) as loader:
        loader.prepare_messages(sockets=1, count=1, events=1)

        with (
            pytest.raises(GeneratorError, match='"op":"events"'),
            loader.opened(at(address, is_gateway=True), 1, speaks=True),
        ):
            loader.speak(window=1)

        with pytest.raises(GeneratorError, match="it ended"):
            loader.prepare("single", count=1)


def test_it_ends_with_its_input() -> None:
    results = io.StringIO()
    order = {"order": "prepare", "what": "batches", "count": 2, "events": 20}

    assert main(1, io.StringIO(json.dumps(order)), results) == 0

    greeting, prepared = results.getvalue().splitlines()
    assert json.loads(greeting)["jwks"]
    assert json.loads(prepared) == {"events": 40}
