"""The front door answers with a verdict or a reason, and never before the disk has spoken."""

import asyncio
import logging
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Scope
from typing_extensions import override

from edge.core import record
from edge.core.admit import House
from edge.core.lane import Lane
from edge.core.limit import Quota
from edge.core.record import Record
from edge.core.reject import Reason, Reject
from edge.core.verdict import Outcome, Tally, Verdict
from edge.shell.answers import CLOSE
from edge.shell.http import Ingest, lost_syncs
from edge.shell.keys.refetched import Refetched
from edge.shell.life import Life
from edge.shell.meters import Meters
from edge.shell.spool.commit import Commit, Synced
from tests.core.test_admit import spin
from tests.fakes import ED, FakeClock, player_claims, player_token
from tests.fakes_notices import RecordingCourier, refusals
from tests.house import FakeKeys, FakeSpool, house

HEADERS = {"content-type": "application/json"}


class SyncedSpool(FakeSpool):
    """Settles each record's commit as told, at once."""

    outcome = Synced.HELD

    @override
    def append(self, lane: Lane, record: Record) -> Any:
        super().append(lane, record)
        commit = Commit(lane, overdue_at_s=0)
        commit.settle(self.outcome)
        return commit


@dataclass
class FakeRefetcher:
    """Fetches keys that a test holds ready.

    Attributes:
        keys: What requests see.
        fetched: What they see after a fetch; ``None``: nothing new.
        otherwise: Why there is nothing new.
        asked: For whom it was asked.
    """

    keys: FakeKeys = field(default_factory=FakeKeys)
    fetched: Any = None
    otherwise: Refetched = Refetched.SAME
    asked: list[str] = field(default_factory=list[str])

    async def refetch(self, issuer: str) -> Refetched:
        """Swap the keys, if there are others."""
        self.asked.append(issuer)
        if self.fetched is None:
            return self.otherwise
        self.keys.held = self.fetched
        return Refetched.CHANGED


@dataclass
class Door:
    """A door with everything behind it within reach."""

    spool: SyncedSpool = field(default_factory=SyncedSpool)
    refetcher: FakeRefetcher = field(default_factory=FakeRefetcher)
    quotas: tuple[Quota, ...] = ()
    life: Life = field(default_factory=Life)
    meters: Meters = field(default_factory=Meters)
    told: RecordingCourier = field(default_factory=RecordingCourier)

    def house(self) -> House:
        """A fresh memory around the same spool."""
        return house(self.spool, *self.quotas, keys=self.refetcher.keys)

    def client(self) -> TestClient:
        """A client of the door."""
        ingest = Ingest(
            self.house(),
            self.refetcher,
            FakeClock(),
            self.meters,
            self.life,
            refusals(self.told),
        )
        headers = HEADERS | authorization(player_token())
        return TestClient(ingest, headers=headers, client=("127.0.0.1", 50_000))


def authorization(token: str) -> dict[str, str]:
    """The header that carries *token*."""
    return {"authorization": f"Bearer {token}"}


@pytest.fixture
def door() -> Door:
    """A door that lets good events in."""
    return Door()


def test_accepted_means_spooled_and_synced(door: Door) -> None:
    response = door.client().post("/v1/events", json=[spin()])

    assert response.status_code == 202
    assert response.json() == {
        "accepted": 1,
        "duplicate": 0,
        "refused": [],
        "retry_after_ms": None,
    }
    assert len(door.spool.records[Lane.GAME]) == 1
    assert door.meters.received == {"game": 1}
    assert door.meters.outcomes == {Tally(Outcome.ACCEPTED, "none", "game"): 1}


@pytest.mark.parametrize(
    ("outcome", "code", "retry_after"),
    [
        (Synced.FAILED, "lane_failed", "1"),
        (Synced.OVERDUE, "lane_failed", "1"),
        (Synced.FULL, "lane_full", "5"),
    ],
)
def test_an_event_whose_sync_did_not_hold_in_time_is_not_a_success(
    door: Door, outcome: Synced, code: str, retry_after: str
) -> None:
    door.spool.outcome = outcome

    response = door.client().post("/v1/events", json=[spin()])

    assert response.status_code == 503
    assert response.headers["retry-after"] == retry_after
    assert response.json()["refused"][0]["code"] == code


def test_a_known_speaker_learns_what_is_left(door: Door) -> None:
    door.quotas = (Quota(name="player", quota=2, window_s=60, burst=2),)

    response = door.client().post("/v1/events", json=[spin()])

    assert response.headers["ratelimit-policy"] == '"player";q=2;w=60'
    assert response.headers["ratelimit"] == '"player";r=1;t=30'


def test_retry_after_is_never_earlier_than_t(door: Door) -> None:
    door.quotas = (Quota(name="player", quota=2, window_s=60, burst=1),)
    client = door.client()
    client.post("/v1/events", json=[spin()])

    response = client.post("/v1/events", json=[spin()])

    assert response.status_code == 429
    assert response.headers["ratelimit"] == '"player";r=0;t=30'
    assert response.headers["retry-after"] == "30"
    assert response.json()["retry_after_ms"] == 30_000


