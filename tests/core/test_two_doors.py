"""One core, two doors: what HTTP makes of an event, a socket makes of it, too."""

from dataclasses import dataclass, field
from typing import Final

import msgspec
import pytest
from hypothesis import given, strategies as st

from edge.core.admit import House, RawRequest, admit, greet
from edge.core.conversation import Conversation
from edge.core.decode import Shape
from edge.core.lane import Lane
from edge.core.limit import Quota
from edge.core.reject import Reason, Reject
from edge.core.verdict import Conclusion, Verdict, conclude
from tests.core.catalogue.examples import example
from tests.core.player_events import MOVES, SLIP, event, frame
from tests.fakes import BRAND, NOW, SESSION, bearer, player_token
from tests.house import FakePressure, FakeSpool, house

FULL: Final = Reject(Reason.LANE_FULL, retry_after_ns=10**9)
OTHER_SESSION: Final = SESSION.replace("1", "2")

TABLE: Final[dict[str, object]] = {
    "good": event(1),
    "of another lane": event(2, SLIP),
    "beyond a gap": event(900),
    "a copy": event(1),
    "the same id, another body": event(1, data=event(901)["data"]),
    "the same number, another id": event(1, id=event(902)["id"], data=event(902)["data"]),
    "the same request, another body": event(903, data=event(1)["data"] | {"since_last_ms": 1}),
    "a full lane": event(3, "bonus.offer.claimed"),
    "telemetry under pressure": event(4, MOVES),
    "no object": 7,
    "no type": {},
    "an unknown type": event(5, type="no.such.type"),
    "an unknown version": event(6, dataschema="urn:edge:schema:game.spin.requested:9.0"),
    "no source": event(7, source=""),
    "a wrong type": event(8, source=7),
    "an unknown member": event(9, surprise=1),
    "number 0": event(0),
    "a great number": event(10, seq=2**31),
    "too large": event(11, surprise="x" * 9000),
    "personal": event(12, "telemetry.device.snapshot"),
    "another player": event(13, subject="player-0002"),
    "another session": event(14, session=OTHER_SESSION),
    "no session": event(15, session=None),
    "a brand that is the token's": event(16, brand=BRAND),
    "a brand that is not": event(17, brand="borealis"),
    "a fact": example("bet.round.staked"),
    "old": event(18, time="2026-02-14T19:00:00Z"),
    "early": event(19, time="2026-02-14T21:00:00Z"),
    "in another zone": event(20, time="2026-02-14T22:00:00+02:00"),
    "a trace that is none": event(21, traceparent="x"),
    "null where nothing may be": event(22, surprise=None),
}
personal = TABLE["personal"]
assert isinstance(personal, dict)
personal["data"]["os"] = "jane@example.com"

table = pytest.mark.parametrize("sent", [pytest.param(e, id=name) for name, e in TABLE.items()])


@dataclass
class Doors:
    """Two equal houses: one is entered by HTTP, the other by a socket."""

    token: str = field(default_factory=player_token)
    burst: int = 10_000

    def __post_init__(self) -> None:
        self.spools = FakeSpool(), FakeSpool()
        self.http, self.socket = (self._house(spool) for spool in self.spools)
        self.conversation = Conversation(
            greet(bearer(self.token), self.socket, NOW), self.socket
        )

    def _house(self, spool: FakeSpool) -> House:
        spool.refuses[Lane.BONUS] = FULL
        quota = Quota(name="player", quota=1, window_s=60, burst=self.burst)
        return house(spool, quota, pressure=FakePressure(is_high=True))

    def by_http(self, *events: object) -> list[Verdict]:
        """The verdicts of one request."""
        body = msgspec.json.encode(events)
        return admit(RawRequest(bearer(self.token), Shape.ARRAY, body), self.http, NOW)

    def by_socket(self, *events: object) -> tuple[list[Verdict], Conclusion]:
        """The verdicts of one frame, and what they add up to once all syncs held."""
        heard = self.conversation.hear(frame(*events), NOW)
        concluded = [heard.concluded] if heard.concluded else []
        for commit in heard.awaited:
            concluded += self.conversation.settle(commit, None)
        [frame_] = concluded
        return list(heard.verdicts), frame_.conclusion

    def settle(self) -> None:
        """All that is pending becomes durable, behind both."""
        for spool, inside in zip(self.spools, (self.http, self.socket), strict=True):
            for lane in Lane:
                inside.recall.settle(spool.next_commit(lane), held=True)


