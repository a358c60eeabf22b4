"""Every kind of frame of ``GET /v1/stream``, each with one example: what the contract shows.

The examples are made of the very structs that frames are decoded into and encoded from.
"""

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from edge.core.closing import DRAINING
from edge.core.contract import EXAMPLE
from edge.core.lane import Lane
from edge.core.ops import (
    BATCH_EVENTS_MAX,
    FRAME_BYTES_MAX,
    ByeOp,
    EventsOp,
    ExpiringOp,
    InOp,
    Limits,
    OutOp,
    PushOp,
    RefusedEntry,
    RenewedOp,
    TokenOp,
    VerdictsOp,
    WelcomeOp,
)
from edge.core.reject import Reason
from edge.core.schema import Schema

_NOW_MS: Final = 1_785_528_000_456  # EXAMPLE was made a third of a second before
_END_MS: Final = _NOW_MS // 1000 * 1000 + 3_600_000

PUSHED: Final[Schema] = {
    "specversion": "1.0",
    "id": "01985700-1c3a-7d05-a2f4-6e0b9d8c7a51",
    "source": "//jackpots.example",
    "type": "jackpot.pot.grown",
    "time": "2026-07-31T20:00:01Z",
    "pushto": "all",
    "pushtopic": "jackpots",
    "pushkey": "mega",
    "data": {"amount_minor": 123456789, "currency": "EUR"},
}
"""What an operator's system may publish to players."""


class Saying(NamedTuple):
    """One kind of frame.

    Attributes:
        action: What the gateway does with it.
        operation: Names that.
        summary: When, and what for.
        example: One frame of it.
        answer: The op it is answered with.
    """

    action: Literal["receive", "send"]
    operation: str
    summary: str
    example: InOp | OutOp
    answer: str | None = None

    @property
    def op(self) -> str:
        """How the frame names itself."""
        return str(type(self.example).__struct_config__.tag)


SAYINGS: Final[Sequence[Saying]] = (
    Saying(
        "receive",
        "judgeEvents",
        f"Events, at most {BATCH_EVENTS_MAX}; each gets one verdict, after its sync.",
        EventsOp([EXAMPLE]),
        "verdicts",
    ),
    Saying(
        "receive",
        "renewToken",
        "A newer token of the same player and session, before the old one ends.",
        TokenOp("eyJ0eXAiOiJhdCtqd3QifQ.eyJzdWIiOiJwIn0.c2ln"),
        "renewed",
    ),
    Saying(
        "send",
        "welcome",
        "The first frame: where the session stands, and what the socket may send.",
        WelcomeOp(
            session=EXAMPLE["session"],
            known=True,
            next_seq=EXAMPLE["seq"],
            server_time_ms=_NOW_MS,
            expires_at_ms=_END_MS,
            limits=Limits(
                frame_bytes=FRAME_BYTES_MAX,
                events=BATCH_EVENTS_MAX,
                frames_per_s=50,
                events_per_s=2000,
                in_flight_bytes=256 * 1024,
            ),
            lanes={lane.value: "open" for lane in Lane},
        ),
    ),
    Saying(
        "send",
        "tellVerdicts",
        "Everything decided since the last one, of however many frames.",
        VerdictsOp(
            settled=17,
            highest=20,
            missing=[(18, 18)],
            refused=[
                RefusedEntry(
                    frame=2,
                    index=0,
                    id="019856f0-7a11-7c08-9e60-3d4f1b2a5c66",
                    seq=18,
                    code=Reason.RATE_EXCEEDED.code,
                    pointer=None,
                    retryable=True,
                ),
                RefusedEntry(
                    frame=2,
                    index=1,
                    id="019856f0-7a11-7c08-9e60-3d4f1b2a5c67",
                    seq=19,
                    code=Reason.SCHEMA_VIOLATION.code,
                    pointer="/data/stake/amount_minor",
                    retryable=False,
                ),
            ],
            retry_after_ms=350,
        ),
    ),
    Saying(
        "send",
        "confirmRenewal",
        "The newer token counts from here on.",
        RenewedOp(_END_MS),
    ),
    Saying(
        "send",
        "warnOfExpiry",
        "The token ends within a minute: renew it, or the socket ends with it.",
        ExpiringOp(_END_MS),
    ),
    Saying(
        "send",
        "push",
        "Something published for this player, session, brand, or for all.",
        PushOp(msgspec.Raw(msgspec.json.encode(PUSHED))),
    ),
    Saying(
        "send",
        "takeLeave",
        "The last frame: why the socket is closed, and when to come back.",
        ByeOp(
            code=DRAINING.code,
            reason=DRAINING.reason,
            reconnect_after_ms=420,
        ),
    ),
)
"""All there are, each with its example."""
