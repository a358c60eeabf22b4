"""A socket's bytes in, whole text messages and control frames out; and our own frames as bytes.

Theory of operation
-------------------
What :class:`websockets.protocol.Protocol` does for a server, in fewer steps, and so that each
frame can be counted before the next one is looked at: given a read of 256 kB, that one has
parsed, and answered, its 43,000 pings before anybody could say stop. A test has both read the
same octets, and compares.

A frame is judged by its head, before its content has come: a message that will be too long is
refused at once. What has come of a frame waits in a buffer, which is never longer than the
longest message and one read; so a frame sent octet by octet costs nothing but its reads.

Source: RFC 6455 §5; masks are taken off by the ``websockets`` package, in C.
"""

from typing import Final

from websockets.exceptions import ProtocolError as InvalidCloseError
from websockets.frames import Close, CloseCode, Opcode

try:
    from websockets.speedups import apply_mask
except ImportError:  # pragma: no cover  # where the package was built without C
    from websockets.utils import apply_mask

TEXT: Final = Opcode.TEXT.value
CLOSE: Final = Opcode.CLOSE.value
PING: Final = Opcode.PING.value
PONG: Final = Opcode.PONG.value

REASON_BYTES_MAX: Final = 123
"""Of a close frame, whose code takes two of the 125 that a control frame may have."""

_FIN: Final = 0x80  # of the first octet
_CONTROL: Final = 0x08
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80  # of the second
_LENGTH: Final = 0x7F
_WORD: Final = 126  # as a length: it follows in two octets
_MASK_BYTES: Final = 4
_CONTROL_BYTES_MAX: Final = 125
_WHOLE_TEXT: Final = _FIN | TEXT

_BEGINNINGS: Final = frozenset({TEXT, _WHOLE_TEXT})
_CONTINUATIONS: Final = frozenset({Opcode.CONT.value, _FIN | Opcode.CONT.value})
_CONTROLS: Final = frozenset({_FIN | CLOSE, _FIN | PING, _FIN | PONG})
_BINARIES: Final = frozenset({Opcode.BINARY.value, _FIN | Opcode.BINARY.value})
"""First octets that may be: reserved bits are 0, and control frames whole."""

_SHORT_HEADS: Final = [bytes((_WHOLE_TEXT, length)) for length in range(_WORD)]
_WORD_HEAD: Final = bytes((_WHOLE_TEXT, _WORD))
_LONG_HEAD: Final = bytes((_WHOLE_TEXT, _WORD + 1))
_WORD_MAX: Final = (1 << 16) - 1

Frame = tuple[int, bytes]
"""Opcode, of a control frame or ``TEXT`` for a message; and what it carries, whole."""