def fate(verdict: Verdict) -> object:
    """Everything that is decided of one event."""
    reject = verdict.reject
    why = reject and (reject.reason, reject.pointer, reject.retry_after_ns)
    waits_for = verdict.commit and verdict.commit.lane
    evidence = verdict.evidence
    return (verdict.outcome, verdict.lane, verdict.id, verdict.seq, waits_for, why, evidence)


def assert_alike(doors: Doors, *events: object) -> None:
    """Both doors decide the same, count the same, and spool the same."""
    http = doors.by_http(*events)
    socket, conclusion = doors.by_socket(*events)

    assert list(map(fate, socket)) == list(map(fate, http))
    assert conclusion == conclude(http, {})
    assert doors.spools[0].records == doors.spools[1].records


@table
def test_both_doors_judge_an_event_alike(sent: object) -> None:
    assert_alike(Doors(), sent)


@table
def test_both_doors_judge_its_second_copy_alike(sent: object) -> None:
    doors = Doors()
    assert_alike(doors, sent)
    doors.settle()

    assert_alike(doors, sent)


def test_both_doors_judge_all_of_them_together_alike() -> None:
    assert_alike(Doors(), *TABLE.values())


def test_every_way_to_end_occurs_in_the_table() -> None:
    outcomes = {verdict.outcome.value for verdict in Doors().by_http(*TABLE.values())}

    assert outcomes == {"accepted", "duplicate", "refused", "shed"}


def test_both_doors_judge_none_alike() -> None:
    assert_alike(Doors())


@given(
    st.lists(st.lists(st.sampled_from(list(TABLE)), max_size=6), max_size=5),
    st.integers(1, 12),
    st.booleans(),
)
def test_both_doors_judge_whatever_comes_alike(
    batches: list[list[str]],
    burst: int,
    is_settled: bool,  # noqa: FBT001  # drawn, never written
) -> None:
    """Planted: a socket's events judged an hour late; in another order; unread ones let go."""
    doors = Doors(player_token(), burst)
    for names in batches:
        assert_alike(doors, *(TABLE[name] for name in names))
        if is_settled:
            doors.settle()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"[1,", id="cut"),
        pytest.param(b'[{"x":NaN}]', id="grammar"),
        pytest.param(b'["\\ud800"]', id="lone surrogate"),
        pytest.param(b"[" + b",".join([b"7"] * 201) + b"]", id="too many"),
    ],
)
def test_both_doors_refuse_the_same_bodies_whole(text: bytes) -> None:
    doors = Doors()
    with pytest.raises(Reject) as refused:
        admit(RawRequest(bearer(doors.token), Shape.ARRAY, text), doors.http, NOW)

    heard = doors.conversation.hear(b'{"op":"events","events":' + text + b"}", NOW)

    assert heard.reject is not None
    assert heard.reject.reason is refused.value.reason


def test_a_token_that_may_write_nothing_has_each_event_refused_on_a_socket() -> None:
    """HTTP refuses the request whole; a socket may still be read from."""
    doors = Doors(player_token(scope="stream:read"))

    [verdict], conclusion = doors.by_socket(event(1))

    assert verdict.reject is not None
    assert verdict.reject.reason is Reason.SCOPE_MISSING
    assert verdict.reject.pointer == "/type"
    assert conclusion.status == Reason.SCOPE_MISSING.status
