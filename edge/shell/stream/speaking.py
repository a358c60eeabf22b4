"""What one socket says: texts and pings in, frames written to its connection out.

Every part of a socket goes by its state, of which there are four, in this order:

=======  ==========================================  ============================================
state    what comes                                  what may be sent
=======  ==========================================  ============================================
OPEN     texts are heard, pings answered             all
ENDING   texts are dropped, pings answered           all: the talk tells what is pending, and
                                                     says good-bye
CLOSED   until the peer's close frame, or its end    nothing: our close frame is written
LOST     nothing any more                            nothing
=======  ==========================================  ============================================

Besides, a socket that is ENDING or CLOSED may be *deaf*: its peer has broken a rule, or has said
that nothing more will come. Whatever comes then is thrown away as it is.

The bounds of all parts are here too, for there is one set of them.

Source: RFC 6455 §5.5, §7; threats.md rows 3, 14, 15, 49, 50.
"""

import asyncio
from abc import ABC
from dataclasses import dataclass
from typing import Final

from websockets.frames import CloseCode

from edge.config import Stream
from edge.core.ops import BURST_S, FRAGMENTS_MAX, FRAME_BYTES_MAX
from edge.shell.stream.frames import PING, control_frame, text_frame

OPEN: Final = 0
ENDING: Final = 1
CLOSED: Final = 2
LOST: Final = 3

_PING_FRAME: Final = control_frame(PING, b"")
_SETTINGS: Final = Stream()  # whose defaults are those of its bounds


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What one socket may do; one for all.

    Attributes:
        message_bytes: Of a text message; what is longer has code 1009.
        fragments: It may come in; of more, 1009.
        message_s: From its first byte, while we read; then the connection is cut. So long take
            64 KiB at the slowest pace a body may have, 1 KiB/s.
        frames_per_s: Text messages; of more, 4429.
        control_frames_per_s: Pings, and pongs; of more, 1008.
        write_buffer_bytes: Not yet taken by the peer; with more, nothing is heard.
        write_buffer_s: So long; then the connection is cut.
        wait_s: A text may be parked; then 1013. And as long is the burst of either rate.
        close_s: The peer has for its close frame: a round trip to the far side of the world.
    """

    message_bytes: int = FRAME_BYTES_MAX
    fragments: int = FRAGMENTS_MAX
    message_s: float = 64.0
    frames_per_s: int = _SETTINGS.frames_per_s
    control_frames_per_s: int = _SETTINGS.control_frames_per_s
    write_buffer_bytes: int = 256 * 1024
    write_buffer_s: float = 10.0
    wait_s: float = BURST_S
    close_s: float = 0.5


class Speaking(asyncio.Protocol, ABC):
    """What a talk may do with its socket to say something.

    Args:
        limits: The same for all.

    Attributes:
        has_stirred: Something came since we last pinged, or may have: we did not read.
    """

    __slots__ = ("_code", "_limits", "_state", "_timer", "_transport", "has_stirred")

    def __init__(self, limits: WireLimits) -> None:
        self.has_stirred = False
        self._limits = limits
        self._transport: asyncio.Transport
        self._state = OPEN
        self._code = CloseCode.ABNORMAL_CLOSURE.value
        self._timer: asyncio.TimerHandle | None = None  # cuts the connection

    @property
    def write_buffer_bytes(self) -> int:
        """How much the peer has not taken yet."""
        return 0 if self._state == LOST else self._transport.get_write_buffer_size()

    def send(self, payload: bytes) -> bool:
        """Send a text, which is UTF-8; return whether it may still be sent."""
        return self.send_wire(text_frame(payload))

    def send_wire(self, frame: bytes) -> bool:
        """Send what :func:`text_frame` made; return whether it may still be sent."""
        if self._state > ENDING or self._transport.is_closing():
            return False
        self._transport.write(frame)
        return True

    def ping(self) -> None:
        """Ask the peer whether it is there."""
        self.has_stirred = False
        self.send_wire(_PING_FRAME)

    def abort(self) -> None:
        """Cut the connection."""
        if self._state != LOST:
            self._transport.abort()

    def _cut_after(self, seconds: float) -> None:
        self._call_off_cut()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._transport.abort)

    def _call_off_cut(self) -> None:
        """Do not cut the connection after all."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
