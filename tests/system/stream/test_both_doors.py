"""One table of events through both doors of one process: each entry is judged alike.

Each story is told twice, by two players who never met: one sends it by HTTP, the other over a
socket. Compared are the refusals, entry by entry, whether there is a time to wait for, what the
gateway counted, and in the end what reached the origin. :mod:`tests.core.test_two_doors` does
the same without a process, and with chance.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, cast

import pytest

from edge.core.reject import Reason
from edge.demo.ledger import Event
from edge.demo.payloads import Visit, interactions, some_uuid, timestamp, unix_ms
from edge.demo.rounds import Round, slip_submitted
from tests.system.raw import Line
from tests.system.stream.raw_socket import RawSocket, events
from tests.system.stream.sockets import Frame, ask, codes, hear_until, welcomed
from tests.system.test_disk import limit_files
from tests.system.test_door_body import MALFORMED
from tests.system.test_door_events import ACCEPTED, REFUSED, with_data
from tests.system.test_origin_down import obstruct
from tests.system.world import TABLE, World, world

pytestmark = pytest.mark.system

Story: TypeAlias = Callable[[Visit], Sequence[Sequence[object]]]
"""A player's batches, in order."""

MIB: Final = 1 << 20
CUT: Final = 40
"""Events that one player may send at once; the next one only in ninety seconds."""

ROOM: Final[Mapping[str, object]] = {
    # One lane, filled, leaves 0.4 MiB to the others, and has telemetry shed.
    "bytes_max": 20 * MIB,
    "reserve_bytes": 16 * MIB,
    "lane_share_max": 0.18,
    "retained_bytes_max": MIB,
    "dead_bytes_max": 4 * MIB,
}
FILL_MAX: Final = 100  # batches; thirty do

QUOTA: Final = {"quota": CUT, "window_s": 3600, "burst": CUT}

WHOLE: Final = {
    Reason.TOKEN_MISSING,
    Reason.TOKEN_INVALID,
    Reason.TOKEN_EXPIRED,
    Reason.SESSION_REVOKED,
    Reason.BODY_MALFORMED,
    Reason.BODY_TOO_LARGE,
    Reason.BATCH_TOO_LARGE,
    Reason.UNSUPPORTED_MEDIA_TYPE,
    Reason.UNSUPPORTED_ENCODING,
    Reason.DRAINING,
    Reason.KEYS_UNAVAILABLE,
    Reason.INTERNAL_ERROR,
    Reason.ORIGIN_DENIED,
    Reason.TOO_MANY_CONNECTIONS,
}
"""Of a request, a frame or a handshake; no verdict of one event."""

ELSEWHERE: Final = {Reason.SCOPE_MISSING, Reason.LANE_FAILED, Reason.LANE_SHED}
"""Compared below the table: they need another token, a broken disk, one session for both."""


def row_of(say: Callable[[Visit], Event]) -> Story:
    """Alone, and again beside a good neighbour."""

    def story(ada: Visit) -> Sequence[Sequence[object]]:
        event = say(ada)
        if event["time"] == "TIME":
            event["time"] = timestamp(unix_ms() + 3_600_000).replace("Z", "+01:00")
        return [[event], [event, TABLE.spin(ada, 100)]]

    return story


def again(ada: Visit) -> Sequence[Sequence[object]]:
    """The same event five times."""
    event = TABLE.spin(ada, 100)
    return [[event], [event], [event, event], [event]]


def another(*kept: str) -> Story:
    """Two events that share attributes."""

    def story(ada: Visit) -> Sequence[Sequence[object]]:
        first, second = TABLE.spin(ada, 100), TABLE.spin(ada, 900)
        second |= {name: first[name] for name in kept}
        return [[first, second], [second], [first]]

    return story


def one_request_for_two(ada: Visit) -> Sequence[Sequence[object]]:
    """One business key, two stakes."""
    first, second = TABLE.spin(ada, 100), TABLE.spin(ada, 900)
    key = cast("Event", first["data"])["request_id"]
    return [[first], [with_data(second, {"request_id": key})]]


def numbers(*batches: Sequence[int]) -> Story:
    """Spins with these numbers."""
    return lambda ada: [[TABLE.spin(ada, 100) | {"seq": n} for n in batch] for batch in batches]


