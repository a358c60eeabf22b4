"""The frames of ``GET /v1/stream`` as types: what a client may send, what it is sent.

Each is one JSON object whose ``op`` says which it is. What comes in is read by
:func:`edge.core.decode.decode_frame`; :func:`encode` writes what goes out.

Source: design.md §4, "WebSocket".
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeAlias, TypeVar

import msgspec

SUBPROTOCOL: Final = "edge.v1.json"
BEARER: Final = "bearer."
"""Before a token among the subprotocols: the one place where a browser can put it."""

FRAME_BYTES_MAX: Final = 64 * 1024  # design.md §4: a text frame, its fragments together
BATCH_EVENTS_MAX: Final = 200  # design.md §4: of one frame, or one request
FRAGMENTS_MAX: Final = 64  # of it: a client that streams does so by the KiB

BURST_S: Final = 5
"""Of each rate of a socket, at once: for so long its client may have been in a tunnel, or a frame
of it parked."""

_EventT = TypeVar("_EventT")
_ENCODER: Final = msgspec.json.Encoder()


class EventsOp(
    msgspec.Struct,
    Generic[_EventT],
    frozen=True,
    tag_field="op",
    tag="events",
    forbid_unknown_fields=True,
    gc=False,
):
    """In: events to be judged, at most as many as a batch may have.

    Attributes:
        events: In the order in which they are judged.
    """

    events: list[_EventT]


class TokenOp(
    msgspec.Struct,
    frozen=True,
    tag_field="op",
    tag="token",
    forbid_unknown_fields=True,
    gc=False,
):
    """In: a newer token of the same player and session.

    Attributes:
        token: Compact JWS. Not trusted, and never written anywhere.
    """

    token: str


class Limits(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What one socket may send.

    Attributes:
        frame_bytes: Of one text frame, its fragments together.
        events: In one frame.
        frames_per_s: Text frames; more are a flood, and end the socket.
        events_per_s: Whatever their verdicts; when there are more, nothing is read for a while.
        in_flight_bytes: Of frames without a verdict; when there are more, nothing is read.
    """

    frame_bytes: int
    events: int
    frames_per_s: int
    events_per_s: int
    in_flight_bytes: int


class WelcomeOp(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="welcome", gc=False
):
    """Out, first of all.

    Attributes:
        session: The token's ``sid``.
        known: Whether this node remembers the session; if not, the client sends whatever has
            no verdict yet.
        next_seq: Above every number of the session this node knows of.
        server_time_ms: Unix ms.
        expires_at_ms: The token's ``exp``, unix ms, without leeway.
        limits: What the socket may send.
        lanes: By lane, a :class:`edge.core.lane.LaneState`.
    """

    session: str
    known: bool
    next_seq: int
    server_time_ms: int
    expires_at_ms: int
    limits: Limits
    lanes: Mapping[str, str]


class RefusedEntry(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One event turned away, or one frame that could not be read.

    Attributes:
        frame: The text frame it came in, from 1 for the socket's first, whatever its op.
        index: Its place in the frame, from 0; ``None`` when the frame itself was unreadable.
        id: Its ``id``, only if that is valid.
        seq: Its number in this session, only if that is valid.
        code: Why: a code of the catalogue, a promise.
        pointer: RFC 6901, into the event; ``None`` where no one place is at fault.
        retryable: Whether the very same event may be sent again.
    """

    frame: int
    index: int | None
    id: str | None
    seq: int | None
    code: str
    pointer: str | None
    retryable: bool


class VerdictsOp(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="verdicts", gc=False
):
    """Out: everything that was decided since the last one.

    An event under way has its verdict if it is listed as refused; else, if its number is at
    most *settled*, or at most *highest* and not in *missing*: it is durable, now or before.

    Attributes:
        settled: Every number up to here has its final verdict.
        highest: The highest number that has one.
        missing: Ranges of numbers up to *highest* that have none, inclusive, in order. The
            first may cover some that have one, of which earlier frames told.
        refused: Frame by frame in the order they were decided.
        retry_after_ms: When sending the retryable ones again may help; ``None`` if there are
            none.
    """

    settled: int
    highest: int
    missing: Sequence[tuple[int, int]]
    refused: Sequence[RefusedEntry]
    retry_after_ms: int | None


class RenewedOp(msgspec.Struct, frozen=True, tag_field="op", tag="renewed", gc=False):
    """Out: the newer token counts from here on.

    Attributes:
        expires_at_ms: Its ``exp``, unix ms, without leeway.
    """

    expires_at_ms: int


class ExpiringOp(msgspec.Struct, frozen=True, tag_field="op", tag="expiring", gc=False):
    """Out: the token ends soon.

    Attributes:
        expires_at_ms: Its ``exp``, unix ms, without leeway.
    """

    expires_at_ms: int


class PushOp(msgspec.Struct, frozen=True, tag_field="op", tag="push", gc=False):
    """Out: an event for this player, published at the origin.

    Attributes:
        event: Its JSON.
    """

    event: msgspec.Raw


class ByeOp(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="bye", gc=False):
    """Out, last of all: why the socket is closed.

    Attributes:
        code: The close code that follows.
        reason: A code of the catalogue, or a word of the close codes' table.
        reconnect_after_ms: When to connect again, at the earliest.
    """

    code: int
    reason: str
    reconnect_after_ms: int


InOp: TypeAlias = EventsOp[Any] | TokenOp
OutOp: TypeAlias = WelcomeOp | VerdictsOp | RenewedOp | ExpiringOp | PushOp | ByeOp


def encode(op: OutOp) -> bytes:
    """Write one frame's text, UTF-8."""
    return _ENCODER.encode(op)
