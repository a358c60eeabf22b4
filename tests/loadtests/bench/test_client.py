"""Every answer is read whole and examined; late answers count from when they were due."""

import itertools
from collections.abc import Sequence
from contextlib import closing

import pytest

from loadtests.bench import client as module
from loadtests.bench.client import Answer, Approval, Client, WrongAnswerError, parse, poisson
from tests.fakes_bench import GOOD, accept, answer, server

REQUEST = b"POST /v1/events HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}"


def test_an_answer_is_read_when_it_is_whole() -> None:
    whole = answer(GOOD)

    assert [parse(whole[:cut]) for cut in range(len(whole))] == [None] * len(whole)
    assert parse(whole) == Answer(202, GOOD)


@pytest.mark.parametrize(
    "received", [b"HTTP/1.1 204 \r\n\r\n", b"SSH-2.0\r\n\r\n", b"\r\n\r\n"]
)
def test_what_is_no_answer_with_a_length_is_wrong(received: bytes) -> None:
    with pytest.raises(WrongAnswerError):
        parse(received)


def verdicts(accepted: int, duplicate: int = 0, refused: bytes = b"") -> bytes:
    """Write a verdict document."""
    return b'{"accepted":%d,"duplicate":%d,"refused":[%b]}' % (accepted, duplicate, refused)


def test_all_accepted_passes_again_and_again() -> None:
    approval = Approval()

    approval.examine(Answer(202, verdicts(50)), 50)
    approval.examine(Answer(202, verdicts(50)), 50)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (202, verdicts(49, duplicate=1)),
        (202, verdicts(49, refused=b'{"index":7,"code":"rate_exceeded"}')),
        (202, verdicts(1)),
        (202, b"{}"),
        (202, b"[]"),
        (202, b"accepted"),
        (503, verdicts(50)),
        (401, b'{"code":"token_invalid"}'),
    ],
)
def test_anything_else_is_wrong_and_quoted(status: int, body: bytes) -> None:
    approval = Approval()
    approval.examine(Answer(202, verdicts(50)), 50)

    with pytest.raises(WrongAnswerError, match=str(status)):
        approval.examine(Answer(status, body), 50)


def test_every_request_is_sent_once() -> None:
    seen: list[bytes] = []

    def reply(request: bytes) -> Sequence[bytes]:
        seen.append(request.partition(b"?k=")[2][:2])
        return accept(request)

    requests = [
        (1, b"POST /?k=%02d HTTP/1.1\r\ncontent-length: 0\r\n\r\n" % number)
        for number in range(40)
    ]

    with server(reply) as address, closing(Client(address, 4)) as client:
        sent = client.send(requests)

    assert sorted(seen) == [b"%02d" % number for number in range(40)]
    assert len(sent.latencies_ns) == 40
    assert 0 < max(sent.latencies_ns) <= sent.elapsed_ns


def test_an_answer_may_come_in_pieces() -> None:
    def reply(request: bytes) -> Sequence[bytes]:
        (whole,) = accept(request)
        return [whole[:9], whole[9:50], whole[50:]]

    with server(reply) as address, closing(Client(address, 1)) as client:
        client.greet()
        sent = client.send([(1, REQUEST)] * 3)

    assert len(sent.latencies_ns) == 3


def test_a_request_that_the_kernel_does_not_take_at_once_arrives_whole() -> None:
    body = bytes(8 << 20)
    request = b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    lengths: list[int] = []

    def reply(request: bytes) -> Sequence[bytes]:
        lengths.append(len(request))
        return accept(request)

    with server(reply) as address, closing(Client(address, 1)) as client:
        client.send([(1, request)])

    assert lengths == [len(request)]


def test_one_wrong_answer_ends_it() -> None:
    numbers = itertools.count()

    def reply(request: bytes) -> Sequence[bytes]:
        return accept(request) if next(numbers) < 5 else [answer(verdicts(0, duplicate=1))]

    with (
        server(reply) as address,
        closing(Client(address, 1)) as client,
        pytest.raises(WrongAnswerError, match='"duplicate":1'),
    ):
        client.send([(1, REQUEST)] * 10)

    assert next(numbers) == 6


def test_a_server_that_hangs_up_is_wrong() -> None:
    with (
        server(lambda _: []) as address,
        closing(Client(address, 1)) as client,
        pytest.raises(WrongAnswerError, match=r"hung up|broke"),
    ):
        client.send([(1, REQUEST)])


def test_silence_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.05)
    with (
        server(lambda _: [b"HTTP/1.1 202"]) as address,
        closing(Client(address, 1)) as client,
        pytest.raises(WrongAnswerError, match="no answer"),
    ):
        client.send([(1, REQUEST)])


def test_a_request_that_waits_for_a_connection_counts_from_when_it_was_due() -> None:
    with server() as address, closing(Client(address, 1)) as client:
        sent = client.send([(1, REQUEST)] * 20, due_ns=[0] * 20)

    assert sent.latencies_ns == sorted(sent.latencies_ns)
    assert sent.latencies_ns[-1] > 0.9 * sent.elapsed_ns


def test_nothing_is_sent_before_it_is_due() -> None:
    due_ns = [0, 20_000_000, 40_000_000]

    with server() as address, closing(Client(address, 3)) as client:
        sent = client.send([(1, REQUEST)] * 3, due_ns)

    assert sent.elapsed_ns > due_ns[-1]


def test_arrivals_come_at_the_rate_asked_for_and_are_repeatable() -> None:
    due_ns = poisson(10_000, per_s=1_000.0, seed=1)

    assert due_ns == sorted(due_ns) == poisson(10_000, per_s=1_000.0, seed=1)
    assert 9.5 < due_ns[-1] / 1e9 < 10.5
