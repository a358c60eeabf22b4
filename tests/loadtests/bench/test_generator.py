"""The generator as a process: it prepares, sends, and ends at the first wrong answer."""

import io
import json
from collections.abc import Generator

import pytest

from loadtests.bench.generator import GeneratorError, Loader, generator, main
from tests.fakes_bench import GOOD, answer, server


@pytest.fixture(scope="module")
def loader() -> Generator[Loader, None, None]:
    """A generator with few players, for all who do not end it."""
    with generator(players=3) as started:
        yield started


def test_what_was_prepared_may_be_sent_to_one_after_the_other(loader: Loader) -> None:
    assert json.loads(loader.jwks)["keys"]
    assert loader.prepare("single", count=7) == 7

    for _ in range(2):
        with server() as address, loader.connected(address, 2):
            sent = loader.send(accepts=True)
        assert len(sent.latencies_ns) == 7
        assert sent.latencies_ns == sorted(sent.latencies_ns)


def test_what_is_due_at_a_rate_takes_its_time(loader: Loader) -> None:
    loader.prepare("single", count=20)

    with server() as address, loader.connected(address, 2):
        sent = loader.send(accepts=True, per_s=200.0)

    assert sent.elapsed_ns > 20_000_000


def test_an_application_that_accepts_nothing_says_so(loader: Loader) -> None:
    body = GOOD.replace(b'"accepted":1', b'"accepted":0')
    loader.prepare("greetings")

    with server(lambda _: [answer(body)]) as address, loader.connected(address, 1):
        assert len(loader.send(accepts=False).latencies_ns) == 3


def test_a_wrong_answer_ends_it() -> None:
    with server() as address, generator(players=1) as loader:
        loader.prepare("fillings", entries=1)  # batches of 100; the server accepts one event

        with (
            pytest.raises(GeneratorError, match='"accepted":1'),
            loader.connected(address, 1),
        ):
            loader.send(accepts=True)

        with pytest.raises(GeneratorError, match="it ended"):
            loader.prepare("single", count=1)


def test_a_server_that_is_not_there_ends_it() -> None:
    with server() as address:
        pass
    host, port = address
    order = {"order": "connect", "host": host, "port": port, "connections": 1}
    results = io.StringIO()

    assert main(1, io.StringIO(json.dumps(order)), results) == 1

    assert "refused" in json.loads(results.getvalue().splitlines()[-1])["wrong"]


def test_it_ends_with_its_input() -> None:
    results = io.StringIO()

    assert main(1, io.StringIO('{"order":"prepare","what":"batch","count":2}\n'), results) == 0

    _, prepared = results.getvalue().splitlines()
    assert json.loads(prepared) == {"events": 100}