@pytest.mark.parametrize(
    ("token", "status", "code", "challenge"),
    [
        pytest.param(None, 401, "token_missing", "Bearer", id="stranger"),
        pytest.param("x", 401, "token_invalid", 'Bearer error="invalid_token"', id="forger"),
        pytest.param(
            player_token(scope="stream:read"),
            403,
            "scope_missing",
            'Bearer error="insufficient_scope"',
            id="reader",
        ),
    ],
)
def test_a_speaker_who_may_not_write_is_refused_unread(
    door: Door, token: str | None, status: int, code: str, challenge: str
) -> None:
    client = door.client()
    del client.headers["authorization"]
    headers = {} if token is None else authorization(token)

    response = client.post("/v1/events", content=b"{not json", headers=headers)

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["www-authenticate"] == challenge
    problem = response.json()
    assert (problem["type"], problem["code"]) == (f"urn:edge:problem:{code}", code)
    assert door.meters.requests_refused == {code: 1}


def test_a_malformed_body_is_a_problem_that_keeps_the_connection(door: Door) -> None:
    response = door.client().post("/v1/events", content=b"{not json")

    assert (response.status_code, response.json()["code"]) == (400, "body_malformed")
    assert "connection" not in response.headers


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content-encoding": "gzip"}, 415, "unsupported_encoding"),
        ({"content-length": "262145"}, 413, "body_too_large"),
    ],
)
def test_what_is_not_worth_reading_ends_the_connection(
    door: Door, headers: dict[str, str], status: int, code: str
) -> None:
    response = door.client().post("/v1/events", content=b"[]", headers=headers)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["connection"] == "close"
    assert response.headers.get("accept-encoding") == (
        "identity" if code == "unsupported_encoding" else None
    )


def test_a_chunked_body_is_cut_off_at_the_limit(door: Door) -> None:
    chunks = (b" " * 65_536 for _ in range(5))

    response = door.client().post("/v1/events", content=chunks)

    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


def test_a_new_key_is_fetched_once_and_the_token_tried_again(door: Door) -> None:
    known, door.refetcher.keys.held = door.refetcher.keys.held, None
    assert known is not None
    door.refetcher.keys.held = type(known)({}, 1, known.stale_steady_ns)
    door.refetcher.fetched = known

    response = door.client().post("/v1/events", json=[spin()])

    assert response.status_code == 202
    assert len(door.refetcher.asked) == 1


def test_a_key_nobody_has_is_an_invalid_token(door: Door) -> None:
    stranger = ED.token(player_claims(), kid="nobody")

    response = door.client().post("/v1/events", json=[], headers=authorization(stranger))

    assert (response.status_code, response.json()["code"]) == (401, "token_invalid")
    assert len(door.refetcher.asked) == 1


@pytest.mark.parametrize(
    ("otherwise", "status", "code"),
    [
        (Refetched.FAILED, 503, "keys_unavailable"),
        (Refetched.TOO_SOON, 401, "token_invalid"),
    ],
)
def test_a_key_that_cannot_be_looked_for_is_no_invalid_token_unless_others_looked_just_now(
    door: Door, otherwise: Refetched, status: int, code: str
) -> None:
    door.refetcher.otherwise = otherwise
    stranger = ED.token(player_claims(), kid="nobody")

    response = door.client().post("/v1/events", json=[], headers=authorization(stranger))

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert ("retry-after" in response.headers) == (status == 503)


def test_a_node_without_keys_does_not_make_clients_throw_tokens_away(door: Door) -> None:
    door.refetcher.keys.held = None

    response = door.client().post("/v1/events", json=[])

    assert (response.status_code, response.json()["code"]) == (503, "keys_unavailable")
    assert int(response.headers["retry-after"]) >= 1


def test_a_leaving_node_still_serves_and_closes(door: Door) -> None:
    door.life.leave()

    response = door.client().post("/v1/events", json=[spin()])

    assert response.status_code == 202
    assert response.headers["connection"] == "close"


def test_a_leaving_node_closes_with_its_refusals_too(door: Door) -> None:
    door.life.leave()

    response = door.client().post("/v1/events", content=b"{not json")

    assert (response.status_code, response.headers["connection"]) == (400, "close")


def test_a_draining_node_refuses_and_closes(door: Door) -> None:
    door.life.drain()

    response = door.client().post("/v1/events", json=[spin()])

    assert (response.status_code, response.json()["code"]) == (503, "draining")
    assert response.headers["connection"] == "close"
    assert response.headers["retry-after"] == "1"
    assert door.spool.records[Lane.GAME] == []


class BuggySpool(SyncedSpool):
    """Takes one record, then meets a bug."""

    @override
    def append(self, lane: Lane, record: Record) -> Any:
        if self.records[lane]:
            raise ZeroDivisionError
        return super().append(lane, record)


