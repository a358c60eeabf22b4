"""A socket is welcomed, told every verdict once, reminded, and ends for one reason, politely."""

import asyncio
import gc
import logging
from typing import Any, Final

import pytest
from typing_extensions import override

from edge.config import Stream
from edge.core.closing import BUG
from edge.core.conversation import Concluded, Conversation, Heard
from edge.core.instant import Instant
from edge.core.lane import Lane
from edge.core.record import Commit
from edge.core.reject import Reject
from edge.core.timetable import Timetable
from edge.core.verdict import Outcome, Tally
from edge.shell.meters import Meters
from edge.shell.refusals import Refusals
from edge.shell.stream.bearer import Bearer
from edge.shell.stream.guard import SAID_OF_BUGS
from edge.shell.stream.talk import GOODBYE_S, Talk
from tests.core.player_events import MOVES, event, frame
from tests.fakes import NOW_S, SESSION, FakeClock, player_token
from tests.fakes_loop import play
from tests.fakes_talk import FakeWire, Lobby, token_frame, turn

END_S = 3600
"""When the fakes' tokens end, after ``NOW``."""


@pytest.fixture
def lobby() -> Lobby:
    """Nobody is here yet."""
    return Lobby()


def bye(code: int, reason: str) -> dict[str, object]:
    """What is said last."""
    return {"op": "bye", "code": code, "reason": reason, "reconnect_after_ms": 0}


