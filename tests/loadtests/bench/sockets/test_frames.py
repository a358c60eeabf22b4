"""What is written here a server of the ``websockets`` package reads, and the other way."""

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State
from websockets.server import ServerProtocol

from loadtests.bench.client import WrongAnswerError
from loadtests.bench.sockets.frames import (
    PING,
    TEXT,
    behind_handshake,
    client_frame,
    handshake,
    server_frames,
)

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536)


def test_a_handshake_is_accepted_and_its_answer_taken_off() -> None:
    server = ServerProtocol()
    server.receive_data(handshake("/v1/stream?k=p", b"a.b.c"))
    (request,) = server.events_received()
    server.send_response(server.accept(request))  # type: ignore[arg-type]  # the one event is it
    answer = b"".join(server.data_to_send())

    assert request.path == "/v1/stream?k=p"  # type: ignore[union-attr]  # as above
    assert request.headers["authorization"] == "Bearer a.b.c"  # type: ignore[union-attr]  # as above
    assert behind_handshake(answer + b"rest") == b"rest"
    assert behind_handshake(answer[:-1]) is None


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 401 Unauthorized\r\n\r\n", b"HTTP/1.1 101 Switching\r\n\r\n"]
)
def test_an_answer_that_opens_nothing_is_wrong(answer: bytes) -> None:
    with pytest.raises(WrongAnswerError, match="no socket: b'HTTP"):
        behind_handshake(answer)


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_is_read_by_a_server(size: int) -> None:
    payload = bytes(at % 251 for at in range(size))
    server = Protocol(Side.SERVER, state=State.OPEN)

    server.receive_data(client_frame(TEXT, payload))

    (frame,) = server.events_received()
    assert frame == Frame(Opcode.TEXT, payload)
    assert server.parser_exc is None


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("cut", [1, 2, 3, 10])
def test_a_servers_frames_are_read_however_they_are_cut(size: int, cut: int) -> None:
    texts = [b"a", bytes(size), b"z"]
    octets = b"".join(
        Frame(Opcode.TEXT, text).serialize(mask=False, extensions=[]) for text in texts
    ) + Frame(Opcode.PING, b"?").serialize(mask=False)

    first, left = server_frames(octets[:-cut])
    rest, nothing = server_frames(left + octets[-cut:])

    assert [*first, *rest] == [*((TEXT, text) for text in texts), (PING, b"?")]
    assert nothing == b""


@pytest.mark.parametrize("octets", [b"\x01\x00", b"\xc1\x00", b"\x81\x80"])
def test_a_fragment_a_reserved_bit_and_a_mask_are_no_servers(octets: bytes) -> None:
    with pytest.raises(WrongAnswerError, match="no frame of a server"):
        server_frames(octets)