def spins(*counts: int) -> Story:
    """So many, batch by batch."""
    return lambda ada: [[TABLE.spin(ada, 5) for _ in range(count)] for count in counts]


def into_a_full_lane(ada: Visit) -> Sequence[Sequence[object]]:
    """Alone, and beside one of a lane that has room."""
    slip, other = (slip_submitted(ada, some_uuid(ada.rng)) for _ in range(2))
    return [[slip], [TABLE.spin(ada, 100), other]]


STORIES: Final[Mapping[str, Story]] = {
    **{name: row_of(say) for name, (say, _, _) in REFUSED.items()},
    **{name: row_of(say) for name, say in ACCEPTED.items()},
    "nothing": lambda _: [[]],
    "no event at all": lambda ada: [[7, {}, [], "spin", None], [TABLE.spin(ada, 100)]],
    "26 the same event again": again,
    "56 one id for two": another("id"),
    "56 one number for two": another("seq"),
    "56 one id and number for two": another("id", "seq"),
    "one request for two": one_request_for_two,
    "a number below the window": numbers([5000], [2], [5000 - 1024], [5001]),
    "a gap, and what fills it": numbers([1, 4], [3], [2, 5]),
    "57 a jump to the last number": numbers([2**31 - 1], [1]),
    "40 more than may be": spins(CUT + 10, 1),
    "42 a full lane": into_a_full_lane,
}


class Told(NamedTuple):
    """What one batch was answered.

    Attributes:
        refused: Each entry, without what differs between two players.
        has_wait: Whether it says when to come back.
    """

    refused: Sequence[Mapping[str, object]]
    has_wait: bool

    @classmethod
    def of(cls, answer: Mapping[str, object]) -> "Told":
        """Read HTTP's answer, or a frame of verdicts."""
        entries = [dict(each) for each in cast("list[Frame]", answer["refused"])]
        for each in entries:
            each["id"] = each["id"] is not None
            each.pop("frame", None)
            each.pop("seq", None)
        return cls(entries, answer["retry_after_ms"] is not None)


class Ending(NamedTuple):
    """What became of one story.

    Attributes:
        told: Batch by batch.
        counted: Of the gateway's counters of events, those that grew.
    """

    told: Sequence[Told]
    counted: Mapping[str, float]


def counters(here: World) -> Counter[str]:
    """The gateway's counters of events."""
    lines = (line.rsplit(" ", 1) for line in here.gateway.metrics().splitlines())
    wanted = ("edge_events_total{", "edge_events_received_total{")
    return Counter(
        {name: int(float(value)) for name, value in lines if name.startswith(wanted)}
    )


def by_http(here: World, ada: Visit, batches: Sequence[Sequence[object]]) -> Ending:
    """Send each as one request of one connection."""
    before, told = counters(here), list[Told]()
    with here.line() as line:
        for batch in batches:
            line.post(json.dumps(batch).encode(), here.headers(ada))
            answer = line.answer()
            assert (answer.status in {429, 503}) <= ("retry-after" in answer.headers)
            told.append(Told.of(answer.json))
    return Ending(told, counters(here) - before)


def by_socket(here: World, ada: Visit, batches: Sequence[Sequence[object]]) -> Ending:
    """Send each as one frame of one socket."""
    before, told = counters(here), list[Told]()
    with welcomed(here, ada) as found:
        for number, batch in enumerate(batches, start=1):
            found.send(json.dumps({"op": "events", "events": batch}))
            verdicts = hear_until(found, "verdicts")
            entries = cast("list[Frame]", verdicts["refused"])
            assert {each["frame"] for each in entries} <= {number}
            told.append(Told.of(verdicts))
    return Ending(told, counters(here) - before)


Door: TypeAlias = Callable[[World, Visit, Sequence[Sequence[object]]], Ending]


@dataclass(frozen=True)
class Evening:
    """All stories, told at both doors.

    Attributes:
        here: Where.
        endings: By story, of HTTP and of the socket.
    """

    here: World
    endings: Mapping[str, tuple[Ending, Ending]]


def visit_of(here: World, number: int, door: str) -> Visit:
    """The player who tells a story at a door."""
    return here.visit(f"{door}-{number}")