def test_a_bug_costs_one_request_and_what_was_accepted_before_it_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    door = Door(spool=BuggySpool())

    with caplog.at_level(logging.ERROR, "edge.http"):
        response = door.client().post("/v1/events", json=[spin(), spin()])

    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert response.headers["connection"] == "close"
    assert door.meters.requests_refused == {Reason.INTERNAL_ERROR.code: 1}
    assert door.meters.received == {"game": 1}
    assert door.meters.outcomes == {Tally(Outcome.ACCEPTED, "none", "game"): 1}
    [record] = caplog.records
    assert record.exc_info is not None


CHUNKED = (b"transfer-encoding", b"chunked")


def visit(
    door: Door,
    *messages: Message,
    framing: tuple[bytes, bytes] = CHUNKED,
    token: str | None = None,
    clock: FakeClock | None = None,
) -> Any:
    """Send ASGI *messages* to the door; return what it sends back."""
    clock = clock or FakeClock()
    ingest = Ingest(
        door.house(), door.refetcher, clock, door.meters, door.life, refusals(door.told)
    )
    inbox, outbox = list(messages), list[Message]()
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/events",
        "query_string": b"",
        "client": None,
        "headers": [
            (b"authorization", b"Bearer " + (token or player_token()).encode()),
            (b"content-type", b"application/json"),
            framing,
        ],
    }

    async def receive() -> Message:
        message = inbox.pop(0)
        clock.advance(message.pop("after_s", 0))
        return message

    async def send(message: Message) -> None:
        outbox.append(message)

    asyncio.run(ingest(scope, receive, send))
    return outbox


def test_a_client_that_leaves_in_the_middle_of_its_body_gets_nothing(door: Door) -> None:
    half = msgspec.json.encode([spin()])[:20]

    sent = visit(
        door,
        {"type": "http.request", "body": half, "more_body": True},
        {"type": "http.disconnect"},
    )

    assert sent == []
    assert door.meters.received == {}
    assert door.spool.records[Lane.GAME] == []


def test_a_body_in_two_pieces_is_one_body(door: Door) -> None:
    body = msgspec.json.encode([spin()])

    start, _ = visit(
        door,
        {"type": "http.request", "body": body[:20], "more_body": True},
        {"type": "http.request", "body": body[20:], "more_body": False},
    )

    assert start["status"] == 202
    assert CLOSE not in start["headers"]


def test_a_body_without_a_length_is_a_protocol_error(door: Door) -> None:
    start, body = visit(door, framing=(b"x-nothing", b""))

    assert start["status"] == 411
    assert CLOSE in start["headers"]
    problem = msgspec.json.decode(body["body"])
    assert problem["type"] == "about:blank"
    assert "code" not in problem
    assert door.meters.requests_refused == {"http_411": 1}


def test_nothing_is_read_of_a_speaker_who_may_not_write(door: Door) -> None:
    start, _ = visit(door, token=player_token(scope="stream:read"))

    assert start["status"] == 403


def test_a_token_that_ends_while_its_body_comes_is_over(door: Door) -> None:
    body = msgspec.json.encode([spin()])
    late = {"type": "http.request", "body": body, "more_body": False, "after_s": 3631}

    start, answer = visit(door, late)

    assert start["status"] == 401
    assert msgspec.json.decode(answer["body"])["code"] == "token_expired"


def test_two_lanes_are_asked_before_either_is_waited_for() -> None:
    """What one lane answers first counts, however long the other takes."""
    slow, quick = (Commit(lane, overdue_at_s=0) for lane in (Lane.GAME, Lane.BET))
    verdicts = [Verdict(Outcome.ACCEPTED, commit.lane, "i", commit) for commit in (slow, quick)]

    async def story() -> Mapping[record.Commit, Reject]:
        waiting = asyncio.create_task(lost_syncs(verdicts))
        await asyncio.sleep(0)
        for commit, outcome in (
            (quick, Synced.OVERDUE),
            (quick, Synced.HELD),
            (slow, Synced.HELD),
        ):
            commit.settle(outcome)
            await asyncio.sleep(0)
        return await waiting

    assert {commit: reject.reason for commit, reject in asyncio.run(story()).items()} == {
        quick: Reason.LANE_FAILED
    }


def test_a_body_is_let_go_of_while_its_sync_is_waited_for(door: Door) -> None:
    """A slow disk keeps thousands waiting, and a body may have 256 KiB."""
    body = msgspec.json.encode([spin()])
    whole = {"type": "http.request", "body": body, "more_body": False}
    seen: list[int] = []

    class WaitingSpool(SyncedSpool):
        """Settles once everybody waits."""

        @override
        def append(self, lane: Lane, record: Record) -> Any:
            commit = Commit(lane, overdue_at_s=0)
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: seen.append(sys.getrefcount(body)))
            loop.call_soon(lambda: commit.settle(Synced.HELD))
            return commit

    door.spool = WaitingSpool()
    before = sys.getrefcount(body)

    start, _ = visit(door, whole)

    assert start["status"] == 202
    assert seen == [before]