class FrameError(Exception):
    """The peer breaks the protocol, or our bounds: nothing behind this can be read.

    Attributes:
        code: To close with.
        reason: Constant words.
    """

    def __init__(self, code: CloseCode, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class FrameReader:
    """Reads one peer's frames.

    Args:
        message_bytes_max: Of one message, all its fragments together.
        fragments_max: Frames one message may have.
    """

    __slots__ = ("_at", "_bytes_max", "_fragments", "_fragments_max", "_needed", "_unread")

    def __init__(self, message_bytes_max: int, fragments_max: int) -> None:
        self._bytes_max = message_bytes_max
        self._fragments_max = fragments_max
        self._unread: bytes | bytearray = b""
        self._at = 0  # of it is read
        self._needed = 0  # bytes, for the frame that has begun
        self._fragments: list[bytes] | None = None  # of the message that has begun

    @property
    def unread_bytes(self) -> int:
        """How much waits, with what has come of a message that has begun."""
        return len(self._unread) - self._at + sum(map(len, self._fragments or ()))

    @property
    def is_between(self) -> bool:
        """Whether no message or control frame has begun and is not whole."""
        return not self._unread and self._fragments is None

    def feed(self, data: bytes) -> None:
        """Take what came behind the rest."""
        if self._unread:
            if not isinstance(self._unread, bytearray):
                self._unread = bytearray(self._unread)
            self._unread += data
        else:
            self._unread = data  # so it is nearly always

    def forget(self) -> None:
        """Throw away what waits."""
        self._unread, self._at, self._needed, self._fragments = b"", 0, 0, None

    def next(self) -> Frame | None:
        """Return the next message or control frame; ``None`` if it has not come yet.

        Raises:
            FrameError: 1002, 1003, 1007 or 1009; then nothing more can be asked for.
        """
        # Nothing is left behind nearly every frame, and is not looked at.
        while self._unread and (frame := self._next_frame()) is not None:
            head, content = frame
            if head & _CONTROL:
                return head & _OPCODE, content
            if head == _WHOLE_TEXT:
                return TEXT, _checked(content)
            if head & _OPCODE == TEXT:
                self._fragments = []
            assert self._fragments is not None, "a continuation continues"
            self._fragments.append(content)
            if head & _FIN:
                content, self._fragments = b"".join(self._fragments), None
                return TEXT, _checked(content)
        return None

    def _next_frame(self) -> Frame | None:
        """Return the next frame's first octet and its content, unmasked."""
        unread, at = self._unread, self._at
        waiting = len(unread) - at
        if waiting < self._needed or waiting < 2:  # noqa: PLR2004  # octets before the length
            self._wait(self._needed)
            return None
        head, second = unread[at], unread[at + 1]
        if head != _WHOLE_TEXT or second < _MASKED or self._fragments is not None:
            self._check_head(head, second)
        length, begin = second & _LENGTH, at + 2
        if length >= _WORD:
            begin += 2 if length == _WORD else 8
            if begin > len(unread):
                self._wait(begin - at)
                return None
            length = self._long_length(unread[at + 2 : begin])
        content_at = begin + _MASK_BYTES
        end = content_at + length
        if end > len(unread):
            self._wait(end - at)
            return None
        content = apply_mask(unread[content_at:end], unread[begin:content_at])
        self._needed = 0
        if end == len(unread):
            self._unread, self._at = b"", 0
        else:
            self._at = end
        return head, content

    def _check_head(self, head: int, second: int) -> None:
        """Judge a frame by all but the length of its content.

        Raises:
            FrameError: 1002, 1003 or 1009.
        """
        fragments = self._fragments
        if head in _BINARIES:
            raise FrameError(CloseCode.UNSUPPORTED_DATA, "binary")
        if head in _CONTROLS:
            if second & _LENGTH > _CONTROL_BYTES_MAX:
                raise FrameError(CloseCode.PROTOCOL_ERROR, "control frame too long")
        elif head not in (_BEGINNINGS if fragments is None else _CONTINUATIONS):
            raise FrameError(CloseCode.PROTOCOL_ERROR, "reserved bit, opcode or fragment")
        elif fragments is not None and len(fragments) >= self._fragments_max:
            raise FrameError(CloseCode.MESSAGE_TOO_BIG, "too many fragments")
        if second < _MASKED:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "not masked")
        if fragments is not None and not head & _CONTROL:
            self._check_sum(second & _LENGTH)

    def _long_length(self, octets: bytes | bytearray) -> int:
        """Read a length that is no short one.

        Raises:
            FrameError: 1002 or 1009.
        """
        length = int.from_bytes(octets)
        if length < _WORD or (len(octets) > 2 and length <= _WORD_MAX):  # noqa: PLR2004  # a word
            raise FrameError(CloseCode.PROTOCOL_ERROR, "length in too many octets")
        self._check_sum(length)
        return length

    def _check_sum(self, length: int) -> None:
        if length + sum(map(len, self._fragments or ())) > self._bytes_max:
            raise FrameError(CloseCode.MESSAGE_TOO_BIG, "message too long")

    def _wait(self, needed: int) -> None:
        """Keep what has come of a frame until there are *needed* bytes of it."""
        self._needed = needed
        if self._at:
            self._unread, self._at = self._unread[self._at :], 0


def read_close(content: bytes) -> int:
    """Return the code of a close frame; 1005 if it has none.

    Raises:
        FrameError: 1002, or 1007 for its reason.
    """
    try:
        return Close.parse(content).code
    except InvalidCloseError as error:
        raise FrameError(CloseCode.PROTOCOL_ERROR, "bad close frame") from error
    except UnicodeDecodeError as error:
        raise _not_text() from error


def text_frame(payload: bytes) -> bytes:
    """Write a text message, which is UTF-8, as a server's frame."""
    length = len(payload)
    if length < _WORD:
        return _SHORT_HEADS[length] + payload
    if length <= _WORD_MAX:
        return _WORD_HEAD + length.to_bytes(2) + payload
    return _LONG_HEAD + length.to_bytes(8) + payload


def control_frame(opcode: int, content: bytes) -> bytes:
    """Write a control frame of at most 125 B, as a server's."""
    return bytes((_FIN | opcode, len(content))) + content


def close_frame(code: int, reason: str) -> bytes:
    """Write a close frame; of *reason*, which is ASCII, as much as fits."""
    return control_frame(CLOSE, code.to_bytes(2) + reason.encode("ascii")[:REASON_BYTES_MAX])


def _checked(text: bytes) -> bytes:
    """Return *text*, which is UTF-8.

    Raises:
        FrameError: 1007: it is not.
    """
    if not text.isascii():
        try:
            text.decode()
        except UnicodeDecodeError as error:
            raise _not_text() from error
    return text


def _not_text() -> FrameError:
    return FrameError(CloseCode.INVALID_DATA, "not UTF-8")