def fill(here: World) -> None:
    """Leave no room in the lane of bets: its topic takes nothing."""
    token, filler = here.issuer.service("games", "bet"), here.visit("filler")
    refused: list[object] = []
    for number in range(FILL_MAX):
        rounds = [Round(TABLE, f"r-{number}-{n}", 5, f"t-{number}-{n}") for n in range(200)]
        answer = here.say(token, *(each.staked(filler) for each in rounds))
        refused = [code for _, code, _ in answer.refusals]
        if len(refused) == 200:
            break
    assert refused == ["lane_full"] * 200


@pytest.fixture(scope="module")
def evening(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Evening]:
    """A gateway in which everything can happen, and has."""
    settings = {"spool": ROOM, "limits.player": QUOTA}
    with world(tmp_path_factory.mktemp("doors"), settings) as here:
        obstruct(here, "bet")
        here.gateway.start()
        here.wait_until_ready()
        fill(here)
        endings: dict[str, tuple[Ending, Ending]] = {}
        for number, (name, story) in enumerate(STORIES.items()):
            one, other = (visit_of(here, number, door) for door in ("http", "socket"))
            endings[name] = by_http(here, one, story(one)), by_socket(here, other, story(other))
        yield Evening(here, endings)


@pytest.mark.parametrize("name", STORIES)
def test_both_doors_tell_the_same_of_each_entry_and_count_it_alike(
    evening: Evening, name: str
) -> None:
    """Planted: a socket's events judged 40 s late; with the batch in another order."""
    http, socket = evening.endings[name]

    assert socket.told == http.told
    assert socket.counted == http.counted
    assert http.counted or name == "nothing"


def test_every_refusal_of_an_event_occurs() -> None:
    """A reason that is added is to be reached by both doors, or said to be a whole request's."""
    expected = {code for _, code, _ in REFUSED.values()} | {
        "idempotency_conflict",
        "sequence_too_old",
        "rate_exceeded",
        "lane_full",
    }

    assert expected == {each.code for each in set(Reason) - WHOLE - ELSEWHERE}


def test_the_table_reaches_what_it_is_meant_to(evening: Evening) -> None:
    met = {
        (entry["code"], entry["retryable"], told.has_wait)
        for http, _ in evening.endings.values()
        for told in http.told
        for entry in told.refused
    }
    outcomes = {
        name.partition('outcome="')[2].partition('"')[0]
        for http, _ in evening.endings.values()
        for name in http.counted
    }

    assert {each.code for each in set(Reason) - WHOLE - ELSEWHERE} == {code for code, *_ in met}
    assert {code for code, is_retryable, has_wait in met if is_retryable and has_wait} == {
        "rate_exceeded",
        "lane_full",
    }
    assert outcomes >= {"accepted", "duplicate", "refused"}


def test_the_origin_gets_the_same_by_both_doors(evening: Evening) -> None:
    here = evening.here
    here.wait(
        lambda: 'edge_spool_records{lane="game"} 0' in here.gateway.metrics(), "forwarded"
    )
    names = {
        door: {visit_of(here, n, door).subject: n for n in range(len(STORIES))}
        for door in ("http", "socket")
    }

    def sent(door: str) -> Counter[tuple[object, ...]]:
        return Counter(
            (names[door][str(each["subject"])], each["type"], each["seq"], each.get("flags"))
            for each in here.forwarded()
            if each["subject"] in names[door]
        )

    assert sent("socket") == sent("http")
    assert sent("http").total() > len(STORIES)


def test_both_doors_shed_one_sessions_telemetry_by_one_count(evening: Evening) -> None:
    """One in sixteen of a session is kept, whatever door it comes by."""
    here, ada = evening.here, evening.here.visit("shed")
    first, second = ([interactions(ada) for _ in range(16)] for _ in range(2))

    http, socket = by_http(here, ada, [first]), by_socket(here, ada, [second])

    assert socket == http
    (told,) = http.told
    assert [entry["code"] for entry in told.refused] == ["lane_shed"] * 15
    assert {(entry["retryable"], told.has_wait) for entry in told.refused} == {(False, False)}


