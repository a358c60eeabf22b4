"""What a request's head gives away decides whether its body is worth reading."""

from http import HTTPStatus

import pytest

from edge.core.decode import Shape
from edge.core.reject import Reason, Reject
from edge.shell.head import (
    BODY_BYTES_MAX,
    ProtocolError,
    address_of,
    authorization_of,
    read_head,
    refuse_token_in_query,
)

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
LENGTH = (b"content-length", b"2")


def test_a_good_head_says_what_the_body_is() -> None:
    accepts = [(b"accept", b"*/*"), (b"accept", b"text/html")]

    assert read_head([JSON, LENGTH, *accepts, (b"x-other", b"1")]) is Shape.EITHER


def test_a_chunked_body_needs_no_length() -> None:
    assert read_head([JSON, (b"transfer-encoding", b"chunked")]) is Shape.EITHER


@pytest.mark.parametrize(
    ("content_type", "shape"),
    [
        (b"application/cloudevents+json", Shape.OBJECT),
        (b"application/cloudevents-batch+json", Shape.ARRAY),
        (b"Application/JSON; Charset=UTF-8", Shape.EITHER),
        (b'application/json;charset="utf-8"', Shape.EITHER),
        (b"application/json; profile=x", Shape.EITHER),
    ],
)
def test_three_media_types_are_taken(content_type: bytes, shape: Shape) -> None:
    assert read_head([(b"content-type", content_type), LENGTH]) is shape


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        pytest.param([LENGTH], Reason.UNSUPPORTED_MEDIA_TYPE, id="no type"),
        pytest.param([JSON, JSON, LENGTH], Reason.UNSUPPORTED_MEDIA_TYPE, id="two types"),
        pytest.param(
            [(b"content-type", b"text/plain"), LENGTH],
            Reason.UNSUPPORTED_MEDIA_TYPE,
            id="another type",
        ),
        pytest.param(
            [(b"content-type", b"application/json; charset=latin-1"), LENGTH],
            Reason.UNSUPPORTED_MEDIA_TYPE,
            id="another charset",
        ),
        pytest.param(
            [JSON, LENGTH, (b"ce-id", b"1")], Reason.UNSUPPORTED_MEDIA_TYPE, id="binary mode"
        ),
        pytest.param(
            [JSON, LENGTH, (b"content-encoding", b"gzip")],
            Reason.UNSUPPORTED_ENCODING,
            id="encoded",
        ),
        pytest.param(
            [JSON, (b"content-length", b"%d" % (BODY_BYTES_MAX + 1))],
            Reason.BODY_TOO_LARGE,
            id="too large",
        ),
    ],
)
def test_a_body_we_would_refuse_is_refused_unread(headers: Headers, reason: Reason) -> None:
    with pytest.raises(Reject) as refused:
        read_head(headers)
    assert refused.value.reason is reason


def test_the_largest_body_is_let_in() -> None:
    assert read_head([JSON, (b"content-length", b"%d" % BODY_BYTES_MAX)]) is Shape.EITHER


def test_a_body_of_unknown_length_is_refused() -> None:
    with pytest.raises(ProtocolError) as refused:
        read_head([JSON])
    assert refused.value.status is HTTPStatus.LENGTH_REQUIRED


@pytest.mark.parametrize(
    "query", [b"token=x", b"k=1&Access_Token=x", b"jwt", b"b%65arer=x", b"bearer=&k=1"]
)
def test_a_token_in_the_url_is_refused_and_not_repeated(query: bytes) -> None:
    with pytest.raises(ProtocolError) as refused:
        refuse_token_in_query(query)
    assert refused.value.status is HTTPStatus.BAD_REQUEST
    assert "x" not in refused.value.args[1].split()


@pytest.mark.parametrize("query", [b"", b"k=player-7", b"tokens=1", b"k=token", b"\xff=1"])
def test_any_other_query_is_let_in(query: bytes) -> None:
    refuse_token_in_query(query)


def test_every_authorization_header_is_handed_on() -> None:
    headers = [(b"authorization", b"a"), JSON, (b"authorization", b"b")]

    assert authorization_of(headers) == [b"a", b"b"]


@pytest.mark.parametrize(
    ("client", "key"),
    [
        (("127.0.0.1", 5), "127.0.0.1"),
        (("2001:db8::1:2:3:4", 5), "2001:db8::/64"),
        (None, ""),
    ],
)
def test_a_peer_is_counted_by_its_network(client: tuple[str, int] | None, key: str) -> None:
    assert address_of({"client": client}) == key
