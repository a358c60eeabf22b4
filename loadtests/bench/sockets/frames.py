"""RFC 6455 as a client speaks it: handshake and frames as bytes, made beforehand.

No more of it than a benchmark needs: its servers send whole, unmasked frames, and offer nothing.
"""

from typing import Final

from loadtests.bench.client import QUOTED_BYTES_MAX, WrongAnswerError

TEXT: Final = 1
PING: Final = 9
PONG: Final = 10

SUBPROTOCOL: Final = "edge.v1.json"

# A server's work is the same with any key and any mask. Source: RFC 6455 §1.3, §5.7.
_KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="
_ACCEPT: Final = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
_MASK: Final = bytes.fromhex("37fa213d")

_FIN: Final = 0x80
_RESERVED: Final = 0x70
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80
_WORD: Final = 126  # as a length: it follows in two octets; one more: in eight
_WORD_MAX: Final = 0xFFFF


def handshake(target: str, bearer: bytes) -> bytes:
    """Write the request that opens a socket, as a game's client behind a load balancer does."""
    head = (
        b"GET %b HTTP/1.1\r\n"
        b"host: edge.bench.example\r\n"
        b"user-agent: bench\r\n"
        b"connection: Upgrade\r\n"
        b"upgrade: websocket\r\n"
        b"sec-websocket-version: 13\r\n"
        b"sec-websocket-key: %b\r\n"
        b"sec-websocket-protocol: %b\r\n"
        b"authorization: Bearer %b\r\n\r\n"
    )
    return head % (target.encode(), _KEY, SUBPROTOCOL.encode(), bearer)


def behind_handshake(received: bytes) -> bytes | None:
    """Return what came behind the handshake's answer; ``None`` while that is not whole.

    Raises:
        WrongAnswerError: It opens no socket.
    """
    head, is_whole, rest = received.partition(b"\r\n\r\n")
    if not is_whole:
        return None
    if not head.startswith(b"HTTP/1.1 101 ") or _ACCEPT not in head:
        raise WrongAnswerError(f"no socket: {received[:QUOTED_BYTES_MAX]!r}")
    return rest


def client_frame(opcode: int, payload: bytes) -> bytes:
    """Write a whole frame, masked."""
    length = len(payload)
    if length < _WORD:
        head = bytes((_FIN | opcode, _MASKED | length))
    elif length <= _WORD_MAX:
        head = bytes((_FIN | opcode, _MASKED | _WORD)) + length.to_bytes(2)
    else:
        head = bytes((_FIN | opcode, _MASKED | _WORD + 1)) + length.to_bytes(8)
    mask = (_MASK * (length // len(_MASK) + 1))[:length]
    masked = int.from_bytes(payload) ^ int.from_bytes(mask)
    return head + _MASK + masked.to_bytes(length)


def server_frames(received: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Take the whole frames: opcode and payload of each, and what is left.

    Raises:
        WrongAnswerError: That is no whole, unmasked frame.
    """
    found: list[tuple[int, bytes]] = []
    at, size = 0, len(received)
    while size - at >= 2:  # noqa: PLR2004  # octets before the length
        head, length = received[at], received[at + 1]
        if not head & _FIN or head & _RESERVED or length & _MASKED:
            quoted = received[at : at + QUOTED_BYTES_MAX]
            raise WrongAnswerError(f"no frame of a server: {quoted!r}")
        begin = at + 2
        if length >= _WORD:
            begin += 2 if length == _WORD else 8
            length = int.from_bytes(received[at + 2 : begin])
        end = begin + length
        if begin > size or end > size:
            break
        found.append((head & _OPCODE, received[begin:end]))
        at = end
    return found, received[at:]
