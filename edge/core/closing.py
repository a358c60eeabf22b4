"""Why sockets end: every close code of ours, what it says, and which refusal brings which.

Source: RFC 6455 §7.4; design.md §4; threats.md, WebSocket column.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from edge.core.reject import Reason

LEAVING: Final = 1012
OVERLOADED: Final = 1013
BUG: Final = 1011
TOKEN: Final = 4401
FORBIDDEN: Final = 4403
SILENT: Final = 4408
REPLACED: Final = 4409
FLOOD: Final = 4429

CLOSE_CODES: Final[Mapping[int, str]] = MappingProxyType(
    {
        1002: "The frames break RFC 6455; correct the client.",
        1003: "A binary frame, where all are text; correct the client.",
        1007: "A text frame that is not UTF-8; correct the client.",
        1008: "Too many pings and pongs; come back, and send fewer.",
        1009: "A message over 64 KiB, or in more than 64 fragments; correct the client.",
        BUG: "A bug of the gateway; come back, and report it.",
        LEAVING: "The gateway leaves; come back after reconnect_after_ms.",
        OVERLOADED: "The gateway can do no more for now; come back after reconnect_after_ms.",
        TOKEN: "The token is over, or not believed; come back with a new one.",
        FORBIDDEN: "Not with this token, or not in this session any more; do not come back.",
        SILENT: "No frame in time; come back when there is something to say.",
        REPLACED: "A newer socket of the same session has taken over; do not come back.",
        FLOOD: "Too many frames; come back, and send fewer per second.",
    }
)
"""What a gateway closes with, and what that says to a client's developer."""

SPREAD: Final = frozenset({LEAVING, OVERLOADED})
"""They come to many at once: each is told a time of its own to come back."""

_CODES: Final = {
    Reason.TOKEN_MISSING: TOKEN,
    Reason.TOKEN_INVALID: TOKEN,
    Reason.TOKEN_EXPIRED: TOKEN,
    Reason.SESSION_REVOKED: FORBIDDEN,
    Reason.SUBJECT_MISMATCH: FORBIDDEN,
    Reason.BRAND_MISMATCH: FORBIDDEN,
    Reason.SCOPE_MISSING: FORBIDDEN,
    Reason.KEYS_UNAVAILABLE: OVERLOADED,
}

BYES: Final[Mapping[str, int]] = MappingProxyType(
    {
        # Nobody on a socket has no token at all.
        **{each.code: _CODES[each] for each in _CODES if each is not Reason.TOKEN_MISSING},
        Reason.DRAINING.code: LEAVING,
        Reason.INTERNAL_ERROR.code: BUG,
        "overloaded": OVERLOADED,
        "silent": SILENT,
        "replaced": REPLACED,
        "flood": FLOOD,
    }
)
"""What a ``bye`` may give as its reason, and the code that goes with it."""

# Normal, going away, none stated, none at all: a client's own ends.
_THEIRS: Final = frozenset({1000, 1001, 1005, 1006})


def close_code(reason: Reason) -> int:
    """Return what a socket is closed with whose token is not believed for *reason*."""
    return _CODES[reason]


def close_label(code: int) -> str:
    """Return under what an end is counted: clients choose among thousands of codes."""
    return str(code) if code in CLOSE_CODES or code in _THEIRS else "other"
