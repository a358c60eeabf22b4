"""A socket rests when its events outrun their budget, and lives no longer than its token."""

import asyncio
from itertools import pairwise
from typing import Final

import msgspec
import pytest

from edge.config import Auth, Stream
from edge.core.instant import NS_PER_S
from edge.core.lane import Lane
from edge.core.ops import BURST_S
from edge.core.timetable import TOKEN_LOOK_S
from tests.core.player_events import event, frame
from tests.fakes import NOW, SESSION, player_token
from tests.fakes_directives import revocation
from tests.fakes_loop import play
from tests.fakes_talk import FakeWire, Lobby, token_frame, turn

RATE = 40
UNREADABLE: Final[dict[str, object]] = {}
FULL = frame(
    *[UNREADABLE] * 200
)  # events that nobody can read: the slow way, and nothing is charged


def steady_s(lobby: Lobby) -> float:
    """How long the test has lasted, by its clock."""
    return (lobby.clock.now().steady_ns - NOW.steady_ns) / NS_PER_S


@pytest.mark.parametrize("rate", [RATE, 2000])
def test_who_says_all_it_can_is_read_in_bursts_and_at_its_rate_and_refused_nothing(
    rate: int,
) -> None:
    lobby = Lobby(settings=Stream(events_per_s=rate))

    async def story() -> tuple[list[float], FakeWire]:
        talk, wire = lobby.socket(player_token(exp=NOW.unix_ns // NS_PER_S + 7200))
        heard_s = list[float]()
        while steady_s(lobby) < 60:
            while not wire.is_paused:
                talk.hear(FULL)
                heard_s.append(steady_s(lobby))
                await turn()
            await asyncio.sleep(0.05)
        return heard_s, wire

    heard_s, wire = play(lobby.clock, story())

    burst = sum(at_s == 0 for at_s in heard_s)
    assert burst == BURST_S * rate // 200 + 1
    assert len(heard_s) - burst == pytest.approx(60 * rate / 200, abs=2)
    assert max(later - at for at, later in pairwise(heard_s)) <= BURST_S + 0.1
    assert wire.closed is None
    refused = [
        each for told in wire.said if told["op"] == "verdicts" for each in told["refused"]
    ]
    assert {each["code"] for each in refused} == {"schema_violation"}
    assert len(refused) == 200 * len(heard_s)


def test_verdicts_and_pings_go_on_while_a_socket_rests() -> None:
    lobby = Lobby(settings=Stream(events_per_s=RATE, ping_s=2, pong_s=1))

    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(frame(event(1), *[UNREADABLE] * 199))
        talk.hear(FULL)
        assert wire.is_paused
        wire.is_halted = True
        lobby.spool.sync(Lane.GAME)
        await asyncio.sleep(4.5)
        assert wire.is_paused
        return wire

    wire = play(lobby.clock, story())

    assert wire.said[-1]["settled"] == 1
    assert wire.pings >= 2
    assert not wire.is_cut


def test_who_rests_and_has_too_much_in_flight_waits_for_both() -> None:
    settings = Stream(events_per_s=RATE, in_flight_bytes=120_000)
    first, second = Lobby(settings=settings), Lobby(settings=settings)

    async def story(lobby: Lobby, sync_s: float, *, until_s: float) -> list[bool]:
        talk, wire = lobby.socket()
        talk.hear(FULL)
        talk.hear(frame(event(1), *[UNREADABLE] * 199))
        paused = [wire.is_paused]
        await asyncio.sleep(sync_s)
        lobby.spool.sync(Lane.GAME)
        await turn()
        paused.append(wire.is_paused)
        await asyncio.sleep(until_s - sync_s)
        return [*paused, wire.is_paused]

    assert play(first.clock, story(first, 1, until_s=5.1)) == [True, True, False]
    assert play(second.clock, story(second, 6, until_s=6.1)) == [True, False, False]


def test_a_frame_heard_under_a_token_that_is_over_ends_the_socket_before_any_timer() -> None:
    lobby = Lobby()

    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(frame(event(1)))
        now = lobby.clock.instant
        slept_ns = now.unix_ns + 3631 * NS_PER_S  # a machine that slept: one clock stood
        lobby.clock.instant = msgspec.structs.replace(now, unix_ns=slept_ns)
        talk.hear(frame(event(2)))
        assert not wire.is_hearing
        lobby.spool.sync(Lane.GAME)
        return wire

    wire = play(lobby.clock, story())

    assert [told["op"] for told in wire.said] == ["welcome", "verdicts", "bye"]
    assert wire.said[1]["highest"] == 1, "what came before counts, and is told"
    assert wire.closed == (4401, "token_expired")
    assert lobby.meters.requests_refused["token_expired"] == 1


def test_a_frame_of_whom_nobody_told_that_it_is_revoked_ends_the_socket() -> None:
    lobby = Lobby()

    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        lobby.house.gate.revocations.learn([revocation(session=SESSION)], lobby.clock.now())
        talk.hear(frame(event(1)))
        return wire

    assert play(lobby.clock, story()).closed == (4403, "session_revoked")


def test_a_key_that_is_dropped_ends_its_sockets_in_time_however_rare_pings_are() -> None:
    lobby = Lobby(settings=Stream(ping_s=3600, silent_s=3600))

    async def story() -> float:
        _, wire = lobby.socket()
        await asyncio.sleep(100)
        dropped_s = steady_s(lobby)
        lobby.refetcher.forget()
        while wire.closed is None:  # noqa: ASYNC110  # it is looked at from outside
            await asyncio.sleep(0.1)
        assert wire.closed == (4401, "token_invalid")
        assert wire.pings == 0
        return steady_s(lobby) - dropped_s

    assert play(lobby.clock, story()) <= TOKEN_LOOK_S + 1
    assert TOKEN_LOOK_S + Auth().jwks_refresh_s <= 60, "design.md §8, from the issuer's file on"


@pytest.mark.parametrize("claims", [{"jurisdiction": "MT"}, {"brand": "borealis"}], ids=str)
def test_a_renewal_for_elsewhere_ends_the_socket(claims: dict[str, str]) -> None:
    lobby = Lobby()

    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(token_frame(player_token(**claims)))
        return wire

    assert play(lobby.clock, story()).closed == (4403, "brand_mismatch")


def test_a_bug_in_fetching_keys_ends_the_socket_that_asked() -> None:
    lobby = Lobby()

    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        lobby.refetcher.forget()
        lobby.refetcher.bug = RuntimeError("planted")
        talk.hear(token_frame(player_token()))
        await asyncio.sleep(1)
        return wire

    assert play(lobby.clock, story()).closed == (1011, "internal_error")
