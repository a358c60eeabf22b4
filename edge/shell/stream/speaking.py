"""The speaking half of a socket: what is sent, until when, and how the connection is cut.

And the bounds of both halves, for there is one set of them.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from websockets.frames import CloseCode

from edge.shell.stream.frames import PING, control_frame, text_frame

OPEN: Final = 0
ENDING: Final = 1
CLOSING: Final = 2
DEAF: Final = 3
LOST: Final = 4
"""States, in their order; :mod:`edge.shell.stream.socket_wire` tells what each means."""

_PING_FRAME: Final = control_frame(PING, b"")


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What one socket may do; one for all.

    Attributes:
        message_bytes: Of a text message; what is longer has code 1009.
        fragments: It may come in; of more, 1009.
        frames_per_s: Text messages; of more, 4429.
        control_frames_per_s: Pings, and pongs; of more, 1008.
        write_buffer_bytes: Not yet taken by the peer; with more, nothing is heard.
        write_buffer_s: So long; then the connection is cut.
        wait_s: A text may be parked; then 1013. And as long is the burst of either rate.
        close_s: The peer has for its close frame: a round trip to the far side of the world.
    """

    message_bytes: int = 64 * 1024
    fragments: int = 64
    frames_per_s: int = 50
    control_frames_per_s: int = 10
    write_buffer_bytes: int = 256 * 1024
    write_buffer_s: float = 10.0
    wait_s: float = 5.0
    close_s: float = 0.5


class Speaking(asyncio.Protocol):
    """What a talk may do with its socket to say something.

    Args:
        limits: The same for all.
    """

    __slots__ = ("_code", "_limits", "_state", "_timer", "_transport")

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._transport: asyncio.Transport
        self._state = OPEN
        self._code = CloseCode.ABNORMAL_CLOSURE.value
        self._timer: asyncio.TimerHandle | None = None  # cuts the connection

    @property
    def write_buffer_bytes(self) -> int:
        """How much the peer has not taken yet."""
        return 0 if self._state == LOST else self._transport.get_write_buffer_size()

    def send(self, payload: bytes) -> None:
        """Send a text, which is UTF-8; nothing once the socket closes."""
        if self._state <= ENDING:
            self._transport.write(text_frame(payload))

    def send_wire(self, frame: bytes) -> None:
        """Send what :func:`text_frame` made; nothing once the socket closes."""
        if self._state <= ENDING:
            self._transport.write(frame)

    def ping(self) -> None:
        """Ask the peer whether it is there."""
        if self._state <= ENDING:
            self._transport.write(_PING_FRAME)

    def abort(self) -> None:
        """Cut the connection."""
        if self._state != LOST:
            self._transport.abort()

    def _cut_after(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._transport.abort)