def test_both_doors_refuse_what_a_token_may_not_write(evening: Evening) -> None:
    """HTTP refuses the request whole; a socket may still be read from."""
    here, ada = evening.here, evening.here.visit("reader")
    token = here.issuer.player(ada, scope="stream:read")

    problem = here.say(token, TABLE.spin(ada, 100)).json
    with welcomed(here, token) as found:
        (entry,) = cast("list[Frame]", ask(found, TABLE.spin(ada, 100))["refused"])

    assert problem["code"] == entry["code"] == "scope_missing"
    assert entry["retryable"] is False


def test_40_what_is_above_the_quota_is_told_in_raw_frames_and_the_socket_lives(
    evening: Evening,
) -> None:
    here, ada = evening.here, evening.here.visit("raw-40")
    spins = [TABLE.spin(ada, 5) for _ in range(CUT + 2)]
    with RawSocket(here) as raw:
        raw.shake(here, ada)
        told = raw.ask(events(*spins))
        again = raw.ask(events(spins[0]))

    assert codes(told) == [(1, CUT + n, "rate_exceeded") for n in range(2)]
    assert {entry["retryable"] for entry in raw.refused(told)} == {True}
    assert isinstance(told["retry_after_ms"], int)
    assert codes(again) == [], "a duplicate costs nothing"


def test_42_a_full_lane_is_told_in_raw_frames_and_the_socket_lives(evening: Evening) -> None:
    here, ada = evening.here, evening.here.visit("raw-42")
    with RawSocket(here) as raw:
        raw.shake(here, ada)
        assert raw.said[0]["lanes"] == {
            lane: "full" if lane == "bet" else "open"
            for lane in ("player", "wallet", "bet", "game", "bonus", "telemetry")
        }
        told = raw.ask(events(slip_submitted(ada, some_uuid(ada.rng)), TABLE.spin(ada, 5)))
        again = raw.ask(events())

    assert codes(told) == [(1, 0, "lane_full")]
    assert isinstance(told["retry_after_ms"], int)
    assert codes(again) == []


UNREADABLE: Final = {
    name: body
    for name, body in MALFORMED.items()
    # The rest is for the frame to refuse: no UTF-8 has 1007, more than 64 KiB has 1009.
    if body.decode(errors="replace").encode() == body and len(body) < 65_000
} | {"201 events": b"[" + b",".join([b"7"] * 201) + b"]"}


@pytest.mark.parametrize("body", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_both_doors_refuse_the_same_bodies_whole(evening: Evening, body: bytes) -> None:
    here, ada = evening.here, evening.here.visit("unreadable")
    with Line(here.gateway.public) as line:
        line.post(body, here.headers(ada))
        problem = line.answer().json
    with welcomed(here, ada) as found:
        found.send(b'{"op":"events","events":' + body + b"}", text=True)
        verdicts = hear_until(found, "verdicts")

    (entry,) = cast("list[Frame]", verdicts["refused"])
    assert (entry["index"], entry["code"]) == (None, problem["code"])
    assert (entry["retryable"], verdicts["retry_after_ms"]) == (False, None)


def test_42_both_doors_tell_of_a_failed_sync_alike_and_what_failed_is_accepted_later(
    here: World,
) -> None:
    here.wait_until_ready()
    ada = here.visit()
    first, *late = (TABLE.spin(ada, n) for n in (1, 2, 3))
    by_http(here, ada, [[first]])
    here.wait_until_forwarded(first)
    endings = [
        failing(here, ada, door, event)
        for door, event in zip((by_http, by_socket), late, strict=True)
    ]

    assert endings[0] == endings[1]
    assert [(told.refused, told.has_wait) for told in endings[0].told] == [
        ([LANE_FAILED], True)
    ]
    here.wait_until_forwarded(*late)


LANE_FAILED: Final = {
    "index": 0,
    "id": True,
    "code": "lane_failed",
    "pointer": None,
    "retryable": True,
}


def failing(here: World, ada: Visit, door: Door, event: Event) -> Ending:
    """Send what cannot be written, and again when it can."""
    limit_files(here, 160)  # a segment's header fits, no record does
    ending = door(here, ada, [[event]])
    limit_files(here, -1)
    here.wait(lambda: not door(here, ada, [[event]]).told[0].refused, "accepted again")
    return ending
