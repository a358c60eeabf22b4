"""Every verdict is told once, when it is true; all of one commit in one frame; and counted."""

import logging
from typing import Any

import pytest
from typing_extensions import override

from edge.core.headway import Headway
from edge.core.lane import Lane
from edge.core.limit import Quota
from edge.core.record import Record
from edge.core.verdict import Outcome, Tally
from edge.shell.spool.commit import Synced
from tests.core.player_events import SLIP, event, frame
from tests.fakes_loop import play
from tests.fakes_talk import FakeWire, Lobby, SlowSpool, turn


@pytest.fixture
def lobby() -> Lobby:
    """Nobody is here yet."""
    return Lobby()


def fail(*_: object, **__: object) -> Any:
    """Meet a bug."""
    raise ZeroDivisionError


def test_a_verdict_comes_after_its_sync_and_not_before(lobby: Lobby) -> None:
    async def story() -> list[list[str]]:
        talk, wire = lobby.socket()
        talk.hear(frame(event(1), event(2)))
        await turn()
        before = wire.ops
        lobby.spool.sync(Lane.GAME)
        await turn()
        return [before, wire.ops]

    assert play(lobby.clock, story()) == [["welcome"], ["welcome", "verdicts"]]
    assert lobby.meters.received == {"game": 2}
    assert lobby.meters.outcomes == {Tally(Outcome.ACCEPTED, "none", "game"): 2}


def test_all_frames_of_one_commit_and_of_commits_that_end_together_are_one_report(
    lobby: Lobby,
) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(frame(event(1), event(2, SLIP)))
        talk.hear(frame(event(3)))
        await turn()
        lobby.spool.sync(Lane.GAME)
        lobby.spool.sync(Lane.BET)
        await turn()
        return wire

    wire = play(lobby.clock, story())
    assert wire.ops == ["welcome", "verdicts"]
    assert (wire.said[1]["settled"], wire.said[1]["highest"]) == (3, 3)


