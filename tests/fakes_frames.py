"""A WebSocket client's side of the wire: frames as raw bytes, right ones and wrong ones."""

from typing import Final

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import CLIENT, Protocol
from websockets.utils import apply_mask

MASK: Final = b"\x37\xfa\x21\x3d"
"""Of RFC 6455's examples."""

TEXT: Final = 0x81
BINARY: Final = 0x82
CLOSE: Final = 0x88
PING: Final = 0x89
PONG: Final = 0x8A

CLOSE_BYTES_MAX: Final = 127
"""Two octets of a server's head, and what a control frame may carry."""


def client_frame(content: bytes, head: int = TEXT, *, octets: int = 0) -> bytes:
    """Write one masked frame.

    Args:
        content: Unmasked.
        head: First octet: FIN, reserved bits, opcode.
        octets: For the length: 1, 2 or 8; 0: as few as do.
    """
    length = len(content)
    octets = octets or (1 if length < 126 else 2 if length < 1 << 16 else 8)
    short = {1: length, 2: 126, 8: 127}[octets]
    written = length.to_bytes(octets) if octets > 1 else b""
    return bytes((head, 0x80 | short)) + written + MASK + apply_mask(content, MASK)


def closing(code: int, reason: str = "") -> bytes:
    """Write a client's close frame."""
    return client_frame(code.to_bytes(2) + reason.encode(), CLOSE)


class ServerFrames:
    """Reads what a server sent, by an implementation that is not ours.

    Attributes:
        texts: Messages.
        pings: Contents.
        pongs: Contents.
        close: Code and reason of its close frame.
    """

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.pings: list[bytes] = []
        self.pongs: list[bytes] = []
        self.close: tuple[int, str] | None = None
        self._protocol = Protocol(CLIENT, max_size=None)
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Read on; fail if it is no WebSocket, or if something comes behind a close frame."""
        self._tail = (self._tail + data)[-CLOSE_BYTES_MAX:]
        self._protocol.receive_data(data)
        assert self._protocol.parser_exc is None
        for event in self._protocol.events_received():
            assert isinstance(event, Frame)
            match event.opcode:
                case Opcode.TEXT:
                    self.texts.append(bytes(event.data))
                case Opcode.PING:
                    self.pings.append(bytes(event.data))
                case Opcode.PONG:
                    self.pongs.append(bytes(event.data))
                case _:
                    assert event.opcode is Opcode.CLOSE
        if (close := self._protocol.close_rcvd) is not None:
            self.close = int(close.code), close.reason
            content = b"" if close.code == CloseCode.NO_STATUS_RCVD else close.serialize()
            assert self._tail.endswith(bytes((CLOSE, len(content))) + content)
