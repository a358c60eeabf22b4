"""Why sockets end: every close code of ours, what it says, and which refusal brings which.

:data:`CLOSINGS` is the one table; whoever ends a socket takes its :class:`End` from here.

Source: RFC 6455 §7.4; design.md §4; threats.md, WebSocket column.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, NamedTuple

from edge.core.ops import FRAGMENTS_MAX, FRAME_BYTES_MAX
from edge.core.reject import Reason


class End(NamedTuple):
    """One way a socket ends, as its ``bye`` and its close frame say.

    Attributes:
        code: Of the close frame.
        reason: A code of the catalogue, or a word of ours: no text for people.
    """

    code: int
    reason: str


_OVERLOAD: Final = 1013
_TOKEN: Final = 4401
_FORBIDDEN: Final = 4403

BUG: Final = End(1011, Reason.INTERNAL_ERROR.code)
DRAINING: Final = End(1012, Reason.DRAINING.code)
OVERLOADED: Final = End(_OVERLOAD, "overloaded")
KEYLESS: Final = End(_OVERLOAD, Reason.KEYS_UNAVAILABLE.code)
INVALID: Final = End(_TOKEN, Reason.TOKEN_INVALID.code)
EXPIRED: Final = End(_TOKEN, Reason.TOKEN_EXPIRED.code)
REVOKED: Final = End(_FORBIDDEN, Reason.SESSION_REVOKED.code)
TRESPASSING: Final = End(_FORBIDDEN, Reason.SUBJECT_MISMATCH.code)
STRANGE: Final = End(_FORBIDDEN, Reason.BRAND_MISMATCH.code)
MUTE: Final = End(_FORBIDDEN, Reason.SCOPE_MISSING.code)
SILENT: Final = End(4408, "silent")
REPLACED: Final = End(4409, "replaced")
FLOOD: Final = End(4429, "flood")


class Closing(NamedTuple):
    """One close code.

    Attributes:
        code: RFC 6455's, or one of our own.
        meaning: What it says to a client's developer.
        ends: What brings it, told in a ``bye``; none: a rule of the wire that the client broke,
            which the close frame alone tells.
        is_spread: It comes to many at once: each is told a time of its own to come back.
    """

    code: int
    meaning: str
    ends: Sequence[End] = ()
    is_spread: bool = False


CLOSINGS: Final[Sequence[Closing]] = (
    Closing(1002, "The frames break RFC 6455; correct the client."),
    Closing(1003, "A binary frame, where all are text; correct the client."),
    Closing(1007, "A text frame that is not UTF-8; correct the client."),
    Closing(1008, "Too many pings and pongs; come back, and send fewer."),
    Closing(
        1009,
        f"A message over {FRAME_BYTES_MAX >> 10} KiB, or in more than {FRAGMENTS_MAX} "
        "fragments; correct the client.",
    ),
    Closing(BUG.code, "A bug of the gateway; come back, and report it.", [BUG]),
    Closing(
        DRAINING.code,
        "The gateway leaves; come back after reconnect_after_ms.",
        [DRAINING],
        is_spread=True,
    ),
    Closing(
        _OVERLOAD,
        "The gateway can do no more for now; come back after reconnect_after_ms.",
        [KEYLESS, OVERLOADED],
        is_spread=True,
    ),
    Closing(
        _TOKEN,
        "The token is over, or not believed; come back with a new one.",
        [EXPIRED, INVALID],
    ),
    Closing(
        _FORBIDDEN,
        "Not with this token, or not in this session any more; do not come back.",
        [STRANGE, MUTE, REVOKED, TRESPASSING],
    ),
    Closing(
        SILENT.code, "No frame in time; come back when there is something to say.", [SILENT]
    ),
    Closing(
        REPLACED.code,
        "A newer socket of the same session has taken over; do not come back, unless it may be "
        "your own.",
        [REPLACED],
    ),
    Closing(FLOOD.code, "Too many frames; come back, and send fewer per second.", [FLOOD]),
)
"""All there are, by code."""

CLOSE_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {each.code: each.meaning for each in CLOSINGS}
)
"""What a gateway closes with, and what that says to a client's developer."""

SPREAD: Final = frozenset(each.code for each in CLOSINGS if each.is_spread)
"""They come to many at once: each is told a time of its own to come back."""

BYES: Final[Mapping[str, int]] = MappingProxyType(
    {end.reason: end.code for each in CLOSINGS for end in each.ends}
)
"""What a ``bye`` may give as its reason, and the code that goes with it."""

# Normal, going away, none stated, none at all: a client's own ends.
_THEIRS: Final = frozenset({1000, 1001, 1005, 1006})


def end_of(reason: Reason) -> End:
    """Return how a socket ends whose token is not believed, or met a bug, for *reason*."""
    code = reason.code
    return INVALID if reason is Reason.TOKEN_MISSING else End(BYES[code], code)


def close_label(code: int) -> str:
    """Return under what an end is counted: clients choose among thousands of codes."""
    return str(code) if code in CLOSE_CODES or code in _THEIRS else "other"
