"""``origin_client.http_response``: half an answer is none, whatever its status says."""

import socket
from http.client import HTTPException

import pytest

from origin_client.http_response import IncompleteAnswer, WholeResponse

OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = b"Content-Length: 0\r\n\r\n"


def read(answer: bytes) -> tuple[int, bytes]:
    """Read what a peer says that hangs up afterwards."""
    ours, peers = socket.socketpair()
    with ours, peers:
        peers.sendall(answer)
        peers.close()
        response = WholeResponse(ours)
        try:
            response.begin()
            return response.status, response.read()
        finally:
            response.close()


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK + EMPTY, b""),
        (OK + b"Content-Length:  2 \r\n\r\nok", b"ok"),
        (OK + b"\r\nuntil the end", b"until the end"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", b"ok"),
    ],
    ids=["empty", "length", "hang up", "chunks"],
)
def test_a_whole_answer_is_read(answer: bytes, body: bytes) -> None:
    assert read(answer) == (200, body)


@pytest.mark.parametrize("interim", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_an_answer_on_the_way_is_passed_over(interim: bytes) -> None:
    assert read((b"HTTP/1.1 %s\r\nLink: x\r\n\r\n" % interim) * 3 + OK + EMPTY) == (200, b"")


def test_another_protocol_is_no_answer_on_the_way() -> None:
    assert read(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + OK + EMPTY)[0] == 101


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 O",
        OK,
        OK + b"Server: prox",
        OK + b"Server: proxy\r\n",
        b"HTTP/1.1 102 Processing\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
    ],
)
def test_an_answer_that_breaks_off_between_lines_or_in_one_is_none(answer: bytes) -> None:
    with pytest.raises(IncompleteAnswer, match="hung up"):
        read(answer)


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: -5\r\n",
        b"Content-Length: abc\r\n",
        b"Content-Length: \r\n",
        b"Content-Length: 0, 0\r\n",
        b"Content-Length: 0\r\nContent-Length: 0\r\n",
        b"Content-Length: %s\r\n" % (b"9" * 5000),
    ],
    ids=["negative", "word", "nothing", "list", "twice", "huge"],
)
def test_a_length_that_is_no_plain_number_is_not_passed_over(lines: bytes) -> None:
    with pytest.raises(IncompleteAnswer, match="length"):
        read(OK + lines + b"\r\n")


@pytest.mark.parametrize("line", [b"no colon here", b"X\x00: y", b" folded: first"])
def test_a_line_that_is_no_header_is_neither_body_nor_repeated(line: bytes) -> None:
    with pytest.raises(IncompleteAnswer, match=r"^its head is not HTTP$"):
        read(OK + line + b"\r\n" + EMPTY)


def test_a_line_without_end_is_not_read_to_its_end() -> None:
    with pytest.raises(HTTPException, match="got more than"):
        read(OK + b"A: " + b"b" * 70_000 + b"\r\n\r\n")