def test_a_frame_that_waits_for_nothing_is_answered_in_the_same_turn(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(frame())
        talk.hear(b"nonsense")
        talk.hear(frame(event(1, subject="player-0002")))
        await turn()
        return wire

    wire = play(lobby.clock, story())
    assert wire.ops == ["welcome", "verdicts"]
    assert [(r["frame"], r["index"], r["code"]) for r in wire.said[1]["refused"]] == [
        (2, None, "body_malformed"),
        (3, 0, "subject_mismatch"),
    ]
    assert lobby.meters.requests_refused == {"body_malformed": 1}
    codes = [each["data"]["code"] for each in lobby.told.told()]
    assert codes == ["body_malformed", "subject_mismatch"]


@pytest.mark.parametrize(
    ("outcome", "code", "after_ms"),
    [
        (Synced.FAILED, "lane_failed", 1000),
        (Synced.OVERDUE, "lane_failed", 1000),
        (Synced.FULL, "lane_full", 5000),
    ],
)
def test_an_event_whose_sync_did_not_hold_in_time_may_be_sent_again(
    lobby: Lobby, outcome: Synced, code: str, after_ms: int
) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(frame(event(1)))
        lobby.spool.sync(Lane.GAME, outcome)
        await turn()
        return wire

    told = play(lobby.clock, story()).said[1]
    assert [(r["code"], r["retryable"]) for r in told["refused"]] == [(code, True)]
    assert told["retry_after_ms"] == after_ms


def test_a_copy_of_what_is_overdue_is_refused_in_the_very_next_report(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(frame(event(1)))
        lobby.spool.sync(Lane.GAME, Synced.OVERDUE)
        await turn()
        talk.hear(frame())
        talk.hear(frame(event(1)))
        await turn()
        return wire

    wire = play(lobby.clock, story())
    assert wire.ops == ["welcome", "verdicts", "verdicts"]
    assert [(r["frame"], r["code"]) for r in wire.said[2]["refused"]] == [(3, "lane_failed")]


def test_a_client_that_is_gone_is_still_counted_and_told_nothing(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(frame(event(1)))
        talk.lost(1006)
        lobby.spool.sync(Lane.GAME)
        await turn()
        talk.end(1011, "nobody hears it")
        talk.push(b"{}")
        return wire

    assert play(lobby.clock, story()).ops == ["welcome"]
    assert lobby.meters.outcomes == {Tally(Outcome.ACCEPTED, "none", "game"): 1}
    assert lobby.registry.closed == {"1006": 1}
    assert len(lobby.registry) == 0


def test_frames_are_counted_both_ways(lobby: Lobby) -> None:
    async def story() -> None:
        talk, _ = lobby.socket()
        talk.hear(frame())
        talk.push(b"{}")
        await turn()

    play(lobby.clock, story())
    assert lobby.registry.frames == {"in": 1, "out": 3}


def test_what_does_not_leave_is_not_counted(lobby: Lobby) -> None:
    async def story() -> bool | None:
        talk, wire = lobby.socket()
        wire.is_dead = True
        talk.hear(frame())
        await turn()
        return talk.push(b"{}")

    assert not play(lobby.clock, story())
    assert lobby.registry.frames == {"in": 1, "out": 1}


def test_a_quota_that_is_used_up_is_a_verdict_and_the_socket_lives() -> None:
    lobby = Lobby(quotas=(Quota(name="player", quota=1, window_s=60, burst=1),))

    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(frame(event(1), event(2)))
        lobby.spool.sync(Lane.GAME)
        await turn()
        return wire

    wire = play(lobby.clock, story())
    assert [r["code"] for r in wire.said[1]["refused"]] == ["rate_exceeded"]
    assert wire.closed is None


def test_a_bug_leaves_no_later_word_that_could_be_taken_for_a_verdict(
    lobby: Lobby, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(frame(event(1)))
        talk.hear(frame(event(2, SLIP)))
        monkeypatch.setattr(Headway, "progress", fail)  # its refusals are given up by then
        lobby.spool.sync(Lane.GAME, Synced.FAILED)
        await turn()
        monkeypatch.undo()
        lobby.spool.sync(Lane.BET)
        await turn()
        return wire

    with caplog.at_level(logging.CRITICAL, "edge.stream"):
        wire = play(lobby.clock, story())

    assert wire.ops == ["welcome", "bye"]


class BuggySpool(SlowSpool):
    """Takes no bets."""

    @override
    def append(self, lane: Lane, record: Record) -> Any:
        if lane is Lane.BET:
            raise ZeroDivisionError
        return super().append(lane, record)


def test_a_stage_with_a_bug_ends_the_socket_and_what_came_before_it_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lobby = Lobby(spool=BuggySpool())

    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(frame(event(1), event(2, SLIP), event(3)))
        lobby.spool.sync(Lane.GAME)
        return wire

    with caplog.at_level(logging.CRITICAL, "edge.stream"):
        wire = play(lobby.clock, story())

    assert wire.ops == ["welcome", "bye"], "nothing tells the client that the rest was judged"
    assert wire.closed == (1011, "internal_error")
    assert lobby.meters.outcomes == {Tally(Outcome.ACCEPTED, "none", "game"): 1}


def test_a_push_goes_out_as_it_is_and_never_behind_the_end(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        assert talk.push(b'{"op":"push"}')
        assert talk.write_buffer_bytes == 17
        talk.hear(frame(event(1)))
        talk.end(4409, "replaced")
        assert talk.push(b'{"op":"push"}') is False, "it waits for a verdict"
        lobby.spool.sync(Lane.GAME)
        assert talk.push(b'{"op":"push"}') is False
        talk.lost(4409)
        assert talk.push(b'{"op":"push"}') is False
        return wire

    assert play(lobby.clock, story()).ops == ["welcome", "push", "verdicts", "bye"]
    assert lobby.registry.frames["out"] == 4
