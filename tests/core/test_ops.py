"""Frames are written as the wire contract has them, member by member."""

import msgspec
import pytest

from edge.core.ops import (
    ByeOp,
    ExpiringOp,
    Limits,
    OutOp,
    PushOp,
    RefusedEntry,
    RenewedOp,
    VerdictsOp,
    WelcomeOp,
    encode,
)

LIMITS = Limits(
    frame_bytes=65536, events=200, frames_per_s=50, events_per_s=2000, in_flight_bytes=262144
)
REFUSED = RefusedEntry(
    frame=3, index=0, id="…", seq=61, code="clock_skew", pointer="/time", retryable=False
)
UNREADABLE = RefusedEntry(
    frame=4,
    index=None,
    id=None,
    seq=None,
    code="body_malformed",
    pointer=None,
    retryable=False,
)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        pytest.param(
            WelcomeOp(
                session="s",
                known=True,
                next_seq=58,
                server_time_ms=0,
                expires_at_ms=1,
                limits=LIMITS,
                lanes={"bet": "open"},
            ),
            '{"op":"welcome","session":"s","known":true,"next_seq":58,"server_time_ms":0,'
            '"expires_at_ms":1,"limits":{"frame_bytes":65536,"events":200,"frames_per_s":50,'
            '"events_per_s":2000,"in_flight_bytes":262144},"lanes":{"bet":"open"}}',
            id="welcome",
        ),
        pytest.param(
            VerdictsOp(
                settled=57,
                highest=64,
                missing=[(58, 60)],
                refused=[REFUSED, UNREADABLE],
                retry_after_ms=None,
            ),
            '{"op":"verdicts","settled":57,"highest":64,"missing":[[58,60]],"refused":['
            '{"frame":3,"index":0,"id":"…","seq":61,"code":"clock_skew","pointer":"/time",'
            '"retryable":false},'
            '{"frame":4,"index":null,"id":null,"seq":null,"code":"body_malformed",'
            '"pointer":null,"retryable":false}],"retry_after_ms":null}',
            id="verdicts",
        ),
        pytest.param(RenewedOp(5), '{"op":"renewed","expires_at_ms":5}', id="renewed"),
        pytest.param(ExpiringOp(5), '{"op":"expiring","expires_at_ms":5}', id="expiring"),
        pytest.param(
            PushOp(msgspec.Raw(b'{"id": 1}')), '{"op":"push","event":{"id": 1}}', id="push"
        ),
        pytest.param(
            ByeOp(code=4401, reason="token_expired", reconnect_after_ms=0),
            '{"op":"bye","code":4401,"reason":"token_expired","reconnect_after_ms":0}',
            id="bye",
        ),
    ],
)
def test_a_frame_is_written_as_the_contract_has_it(op: OutOp, expected: str) -> None:
    assert encode(op) == expected.encode()