def test_the_first_word_is_welcome(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        return lobby.socket()[1]

    assert play(lobby.clock, story()).said == [
        {
            "op": "welcome",
            "session": SESSION,
            "known": False,
            "next_seq": 1,
            "server_time_ms": NOW_S * 1000,
            "expires_at_ms": (NOW_S + END_S) * 1000,
            "limits": {
                "frame_bytes": 65_536,
                "events": 200,
                "frames_per_s": 50,
                "events_per_s": 2000,
                "in_flight_bytes": 262_144,
            },
            "lanes": {"bet": "open"},
        }
    ]


def test_a_session_that_is_known_is_told_where_it_goes_on(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        talk, _ = lobby.socket()
        talk.hear(frame(event(7)))
        return lobby.socket()[1]

    welcome = play(lobby.clock, story()).said[0]
    assert (welcome["known"], welcome["next_seq"]) == (True, 8)


@pytest.mark.parametrize(("code", "label"), [(1000, "1000"), (4409, "4409"), (4000, "other")])
def test_an_end_is_counted_under_a_code_of_ours_or_none(
    lobby: Lobby, code: int, label: str
) -> None:
    async def story() -> None:
        lobby.socket()[0].lost(code)

    play(lobby.clock, story())
    assert lobby.registry.closed == {label: 1}


def test_too_much_in_flight_is_not_read_on_until_less_is() -> None:
    lobby = Lobby(settings=Stream(in_flight_bytes=2000))

    async def story() -> list[bool]:
        talk, wire = lobby.socket()
        paused = [wire.is_paused]
        for seq in range(1, 5):
            talk.hear(frame(event(seq)))
        paused.append(wire.is_paused)
        lobby.spool.sync(Lane.GAME)
        await turn()
        return [*paused, wire.is_paused]

    assert play(lobby.clock, story()) == [False, True, False]


def test_a_socket_that_has_ended_is_read_on_for_the_clients_close_frame() -> None:
    lobby = Lobby(settings=Stream(in_flight_bytes=2000))

    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        strangers = [event(n, subject="player-0002") for n in range(2, 12)]
        talk.hear(frame(event(1), *strangers))
        await turn()
        return wire

    wire = play(lobby.clock, story())
    assert not wire.is_hearing
    assert not wire.is_paused


def test_an_end_tells_pending_verdicts_first(lobby: Lobby) -> None:
    async def story() -> list[list[str]]:
        talk, wire = lobby.socket()
        talk.hear(frame(event(1)))
        talk.end(4403, "session_revoked")
        talk.end(4408, "silent")
        await turn()
        before = wire.ops
        assert not wire.is_hearing
        assert not talk.is_open
        lobby.spool.sync(Lane.GAME)
        assert wire.closed == (4403, "session_revoked")
        return [before, wire.ops]

    assert play(lobby.clock, story()) == [["welcome"], ["welcome", "verdicts", "bye"]]


def test_an_end_waits_for_a_sync_that_hangs_for_less_than_a_second(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(frame(event(1)))
        talk.end(4403, "session_revoked")
        await asyncio.sleep(GOODBYE_S + 0.001)
        assert wire.closed == (4403, "session_revoked")
        lobby.spool.sync(Lane.GAME)
        await turn()
        return wire

    wire = play(lobby.clock, story())
    assert wire.said[1:] == [bye(4403, "session_revoked")]
    assert GOODBYE_S < 0.5, "the close handshake has the other half of the second"
    assert lobby.meters.outcomes == {Tally(Outcome.ACCEPTED, "none", "game"): 1}


@pytest.mark.parametrize(
    ("code", "reason"), [(1003, "binary"), (1000, ""), (1006, ""), (1013, "")], ids=str
)
def test_only_an_end_of_the_talks_own_has_a_bye_and_each_has_its_verdicts(
    lobby: Lobby, code: int, reason: str
) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(frame(event(1)))
        talk.end(code, reason)
        lobby.spool.sync(Lane.GAME)
        return wire

    wire = play(lobby.clock, story())
    assert wire.ops == ["welcome", "verdicts"]
    assert wire.closed == (code, reason)


def test_whoever_leaves_with_the_process_is_told_a_time_of_its_own(lobby: Lobby) -> None:
    async def story() -> list[int]:
        wires = [
            lobby.socket(
                player_token(sid=f"{n:08x}-0000-4000-8000-000000000001", sub=f"player-{n:04d}")
            )[1]
            for n in range(1000)
        ]
        for talk in lobby.registry.all():
            talk.end(1012, "draining")
        assert {wire.closed for wire in wires} == {(1012, "draining")}
        return [wire.said[-1]["reconnect_after_ms"] for wire in wires]

    after_ms = play(lobby.clock, story())
    assert 0 <= min(after_ms) < 100
    assert 1900 < max(after_ms) < 2000, "500 a second"


def test_silence_ends_a_socket_that_may_speak_and_no_other(lobby: Lobby) -> None:
    async def story() -> list[tuple[int, str] | None]:
        writer, reader = (
            lobby.talk(),
            lobby.talk(
                player_token(scope="stream:read", sub="player-0002", sid=SESSION[:-1] + "2")
            ),
        )
        wires = [FakeWire(), FakeWire()]
        for talk, wire in zip((writer, reader), wires, strict=True):
            wire.has_stirred = True  # its pongs
            talk.begin(wire)
        await asyncio.sleep(65)
        return [wire.closed for wire in wires]

    assert play(lobby.clock, story()) == [(4408, "silent"), None]


def test_a_client_that_does_not_answer_a_ping_is_cut(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        _, wire = lobby.socket()
        await asyncio.sleep(31)
        return wire

    wire = play(lobby.clock, story())
    assert (wire.pings, wire.is_cut, wire.closed) == (1, True, None)


def test_a_client_of_whom_anything_comes_is_not_cut(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.notice()
        wire.has_stirred = True  # a part of a frame, its pongs behind it
        await asyncio.sleep(65)
        return wire

    wire = play(lobby.clock, story())
    assert (wire.pings, wire.is_cut, wire.closed) == (3, False, None)


def test_who_has_said_something_is_not_silent_though_it_waits_for_its_turn(
    lobby: Lobby,
) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        wire.has_stirred = True
        await asyncio.sleep(59)
        talk.notice()
        await asyncio.sleep(5)
        return wire

    assert play(lobby.clock, story()).closed is None


def test_no_pong_is_missed_while_we_do_not_read(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        _, wire = lobby.socket(player_token(scope="stream:read"))
        wire.is_halted = True
        await asyncio.sleep(45)
        return wire

    wire = play(lobby.clock, story())
    assert (wire.pings, wire.is_cut) == (2, False)


def test_the_end_of_a_token_is_told_and_then_comes(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        wire.has_stirred = True
        talk.hear(frame())
        await asyncio.sleep(END_S + 29)
        assert wire.closed is None
        await asyncio.sleep(1.1)
        return wire

    wire = play(lobby.clock, story())
    assert wire.said[2:] == [
        {"op": "expiring", "expires_at_ms": (NOW_S + END_S) * 1000},
        bye(4401, "token_expired"),
    ]


def test_a_newer_token_puts_the_end_off(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        wire.has_stirred = True
        talk.hear(token_frame(player_token(exp=NOW_S + 2 * END_S)))
        await asyncio.sleep(END_S + 100)
        return wire

    wire = play(lobby.clock, story())
    assert wire.said[1:] == [{"op": "renewed", "expires_at_ms": (NOW_S + 2 * END_S) * 1000}]
    assert wire.closed is None


@pytest.mark.parametrize(
    ("token", "code", "reason"),
    [
        ("x", 4401, "token_invalid"),
        (player_token(exp=NOW_S - 60, iat=NOW_S - 120), 4401, "token_expired"),
        (player_token(sub="player-0002"), 4403, "subject_mismatch"),
        (player_token(sid="0192f3c4-7a10-7c3e-8d52-6b1f0a9e4c12"), 4403, "subject_mismatch"),
        (player_token(brand="borealis"), 4403, "brand_mismatch"),
        (player_token(scope="profile"), 4403, "scope_missing"),
    ],
    ids=["forged", "expired", "another player", "another session", "another brand", "no scope"],
)
def test_a_newer_token_that_is_not_this_sockets_ends_it(
    lobby: Lobby, token: str, code: int, reason: str
) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(token_frame(token))
        return wire

    wire = play(lobby.clock, story())
    assert wire.said[1:] == [bye(code, reason)]
    assert wire.closed == (code, reason)
    assert lobby.meters.requests_refused == {reason: 1}


@pytest.mark.parametrize(
    ("scope", "begun"), [("events:write stream:read", 1), ("events:write", 0)]
)
def test_a_newer_token_that_may_have_pushes_has_them_read(
    lobby: Lobby, scope: str, begun: int
) -> None:
    async def story() -> None:
        talk, _ = lobby.socket(player_token(scope="events:write"))
        talk.hear(token_frame(player_token(scope=scope)))

    play(lobby.clock, story())
    assert lobby.pushes.begun == begun


def test_a_newer_token_that_cannot_be_judged_now_may_be_sent_again(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        lobby.refetcher.keys.held = None
        talk.hear(token_frame(player_token(exp=NOW_S + 2 * END_S)))
        await turn()
        return wire

    wire = play(lobby.clock, story())
    assert wire.closed is None
    assert wire.ops == ["welcome", "verdicts"]
    assert [
        (r["frame"], r["index"], r["code"], r["retryable"]) for r in wire.said[1]["refused"]
    ] == [(1, None, "keys_unavailable", True)]


def test_a_node_that_cannot_check_the_token_any_more_sends_its_sockets_away(
    lobby: Lobby,
) -> None:
    async def story() -> FakeWire:
        _, wire = lobby.socket()
        lobby.refetcher.keys.held = None
        await asyncio.sleep(21)
        return wire

    assert play(lobby.clock, story()).closed == (1013, "keys_unavailable")


def test_ten_events_of_others_within_a_minute_end_the_socket(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.hear(frame(*[event(n, subject="player-0002") for n in range(1, 11)]))
        return wire

    wire = play(lobby.clock, story())
    assert wire.ops == ["welcome", "verdicts", "bye"]
    assert wire.closed == (4403, "subject_mismatch")


class BuggyConversation(Conversation):
    """Fails where it is told to."""

    fails = ""

    @override
    def hear(self, text: bytes, now: Instant) -> Heard:
        if self.fails == "hear":
            raise ZeroDivisionError
        return super().hear(text, now)

    @override
    def settle(self, commit: Commit, reject: Reject | None) -> list[Concluded]:
        if self.fails == "settle":
            raise ZeroDivisionError
        return super().settle(commit, reject)

    @override
    def report(self) -> bytes | None:
        if self.fails == "report":
            raise ZeroDivisionError
        return super().report()


def fail(*_: object, **__: object) -> Any:
    """Meet a bug."""
    raise ZeroDivisionError


BUGS: Final = {
    "begin": (Timetable, "__init__"),
    "count a frame in": (Timetable, "hear"),
    "wake": (Timetable, "take"),
    "look at the token": (Bearer, "look"),
    "follow a frame": (Timetable, "spend"),
    "count a verdict": (Meters, "conclude"),
    "report a refusal": (Refusals, "of_events"),
}
LATE: Final = frozenset({"wake", "look at the token"})


@pytest.mark.parametrize("place", ["hear", "settle", "report", *BUGS])
def test_a_bug_anywhere_ends_its_socket_with_1011_and_no_other_and_is_logged_once(
    lobby: Lobby, place: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> tuple[FakeWire, FakeWire]:
        with monkeypatch.context() as patch:
            patch.setattr("edge.shell.stream.telling.Conversation", BuggyConversation)
            patch.setattr(BuggyConversation, "fails", place)
            if place in BUGS:
                patch.setattr(*BUGS[place], fail)
            buggy, its_wire = lobby.socket()
            if place != "begin":
                buggy.hear(frame(event(1), event(2, subject="player-0003")))
            if place in LATE:
                await asyncio.sleep(21)
            elif place in BUGS:
                for lane in list(lobby.spool.filling):
                    lobby.spool.sync(lane)
                await turn()
        fine, wire = lobby.socket(player_token(sub="player-0002", sid=SESSION[:-1] + "2"))
        fine.hear(frame(event(1, MOVES, subject="player-0002", session=SESSION[:-1] + "2")))
        with monkeypatch.context() as patch:
            patch.setattr(BuggyConversation, "fails", place)
            for lane in list(lobby.spool.filling):
                lobby.spool.sync(lane)
            await turn()
        buggy.lost(1011)
        return its_wire, wire

    with caplog.at_level(logging.ERROR, "edge.stream"):
        its_wire, wire = play(lobby.clock, story())

    assert its_wire.closed == BUG
    assert its_wire.said[-1] == bye(*BUG)
    assert (wire.ops, wire.closed) == (["welcome", "verdicts"], None)
    assert [each.getMessage() for each in caplog.records] == [SAID_OF_BUGS]
    assert (lobby.registry.closed, len(lobby.registry)) == ({"1011": 1}, 1)


def test_a_bug_before_it_was_entered_ends_and_counts_a_socket_like_any_other(
    lobby: Lobby, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.talk(), FakeWire()
        with monkeypatch.context() as patch:
            patch.setattr(FakeClock, "now", fail)
            talk.begin(wire)
        talk.lost(1011)
        return wire

    with caplog.at_level(logging.ERROR, "edge.stream"):
        assert play(lobby.clock, story()).closed == BUG
    assert len(caplog.records) == 1
    assert (lobby.registry.closed, len(lobby.registry)) == ({"1011": 1}, 0)


class BrokenWire(FakeWire):
    """Cannot be written to."""

    @override
    def send(self, payload: bytes) -> bool:
        raise ZeroDivisionError


def test_a_bug_of_the_wire_cuts_it_and_nobody_who_pushes_or_ends_it_hears_of_that(
    lobby: Lobby, caplog: pytest.LogCaptureFixture
) -> None:
    async def story() -> list[BrokenWire]:
        wires = [BrokenWire() for _ in range(2)]
        for wire in wires:
            lobby.talk().begin(wire)
        return wires

    with caplog.at_level(logging.CRITICAL, "edge.stream"):
        wires = play(lobby.clock, story())

    assert [wire.is_cut for wire in wires] == [True, True]


def test_who_has_failed_does_not_fail_again(lobby: Lobby) -> None:
    async def story() -> FakeWire:
        talk, wire = lobby.socket()
        talk.fail()
        talk.fail()
        talk.end(1012, "draining")
        return wire

    wire = play(lobby.clock, story())
    assert wire.ops == ["welcome", "bye"]
    assert wire.closed == BUG


def test_a_socket_that_is_gone_leaves_nothing_to_the_collector(lobby: Lobby) -> None:
    async def story() -> int:
        talk, _ = lobby.socket()
        talk.hear(frame(event(1)))
        lobby.spool.sync(Lane.GAME)
        await turn()
        gc.collect()
        gc.disable()
        talk.lost(1006)
        del talk, _
        await turn()
        return sum(isinstance(each, Talk) for each in gc.get_objects())

    try:
        assert play(lobby.clock, story()) == 0
    finally:
        gc.enable()
