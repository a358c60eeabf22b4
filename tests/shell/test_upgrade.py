"""A handshake that is none is told what is wrong with it; one that is, is proven understood."""

from collections.abc import Sequence
from typing import Any, Final

import pytest

from edge.shell.head import ProtocolError
from edge.shell.upgrade import (
    EXTENSION,
    FIELDS_MAX,
    HEAD_BYTES_MAX,
    TARGET_BYTES_MAX,
    accept_of,
    check_handshake,
    is_websocket,
    switching,
    without_upgrade,
)

KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT: Final = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""Source: RFC 6455 §1.3."""

HEADERS: Final = [
    (b"host", b"x"),
    (b"upgrade", b"websocket"),
    (b"connection", b"Upgrade"),
    (b"sec-websocket-key", KEY),
    (b"sec-websocket-version", b"13"),
]


def scope(**changed: Any) -> dict[str, Any]:
    """A handshake, with something *changed*."""
    right: dict[str, Any] = {
        "http_version": "1.1",
        "raw_path": b"/v1/stream",
        "query_string": b"",
        "headers": HEADERS,
        "extensions": {EXTENSION: {}},
    }
    return right | changed


def without(name: bytes, *instead: tuple[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [*(each for each in HEADERS if each[0] != name), *instead]


def test_a_handshake_is_answered_with_its_proof() -> None:
    assert check_handshake(scope()) == ACCEPT
    assert accept_of(KEY) == ACCEPT


def test_as_much_as_is_allowed_is_no_too_much() -> None:
    fields = [(b"x-%d" % number, b"") for number in range(FIELDS_MAX - len(HEADERS))]
    query = b"x" * (TARGET_BYTES_MAX - len(b"/v1/stream?"))

    assert check_handshake(scope(headers=HEADERS + fields)) == ACCEPT
    assert check_handshake(scope(query_string=query)) == ACCEPT


KEY_NAME: Final = b"sec-websocket-key"
VERSION_NAME: Final = b"sec-websocket-version"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        pytest.param({"http_version": "1.0"}, 400, id="HTTP/1.0"),
        pytest.param({"headers": without(KEY_NAME)}, 400, id="no key"),
        pytest.param({"headers": [*HEADERS, (KEY_NAME, KEY)]}, 400, id="two keys"),
        pytest.param({"headers": without(KEY_NAME, (KEY_NAME, b"x"))}, 400, id="no base64"),
        pytest.param(
            {"headers": without(KEY_NAME, (KEY_NAME, b"\xff" * 24))}, 400, id="no ASCII"
        ),
        pytest.param(
            {"headers": without(KEY_NAME, (KEY_NAME, b"AAAA" * 5))}, 400, id="15 bytes"
        ),
        pytest.param({"headers": [*HEADERS, (b"content-length", b"5")]}, 400, id="a body"),
        pytest.param(
            {"headers": [*HEADERS, (b"transfer-encoding", b"chunked")]}, 400, id="chunks"
        ),
        pytest.param({"raw_path": b"/" + b"x" * 8_192}, 414, id="a long path"),
        pytest.param({"query_string": b"x" * 8_192}, 414, id="a long query"),
        pytest.param({"headers": HEADERS + [(b"x", b"")] * 60}, 431, id="65 fields"),
        pytest.param(
            {"headers": [*HEADERS, (b"x", b"x" * HEAD_BYTES_MAX)]}, 431, id="a long field"
        ),
        pytest.param({"extensions": {}}, 426, id="no upgrade"),
        pytest.param({"headers": without(VERSION_NAME)}, 426, id="no version"),
        pytest.param(
            {"headers": without(VERSION_NAME, (VERSION_NAME, b"8"))}, 426, id="version 8"
        ),
    ],
)
def test_what_is_wrong_is_told(changed: dict[str, Any], status: int) -> None:
    with pytest.raises(ProtocolError) as raised:
        check_handshake(scope(**changed))

    assert raised.value.status == status
    has_version = (VERSION_NAME, b"13") in raised.value.headers
    assert has_version == (status == 426)


def test_a_scope_without_extensions_asks_for_no_upgrade() -> None:
    plain = scope()
    del plain["extensions"]

    with pytest.raises(ProtocolError):
        check_handshake(plain)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([b"websocket"], True),
        ([b"WebSocket"], True),
        ([b"h2c, websocket"], True),
        ([b"h2c", b" websocket "], True),
        ([b"h2c"], False),
        ([b"websocket2"], False),
        ([], False),
    ],
)
def test_what_is_asked_for_may_be_one_of_several(
    values: Sequence[bytes], *, expected: bool
) -> None:
    assert is_websocket([(b"upgrade", value) for value in values]) == expected


def test_the_answer_that_switches_has_the_headers_of_every_answer_and_its_own() -> None:
    answer = switching([(b"date", b"today")], [(b"sec-websocket-accept", ACCEPT)])

    assert answer == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"date: today\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-accept: " + ACCEPT + b"\r\n\r\n"
    )


def test_a_head_without_its_upgrade_is_otherwise_the_same() -> None:
    headers = [(b"host", b"x"), (b"upgrade", b"h2c"), (b"x", b"y"), (b"upgrade", b"z")]

    assert without_upgrade(b"GET / HTTP/1.1", headers) == (
        b"GET / HTTP/1.1\r\nhost: x\r\nx: y\r\n\r\n"
    )
