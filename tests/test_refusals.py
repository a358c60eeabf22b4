"""Every code there is, each provoked once at the front door: the table clients rely on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx2
import msgspec
import pytest
from starlette.testclient import TestClient
from typing_extensions import override

from edge.core.lane import Lane
from edge.core.limit import Quota
from edge.core.record import Record
from edge.core.reject import Reason, Reject
from edge.shell.doorkeeper import farewell
from edge.shell.http import Ingest
from edge.shell.keys.refetched import Refetched
from edge.shell.life import Life
from edge.shell.meters import Meters
from edge.shell.spool.commit import Commit, Synced
from tests.core.catalogue.examples import example
from tests.core.test_admit import pointers, spin, stake
from tests.fakes import NOW, NOW_S, PLAYER, SESSION, FakeClock, player_token
from tests.fakes_directives import revocation
from tests.fakes_notices import refusals
from tests.fakes_talk import Lobby
from tests.house import FakeKeys, FakePressure, FakeSpool, house
from tests.shell.stream.test_door import Porch

Answer = Any


@dataclass
class InstantSpool(FakeSpool):
    """Settles each record at once, as told; may have a bug."""

    outcome: Synced = Synced.HELD
    has_bug: bool = False
    settled: list[Commit] = field(default_factory=list[Commit])

    @override
    def append(self, lane: Lane, record: Record) -> Any:
        if self.has_bug:
            raise ZeroDivisionError
        super().append(lane, record)
        commit = Commit(lane, overdue_at_s=0)
        commit.settle(self.outcome)
        self.settled.append(commit)
        return commit


@dataclass
class World:
    """A door, and everything that can be wrong behind it."""

    spool: InstantSpool = field(default_factory=InstantSpool)
    keys: FakeKeys = field(default_factory=FakeKeys)
    life: Life = field(default_factory=Life)
    quotas: list[Quota] = field(default_factory=list[Quota])
    pressure: FakePressure = field(default_factory=FakePressure)

    def __post_init__(self) -> None:
        one = Quota(name="player", quota=9, window_s=60, burst=9)
        self.house = house(self.spool, one, keys=self.keys, pressure=self.pressure)

    async def refetch(self, issuer: str) -> Refetched:
        """There are never newer keys."""
        del issuer
        return Refetched.SAME

    def post(self, *events: object, token: str | None = None, **headers: str) -> Answer:
        """Send a batch."""
        return self.post_bytes(msgspec.json.encode(events), token=token, **headers)

    def post_bytes(self, body: bytes, *, token: str | None = None, **headers: str) -> Answer:
        """Send a body; header names are written with underscores."""
        ingest = Ingest(self.house, self, FakeClock(), Meters(), self.life, refusals())
        client = TestClient(ingest, client=("127.0.0.1", 50_000))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        usual = {"content-type": "application/json"}
        if token != "":
            usual["authorization"] = f"Bearer {token or player_token()}"
        return client.post("/v1/events", content=body, headers=usual | named)

    def accept(self, event: dict[str, Any]) -> None:
        """Send one event that is durable afterwards."""
        assert self.post(event).status_code == 202
        self.house.recall.settle(self.spool.settled.pop(), held=True)


def drained(world: World) -> Answer:
    world.life.drain()
    return world.post(spin())


def without_keys(world: World) -> Answer:
    world.keys.held = None
    return world.post(spin())


def after_a_revocation(world: World) -> Answer:
    world.house.gate.revocations.learn([revocation(session=SESSION)], NOW)
    return world.post(spin())


def with_a_bug(world: World) -> Answer:
    world.spool.has_bug = True
    return world.post(spin())


def from_another_page(world: World) -> Answer:
    porch = Porch(Lobby(clock=FakeClock()), world.life)
    answer = porch.knock(("origin", "https://evil.example"))
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return httpx2.Response(answer.status, headers=headers, content=answer.body)


def oversized(world: World) -> Answer:
    event = msgspec.json.encode(spin())
    return world.post_bytes(event[:1] + b" " * 8192 + event[1:])


def leaking(world: World) -> Answer:
    snapshot = example("telemetry.device.snapshot")
    snapshot["data"]["os_version"] = "4111 1111 1111 1111"
    return world.post(snapshot | {"subject": PLAYER, "session": SESSION})


def behind_the_window(world: World) -> Answer:
    world.accept(spin(seq=5000))
    return world.post(spin(seq=5000 - 1025))


def another_under_one_id(world: World) -> Answer:
    event = spin()
    world.accept(event)
    return world.post(event | {"data": event["data"] | {"since_last_ms": 7}})


def too_many(world: World) -> Answer:
    return world.post(*[spin() for _ in range(10)])


def on_a_full_lane(world: World) -> Answer:
    world.spool.refuses[Lane.GAME] = Reject(Reason.LANE_FULL, retry_after_ns=1)
    return world.post(spin())


def on_a_failing_disk(world: World) -> Answer:
    world.spool.outcome = Synced.FAILED
    return world.post(spin())


def at_a_full_door(_: World) -> Answer:
    """Before there is a request: the answer's bytes, read as a client reads them."""
    head, body = farewell().split(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ") for line in lines)
    return httpx2.Response(int(status.split()[1]), headers=headers, content=body)


def under_pressure(world: World) -> Answer:
    world.pressure.is_high = True
    return world.post(*pointers(9))


def newer_schema(world: World) -> Answer:
    return world.post(spin(dataschema="urn:edge:schema:game.spin.requested:9.9"))


LAST_YEAR = player_token(iat=NOW_S - 7200, exp=NOW_S - 3600)
READER = player_token(scope="stream:read")

TABLE: dict[Reason, Callable[[World], Answer]] = {
    Reason.TOKEN_MISSING: lambda world: world.post(spin(), token=""),
    Reason.TOKEN_INVALID: lambda world: world.post(spin(), token="x.y"),  # noqa: S106  # no secret: not even a token
    Reason.TOKEN_EXPIRED: lambda world: world.post(spin(), token=LAST_YEAR),
    Reason.SESSION_REVOKED: after_a_revocation,
    Reason.BODY_MALFORMED: lambda world: world.post_bytes(b"{"),
    Reason.BODY_TOO_LARGE: lambda world: world.post_bytes(b" " * 262_145),
    Reason.BATCH_TOO_LARGE: lambda world: world.post(*range(201)),
    Reason.UNSUPPORTED_MEDIA_TYPE: lambda world: world.post(content_type="text/plain"),
    Reason.UNSUPPORTED_ENCODING: lambda world: world.post(content_encoding="gzip"),
    Reason.DRAINING: drained,
    Reason.KEYS_UNAVAILABLE: without_keys,
    Reason.INTERNAL_ERROR: with_a_bug,
    Reason.ORIGIN_DENIED: from_another_page,
    Reason.TOO_MANY_CONNECTIONS: at_a_full_door,
    Reason.SCHEMA_VIOLATION: lambda world: world.post(spin(seq=0)),
    Reason.UNKNOWN_TYPE: lambda world: world.post(spin(type="no.such.type")),
    Reason.UNKNOWN_VERSION: newer_schema,
    Reason.EVENT_TOO_LARGE: oversized,
    Reason.PII_LEAK: leaking,
    Reason.SUBJECT_MISMATCH: lambda world: world.post(spin(subject="player-0002")),
    Reason.AUTHORITY_DENIED: lambda world: world.post(stake()),
    Reason.BRAND_MISMATCH: lambda world: world.post(spin(brand="another")),
    Reason.SCOPE_MISSING: lambda world: world.post(spin(), token=READER),
    Reason.SEQUENCE_TOO_OLD: behind_the_window,
    Reason.CLOCK_SKEW: lambda world: world.post(spin(time="2026-02-14T19:00:00Z")),
    Reason.IDEMPOTENCY_CONFLICT: another_under_one_id,
    Reason.RATE_EXCEEDED: too_many,
    Reason.LANE_FULL: on_a_full_lane,
    Reason.LANE_FAILED: on_a_failing_disk,
    Reason.LANE_SHED: under_pressure,
}


def test_the_table_names_every_code() -> None:
    assert list(TABLE) == list(Reason)


@pytest.mark.parametrize("reason", TABLE, ids=lambda reason: reason.code)
def test_a_code_is_answered_with_its_status_and_its_promise(reason: Reason) -> None:
    answer = TABLE[reason](World())

    told = answer.json()
    if "code" in told:
        assert (answer.status_code, told["code"]) == (reason.status, reason.code)
        assert told["type"] == f"urn:edge:problem:{reason.code}"
    else:
        refused = told["refused"][-1]
        kept = told["accepted"] + told["duplicate"]
        assert answer.status_code == (202 if kept else reason.status)
        assert (refused["code"], refused["retryable"]) == (reason.code, reason.is_retryable)
    assert ("retry-after" in answer.headers) == (answer.status_code in {429, 503})
