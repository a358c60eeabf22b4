"""What is said on a gateway's socket, as a client reads and writes it: one type per frame.

In: text frames; out: typed words, or ``None`` for one that this client does not know: a newer
gateway may say more. Written from design.md, not derived from the gateway's types.

Source: design.md §4 "WebSocket".
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import msgspec

EVENTS_HEAD: Final = b'{"op":"events","events":['
EVENTS_TAIL: Final = b"]}"


class NotUnderstoodError(Exception):
    """A frame is not what the contract says; the message names what it was meant to be."""


class Limits(msgspec.Struct, frozen=True):
    """What this socket takes.

    Attributes:
        frame_bytes: Of one text frame, at most.
        events: In one frame, at most.
        frames_per_s: More than these, for a while, is a flood.
        in_flight_bytes: Of frames without a verdict, before the gateway reads no further.
    """

    frame_bytes: int = 65_536
    events: int = 200
    frames_per_s: float = 50
    in_flight_bytes: int = 262_144


class Welcome(msgspec.Struct, frozen=True, tag_field="op", tag="welcome"):
    """The first frame of every socket.

    Attributes:
        session: Its UUID, from the token.
        next_seq: The first number that this node has not seen; 1 if it knows nothing.
        server_time_ms: The gateway's wall clock, unix ms.
        expires_at_ms: When the token ends, by the same clock.
        known: Whether this node knows the session.
        limits: What it takes.
        lanes: ``open``, ``full`` or ``failed``, by name.
    """

    session: str
    next_seq: int
    server_time_ms: int
    expires_at_ms: int
    known: bool = True
    limits: Limits = Limits()
    lanes: Mapping[str, str] = {}


class Refused(msgspec.Struct, frozen=True):
    """One event, or one frame, that was turned away.

    Attributes:
        frame: Its number on this socket, from 1.
        index: Of the event in that frame; ``None``: the frame.
        code: Why.
        retryable: The very same event may be sent again.
        pointer: Where in the event, RFC 6901.
    """

    frame: int
    index: int | None
    code: str
    retryable: bool
    pointer: str | None = None


class Verdicts(msgspec.Struct, frozen=True, tag_field="op", tag="verdicts"):
    """What became of events.

    Attributes:
        settled: Every number up to here is done.
        highest: Every number up to here is done but those of *missing*.
        missing: Inclusive ranges, ascending.
        refused: Those told now.
        retry_after_ms: When to send again what is retryable.
    """

    settled: int
    highest: int
    missing: list[tuple[int, int]]
    refused: list[Refused]
    retry_after_ms: int | None = None


class Renewed(msgspec.Struct, frozen=True, tag_field="op", tag="renewed"):
    """The new token counts.

    Attributes:
        expires_at_ms: When it ends, the gateway's unix ms.
    """

    expires_at_ms: int


class Expiring(msgspec.Struct, frozen=True, tag_field="op", tag="expiring"):
    """The token ends soon.

    Attributes:
        expires_at_ms: When, the gateway's unix ms.
    """

    expires_at_ms: int


class Push(msgspec.Struct, frozen=True, tag_field="op", tag="push"):
    """Something the origin has to tell.

    Attributes:
        event: An ``edge.push.v1`` event.
    """

    event: dict[str, Any]  # any JSON


class Bye(msgspec.Struct, frozen=True, tag_field="op", tag="bye"):
    """The gateway closes.

    Attributes:
        code: As its close frame will say.
        reason: Why, in one word.
        reconnect_after_ms: Not before; 0 or ``None``: as you like.
    """

    code: int
    reason: str
    reconnect_after_ms: int | None = None


Word: TypeAlias = Welcome | Verdicts | Renewed | Expiring | Push | Bye


class _Op(msgspec.Struct, frozen=True):
    op: str


_WORDS: Final = msgspec.json.Decoder(Word)
_OPS: Final = msgspec.json.Decoder(_Op)
_KNOWN: Final = frozenset({"welcome", "verdicts", "renewed", "expiring", "push", "bye"})


def read(text: str | bytes) -> Word | None:
    """Read one frame; ``None``: it says something that this client does not know.

    Raises:
        NotUnderstoodError: It is no frame of the contract.
    """
    try:
        word: Word = _WORDS.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        op = _op(text)
        if op not in _KNOWN:
            return None
        raise NotUnderstoodError(f"{op}: {error}") from error
    return word


def _op(text: str | bytes) -> str:
    try:
        return _OPS.decode(text).op
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotUnderstoodError(f"no frame with an op: {error}") from error


def write_events(encoded: Iterable[bytes]) -> bytes:
    """Write a frame of events that are encoded already."""
    return EVENTS_HEAD + b",".join(encoded) + EVENTS_TAIL


def write_token(token: str) -> bytes:
    """Write a frame that renews the token."""
    return msgspec.json.encode({"op": "token", "token": token})
