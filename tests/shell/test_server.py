"""One process, wired for real: it serves, tells, leaves in order, and comes back knowing."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

from edge.app import DOCUMENTS, build
from edge.config import (
    Config,
)
from edge.core.lane import Lane
from edge.shell.listen import address, listen
from edge.shell.server import drain, supervise
from origin_client.open import open_reader
from tests.core.test_admit import spin, stake
from tests.fakes import FakeClock, player_token, service_token
from tests.test_app import settings


@contextlib.asynccontextmanager
async def living(
    config: Config,
) -> AsyncGenerator[tuple[httpx2.AsyncClient, httpx2.AsyncClient]]:
    """Run a gateway until the block ends, then tell it to leave, and see that it does."""
    public, private = listen("http", "127.0.0.1", 0), listen("admin", "127.0.0.1", 0)
    doors = [httpx2.AsyncClient(base_url=f"http://{address(s)}") for s in (public, private)]
    life = asyncio.create_task(build(config, FakeClock()).live(public, private))
    try:
        async with doors[0] as front, doors[1] as admin:
            await admin.get("/livez")  # from then on signals are ours
            yield front, admin
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        await life


async def post(front: httpx2.AsyncClient, token: str, *events: dict[str, Any]) -> Any:
    """Send *events*; return the verdicts."""
    headers = {"authorization": f"Bearer {token}"}
    return (await front.post("/v1/events", json=events, headers=headers)).json()


def forwarded(tmp_path: Path, lane: Lane) -> list[str]:
    """The ids that arrived at the origin."""
    reader = open_reader(f"log:{tmp_path / 'origin'}", {})
    records = reader.subscribe(lane.topic, {})
    return [msgspec.json.decode(record.value)["id"] for record in records]


def test_an_event_arrives_and_is_known_after_a_restart(
    tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    config, bet, game = settings(tmp_path), stake(), spin()

    async def first_life() -> None:
        async with living(config) as (front, _):
            assert (await post(front, service_token(), bet))["accepted"] == 1
            assert (await post(front, player_token(), game))["accepted"] == 1

    async def second_life() -> None:
        async with living(config) as (front, _):
            os.kill(os.getpid(), signal.SIGHUP)
            assert (await post(front, service_token(), bet))["duplicate"] == 1
            again = {**game, "id": "00000000-0000-7000-8000-000000000000"}
            again["data"] = game["data"] | {"request_id": "another"}
            [refused] = (await post(front, player_token(), again))["refused"]
            assert (refused["code"], refused["pointer"]) == ("idempotency_conflict", "/seq")

    asyncio.run(first_life())
    asyncio.run(second_life())

    assert forwarded(tmp_path, Lane.BET) == [bet["id"]]
    assert forwarded(tmp_path, Lane.GAME) == [game["id"]]
    lines = capfdbinary.readouterr().out.splitlines()
    assert [msgspec.json.decode(line)["event"] for line in lines] == ["listening"] * 2


def test_operators_see_what_happened_and_the_public_does_not(tmp_path: Path) -> None:
    async def story() -> None:
        async with living(settings(tmp_path)) as (front, admin):
            await post(front, player_token(), spin(), {"type": "?"})
            ready = await admin.get("/readyz")
            metrics = (await admin.get("/metrics")).text
            hidden = await front.get("/metrics")
            documents = [await front.get(p) for p in DOCUMENTS]

        assert ready.json()["ready"]
        assert 'edge_events_received_total{lane="game"} 1.0' in metrics
        assert 'edge_events_received_total{lane="none"} 1.0' in metrics
        assert hidden.status_code == 404
        assert documents[0].json()["openapi"].startswith("3.1")
        assert documents[1].json()["asyncapi"] == "3.0.0"
        assert len(documents[2].json()["types"]) == 25

    asyncio.run(story())


def test_background_work_that_fails_is_told_and_begins_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge.shell.server.RESTART_S", 0)
    bugs = 2

    async def story() -> None:
        works = asyncio.Event()

        async def work() -> None:
            nonlocal bugs
            if bugs:
                bugs -= 1
                raise ZeroDivisionError
            works.set()
            await asyncio.Event().wait()

        task = asyncio.create_task(supervise(work))
        await works.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    asyncio.run(story())

    assert [record.exc_info is not None for record in caplog.records] == [True, True]


@dataclass
class FakeForwarder:
    """Ends at once when told to drain, or only when abandoned; writes down what it is told."""

    is_stuck: bool
    told: list[str]

    def start(self) -> None:
        """Nothing to begin."""

    def begin_drain(self) -> None:
        """Note it."""
        self.told.append("drain")

    def join(self, deadline_steady_ns: int) -> bool:
        """Note until when."""
        self.told.append(f"join {deadline_steady_ns}")
        return not self.is_stuck

    def abandon(self) -> None:
        """Note it."""
        self.told.append("abandon")


def test_every_lane_drains_before_any_is_waited_for() -> None:
    told: list[str] = []

    assert drain([FakeForwarder(is_stuck=False, told=told) for _ in range(2)], 7)

    assert told == ["drain", "drain", "join 7", "join 7"]


def test_a_stuck_lane_is_abandoned_once_for_all() -> None:
    told: list[str] = []

    assert not drain(
        [FakeForwarder(is_stuck=True, told=told), FakeForwarder(is_stuck=False, told=told)], 7
    )

    late = 7 + 5 * 10**9
    assert told[4:] == ["abandon", "abandon", f"join {late}", f"join {late}"]
