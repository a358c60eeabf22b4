"""One request, one answer, over one connection; silence is said, and the line opened anew."""

import asyncio

import pytest

from edge.demo.wire import Answer, Connection, NoAnswerError, Traffic
from tests.fakes_demo import ScriptedGateway, answer


async def talk(gateway: ScriptedGateway, times: int) -> list[Answer | None]:
    """Post *times*; return the answers, ``None`` for silence."""
    answers: list[Answer | None] = []
    traffic = Traffic()
    async with gateway:
        line = Connection(gateway.address, traffic)
        for _ in range(times):
            try:
                answers.append(await line.post("/v1/events", {"x-note": "1"}, b"[]"))
            except NoAnswerError:
                answers.append(None)
            await asyncio.sleep(0.01)  # until our end has read a hang-up
        await line.close()
    assert traffic.in_flight == 0
    return answers


def test_one_connection_serves_many_requests() -> None:
    gateway = ScriptedGateway([answer(202, {"n": 1}, Retry_After="7"), answer(503, {})])

    answers = asyncio.run(talk(gateway, 2))

    assert answers[0] == Answer(202, {"content-length": "8", "retry-after": "7"}, b'{"n": 1}')
    assert answers[1] is not None
    assert answers[1].status == 503
    assert gateway.connections == 1
    head, body = gateway.requests[0]
    assert head.startswith("POST /v1/events HTTP/1.1\r\nhost: 127.0.0.1:")
    assert head.endswith("\r\nx-note: 1\r\ncontent-length: 2\r\n\r\n")
    assert body == b"[]"


def test_a_gateway_that_closes_gets_a_new_connection_next_time() -> None:
    gateway = ScriptedGateway([answer(202, {}, connection="close"), answer(202, {})])

    assert None not in asyncio.run(talk(gateway, 2))
    assert gateway.connections == 2


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        b"HTTP/1.1 202",
        b"HTTP/1.1 202 Fine\r\ncontent-length: 9\r\n\r\n{",
        b"nonsense\r\n\r\n",
    ],
    ids=["nothing", "half a head", "half a body", "no HTTP"],
)
def test_what_is_no_answer_is_silence_and_the_next_request_gets_a_new_line(
    reply: bytes,
) -> None:
    gateway = ScriptedGateway([reply] * 2, hangs_up=True)

    assert asyncio.run(talk(gateway, 2)) == [None, None]
    assert gateway.connections == 2


def test_nobody_listening_is_silence() -> None:
    async def scene() -> None:
        async with ScriptedGateway([]) as gateway:
            address = gateway.address
        with pytest.raises(NoAnswerError):
            await Connection(address, Traffic()).post("/", {}, b"")

    asyncio.run(scene())


def test_an_idle_connection_that_the_gateway_closed_is_not_written_to() -> None:
    gateway = ScriptedGateway([answer(202, {})] * 3, hangs_up=True)

    assert None not in asyncio.run(talk(gateway, 3))
    assert gateway.connections == 3


def test_traffic_tells_how_many_are_under_way() -> None:
    async def scene() -> None:
        traffic = Traffic()
        three = asyncio.create_task(traffic.reaches(3))
        for _ in range(3):
            assert not three.done()
            await traffic.moved(+1)
        await three
        fewer = asyncio.create_task(traffic.ebbs())
        await asyncio.sleep(0)
        await traffic.moved(+1)
        await asyncio.sleep(0)
        assert not fewer.done()
        await traffic.moved(-1)
        await traffic.moved(-1)
        await fewer
        assert traffic.in_flight == 2

    asyncio.run(scene())


def test_a_cancelled_request_leaves_its_line_closed_and_nothing_counted() -> None:
    async def scene() -> None:
        traffic = Traffic()
        async with ScriptedGateway([None]) as silent:
            request = asyncio.create_task(
                Connection(silent.address, traffic).post("/", {}, b"")
            )
            await silent.asked.wait()
            request.cancel()
            with pytest.raises(asyncio.CancelledError):
                await request
        assert traffic.in_flight == 0

    asyncio.run(scene())
