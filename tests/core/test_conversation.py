"""A socket's frames are judged at once, and told of together: once each, and never too early."""

from typing import Any, Final

import msgspec
import pytest

from edge.core.admit import RawRequest, admit, give_up_refused, greet
from edge.core.authenticate import LEEWAY_S
from edge.core.conversation import (
    EVENT_BYTES_MIN,
    TRESPASS_WINDOW_NS,
    TRESPASSES_MAX,
    Conversation,
    Heard,
)
from edge.core.decode import Shape
from edge.core.instant import NS_PER_S, Instant
from edge.core.lane import Lane
from edge.core.ops import RefusedEntry, VerdictsOp
from edge.core.reject import Reason, Reject
from edge.core.verdict import Outcome, Tally, conclude
from tests.core.player_events import MOVES, SLIP, event, frame
from tests.fakes import NOW, SESSION, bearer, later, player_token, service_token
from tests.fakes_directives import revocation
from tests.house import BuggySpool, FakePressure, FakeSpool, house

FAILED: Final = Reject(Reason.LANE_FAILED, retry_after_ns=NS_PER_S)
FULL: Final = Reject(Reason.LANE_FULL, retry_after_ns=2 * NS_PER_S + 1)
OLD: Final = "2026-02-14T19:00:00Z"


class Socket:
    """A conversation in a house whose syncs end when the test says so."""

    def __init__(self, spool: FakeSpool | None = None) -> None:
        self.spool = spool or FakeSpool()
        self.pressure = FakePressure()
        self.house = house(self.spool, pressure=self.pressure)
        self.principal = greet(bearer(player_token()), self.house, NOW)
        self.talk = Conversation(self.principal, self.house)

    def hear(self, *events: object) -> Heard:
        """One frame of events."""
        return self.talk.hear(frame(*events), NOW)

    def end(self, lane: Lane, reject: Reject | None = None) -> int:
        """The lane's sync ends, for recall and the socket; how many frames that concludes."""
        commit = self.spool.next_commit(lane)
        self.house.recall.settle(commit, held=reject is None)
        return len(self.talk.settle(commit, reject))

    def told(self) -> VerdictsOp | None:
        """The next report, read back."""
        text = self.talk.report()
        return None if text is None else msgspec.json.decode(text, type=VerdictsOp)


def verdicts(
    settled: int,
    highest: int,
    *refused: RefusedEntry,
    missing: list[tuple[int, int]] | None = None,
    retry_after_ms: int | None = None,
) -> VerdictsOp:
    """A report as it is read back."""
    return VerdictsOp(
        settled=settled,
        highest=highest,
        missing=missing or [],
        refused=list(refused),
        retry_after_ms=retry_after_ms,
    )


def entry(
    number: int,
    index: int | None,
    sent: dict[str, Any] | None,
    reason: Reason,
    pointer: str | None = None,
) -> RefusedEntry:
    """One event turned away."""
    return RefusedEntry(
        frame=number,
        index=index,
        id=None if sent is None else sent["id"],
        seq=None if sent is None else sent["seq"],
        code=reason.code,
        pointer=pointer,
        retryable=reason.is_retryable,
    )


def test_nothing_is_told_before_the_sync() -> None:
    socket = Socket()

    heard = socket.hear(event(1))

    assert [v.outcome for v in heard.verdicts] == [Outcome.ACCEPTED]
    assert heard.awaited == [socket.spool.commits[Lane.GAME]]
    assert heard.concluded is None
    assert socket.told() is None


def test_all_frames_that_wait_for_one_sync_are_told_together_once() -> None:
    socket = Socket()
    awaited = [socket.hear(event(seq)).awaited for seq in (1, 2, 3)]
    assert [len(commits) for commits in awaited] == [1, 0, 0]

    assert socket.end(Lane.GAME) == 3

    assert socket.told() == verdicts(3, 3)
    assert socket.told() is None


def test_a_frame_waits_for_the_slowest_of_its_lanes() -> None:
    socket = Socket()
    heard = socket.hear(event(1), event(2, SLIP), event(3))
    assert {commit.lane for commit in heard.awaited} == {Lane.GAME, Lane.BET}

    assert socket.end(Lane.GAME) == 0
    assert socket.told() is None

    assert socket.end(Lane.BET) == 1
    assert socket.told() == verdicts(3, 3)


def test_a_frame_is_counted_as_http_counts_it() -> None:
    socket = Socket()
    heard = socket.hear(event(1), event(1), event(2, time=OLD))
    commit = socket.spool.next_commit(Lane.GAME)
    socket.house.recall.settle(commit, held=True)

    [concluded] = socket.talk.settle(commit, None)

    assert concluded.verdicts == heard.verdicts
    assert concluded.principal == socket.principal
    assert concluded.heard_steady_ns == NOW.steady_ns
    assert concluded.conclusion == conclude(heard.verdicts, {})
    assert concluded.conclusion.tallies == {
        Tally(Outcome.ACCEPTED, "none", "game"): 1,
        Tally(Outcome.DUPLICATE, "none", "game"): 1,
        Tally(Outcome.REFUSED, "clock_skew", "game"): 1,
    }


def test_an_empty_frame_is_answered_at_once() -> None:
    socket = Socket()

    assert socket.hear().concluded is not None
    assert socket.told() == verdicts(0, 0)


def test_refusals_and_duplicates_of_what_is_durable_wait_for_nothing() -> None:
    socket, old = Socket(), event(2, time=OLD)
    socket.hear(event(1))
    socket.end(Lane.GAME)
    socket.told()

    heard = socket.hear(event(1), old)

    assert heard.awaited == []
    assert heard.concluded is not None
    assert socket.told() == verdicts(2, 2, entry(2, 1, old, Reason.CLOCK_SKEW, "/time"))


def test_frames_are_numbered_whatever_they_are() -> None:
    socket, old = Socket(), event(1, time=OLD)
    socket.talk.hear(b'{"op":"token","token":"a.b.c"}', NOW)
    socket.talk.hear(b"{", NOW)
    socket.hear()

    socket.hear(old)

    assert socket.told() == verdicts(
        1,
        1,
        entry(2, None, None, Reason.BODY_MALFORMED),
        entry(4, 0, old, Reason.CLOCK_SKEW, "/time"),
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param(b"{", Reason.BODY_MALFORMED, id="unreadable"),
        pytest.param(b'{"op":"dance"}', Reason.BODY_MALFORMED, id="unknown op"),
        pytest.param(frame(*[7] * 201), Reason.BATCH_TOO_LARGE, id="too many"),
    ],
)
def test_an_unreadable_frame_is_one_refusal(text: bytes, reason: Reason) -> None:
    socket = Socket()

    heard = socket.talk.hear(text, NOW)

    assert heard.reject is not None
    assert (heard.reject.reason, heard.verdicts, heard.concluded) == (reason, (), None)
    assert socket.told() == verdicts(0, 0, entry(1, None, None, reason))


def test_a_token_is_handed_on_and_answered_by_the_door() -> None:
    socket = Socket()

    assert socket.talk.hear(b'{"op":"token","token":"a.b.c"}', NOW) == Heard(token="a.b.c")  # noqa: S106  # no secret
    assert socket.told() is None


def test_a_token_that_cannot_be_judged_now_is_refused_in_its_frames_name() -> None:
    socket = Socket()
    for text in (b"[]", b'{"op":"token","token":"a.b.c"}', frame()):
        socket.talk.hear(text, NOW)
    socket.told()

    socket.talk.refuse_token(Reject(Reason.KEYS_UNAVAILABLE, retry_after_ns=NS_PER_S))

    assert socket.told() == verdicts(
        0, 0, entry(2, None, None, Reason.KEYS_UNAVAILABLE), retry_after_ms=1000
    )


def test_what_a_lost_sync_carried_is_refused_and_missing() -> None:
    socket, first, second = Socket(), event(1), event(2)
    socket.hear(first)
    socket.hear(event(3, SLIP), second, second)
    socket.end(Lane.BET)

    assert socket.end(Lane.GAME, FAILED) == 2

    assert socket.told() == verdicts(
        0,
        3,
        entry(1, 0, first, Reason.LANE_FAILED),
        entry(2, 1, second, Reason.LANE_FAILED),
        entry(2, 2, second, Reason.LANE_FAILED),
        missing=[(1, 2)],
        retry_after_ms=1000,
    )


def test_what_a_lost_sync_carried_is_counted_as_refused() -> None:
    socket = Socket()
    heard = socket.hear(event(1), event(2, SLIP))
    socket.talk.settle(socket.spool.next_commit(Lane.BET), None)

    commit = socket.spool.next_commit(Lane.GAME)
    [concluded] = socket.talk.settle(commit, FAILED)

    assert concluded.conclusion == conclude(heard.verdicts, {commit: FAILED})


def test_a_frame_that_loses_two_syncs_is_refused_for_both() -> None:
    socket, spin, slip = Socket(), event(1), event(2, SLIP)
    judged = socket.hear(spin, slip).verdicts
    first, second = (socket.spool.next_commit(lane) for lane in (Lane.GAME, Lane.BET))
    assert socket.talk.settle(first, FAILED) == []

    [concluded] = socket.talk.settle(second, FULL)

    assert concluded.conclusion == conclude(judged, {first: FAILED, second: FULL})
    assert socket.told() == verdicts(
        0,
        0,
        entry(1, 0, spin, Reason.LANE_FAILED),
        entry(1, 1, slip, Reason.LANE_FULL),
        retry_after_ms=2001,
    )


def test_a_copy_of_what_is_pending_shares_its_fate_on_another_socket() -> None:
    socket, spin = Socket(), event(1)
    socket.hear(spin)
    other = Conversation(socket.principal, socket.house)

    heard = other.hear(frame(spin), NOW)

    assert [verdict.outcome for verdict in heard.verdicts] == [Outcome.DUPLICATE]
    assert heard.awaited == [socket.spool.commits[Lane.GAME]]
    commit = socket.spool.next_commit(Lane.GAME)
    socket.house.recall.settle(commit, held=False)
    assert len(other.settle(commit, FAILED)) == 1
    socket.talk = other
    lost = entry(1, 0, spin, Reason.LANE_FAILED)
    assert socket.told() == verdicts(0, 0, lost, retry_after_ms=1000)


def test_the_longest_wait_is_told_once() -> None:
    socket = Socket()
    socket.spool.refuses[Lane.GAME] = FULL
    socket.spool.refuses[Lane.BET] = FAILED
    socket.hear(event(1), event(2, SLIP))
    first = socket.told()
    socket.hear()
    second = socket.told()

    assert first is not None
    assert second is not None
    assert (first.retry_after_ms, second.retry_after_ms) == (2001, None)


def test_a_sync_that_is_only_overdue_leaves_its_events_missing_until_it_holds() -> None:
    socket, spin = Socket(), event(1)
    socket.hear(spin)
    commit = socket.spool.next_commit(Lane.GAME)
    socket.talk.settle(commit, FAILED)
    lost = entry(1, 0, spin, Reason.LANE_FAILED)
    assert socket.told() == verdicts(0, 0, lost, retry_after_ms=1000)

    socket.house.recall.settle(commit, held=True)
    socket.hear()

    assert socket.told() == verdicts(1, 1)


def test_a_refusal_is_given_up_with_the_report_that_tells_it() -> None:
    """Else a socket that ends in between would leave a number done that nobody heard of."""
    socket = Socket()
    socket.hear(event(1, time=OLD))
    headway, key = socket.house.recall.headway, socket.talk.session_key
    assert headway.progress(key).settled == 0

    socket.told()

    assert headway.progress(key).settled == 1


def test_refusals_of_a_frame_that_waits_are_told_with_the_next_report() -> None:
    """One below the window is done for recall at once: its refusal must not come later."""
    socket, straggler = Socket(), event(2)
    socket.hear(event(1))
    socket.hear(event(3_000))
    socket.end(Lane.GAME)
    socket.told()

    socket.hear(event(3_001, SLIP), straggler)
    socket.hear(event(3_002))
    socket.end(Lane.GAME)

    report = socket.told()
    assert report is not None
    assert report.settled >= 2
    assert report.refused == [entry(3, 1, straggler, Reason.SEQUENCE_TOO_OLD, "/seq")]
    socket.end(Lane.BET)
    last = socket.told()
    assert last is not None
    assert (last.highest, last.refused) == (3_002, [])


def test_a_retryable_refusal_leaves_its_number_missing() -> None:
    socket, spin = Socket(), event(1)
    socket.spool.refuses[Lane.GAME] = FULL
    socket.hear(spin, event(2, SLIP))
    socket.end(Lane.BET)

    report = socket.told()

    assert report is not None
    assert (report.settled, report.missing) == (0, [(1, 1)])


def test_a_number_that_was_refused_for_good_may_come_again() -> None:
    socket = Socket()
    socket.hear(event(1, time=OLD))
    socket.told()

    socket.hear(event(1))
    socket.hear()
    assert socket.told() == verdicts(0, 0)

    socket.end(Lane.GAME)
    assert socket.told() == verdicts(1, 1)


def test_shed_telemetry_is_told_and_done() -> None:
    socket = Socket()
    socket.pressure.is_high = True

    heard = socket.hear(*(event(seq, MOVES) for seq in range(1, 17)))
    socket.end(Lane.TELEMETRY)

    assert [v.outcome for v in heard.verdicts].count(Outcome.SHED) == 15
    report = socket.told()
    assert report is not None
    assert (report.settled, report.highest, len(report.refused)) == (16, 16, 15)


@pytest.mark.parametrize(
    ("members", "seq"),
    [
        pytest.param({"subject": "player-0002"}, 1, id="another player"),
        pytest.param({"session": "0192f3c4-7a10-7c3e-8d52-6b1f0a9e4c12"}, None, id="another session"),
        pytest.param({"session": "mine"}, 1, id="no session"),
        pytest.param({"source": 7, "session": "0192f3c4-7a10-7c3e-8d52-6b1f0a9e4c12"}, None, id="unreadable, another session"),
        pytest.param({"source": 7}, 1, id="unreadable"),
    ],
)  # fmt: skip
def test_a_number_of_another_session_is_none_of_this_one(
    members: dict[str, object], seq: int | None
) -> None:
    socket = Socket()

    socket.hear(event(1, **members))

    report = socket.told()
    assert report is not None
    assert [one.seq for one in report.refused] == [seq]
    assert report.settled == (seq or 0)


def test_what_came_by_http_counts() -> None:
    socket, old = Socket(), event(2, time=OLD)
    body = msgspec.json.encode([event(1), old])
    request = RawRequest(bearer(player_token()), Shape.ARRAY, body)
    judged = admit(request, socket.house, NOW)
    socket.house.recall.settle(socket.spool.next_commit(Lane.GAME), held=True)
    answer = conclude(judged, {})
    give_up_refused(answer.verdicts.refused, judged, socket.principal, socket.house)

    socket.hear(event(3))
    socket.end(Lane.GAME)

    assert socket.told() == verdicts(3, 3)


def test_what_a_service_is_refused_is_no_number_of_a_session() -> None:
    socket = Socket()
    service = greet(bearer(service_token()), socket.house, NOW)
    request = RawRequest(
        bearer(service_token()), Shape.ARRAY, msgspec.json.encode([event(1), 7])
    )
    judged = admit(request, socket.house, NOW)

    give_up_refused(conclude(judged, {}).verdicts.refused, judged, service, socket.house)

    assert len(conclude(judged, {}).verdicts.refused) == 2
    assert socket.house.recall.headway.next_seq(socket.talk.session_key) == 1


def test_bytes_are_in_flight_until_their_frame_is_concluded() -> None:
    socket = Socket()
    sent = frame(event(1), event(2, SLIP))
    size = max(len(sent), 2 * EVENT_BYTES_MIN)
    for _ in range(2):
        socket.talk.hear(sent, NOW)
    socket.hear(event(3, time=OLD))
    assert socket.talk.bytes_in_flight == 2 * size

    socket.end(Lane.GAME)
    assert socket.talk.bytes_in_flight == 2 * size

    socket.end(Lane.BET)
    assert socket.talk.bytes_in_flight == 0


def test_tiny_events_count_more_than_their_bytes() -> None:
    """Each of them leaves a verdict to be kept."""
    socket = Socket()

    socket.hear(event(1), *[7] * 199)

    assert socket.talk.bytes_in_flight == 200 * EVENT_BYTES_MIN


def test_what_a_bug_cut_off_is_counted_and_not_reported() -> None:
    """Whoever waits for this frame alone takes what a report does not list for durable."""
    socket = Socket(BuggySpool())

    heard = socket.hear(event(1), event(2), event(3))

    assert isinstance(heard.bug, ZeroDivisionError)
    assert [v.outcome for v in heard.verdicts] == [Outcome.ACCEPTED]
    assert socket.end(Lane.GAME) == 1
    assert socket.told() is None


def test_a_bug_keeps_no_other_frame_from_its_report() -> None:
    socket = Socket(BuggySpool())
    assert socket.hear().concluded is not None

    bugs = [socket.hear(event(1)).bug, socket.hear(event(2), event(3)).bug]

    assert [type(bug) for bug in bugs] == [type(None), ZeroDivisionError]
    assert socket.end(Lane.GAME) == 1
    assert socket.told() == verdicts(1, 1)


def test_many_events_of_others_within_a_minute_are_a_trespass() -> None:
    socket = Socket()
    foreign = event(1, subject="player-0002")
    branded = event(2, brand="borealis")
    for _ in range(TRESPASSES_MAX - 1):
        assert not socket.hear(foreign).is_trespassing
    assert not socket.hear(event(3), event(4, time=OLD)).is_trespassing

    assert socket.hear(branded).is_trespassing


def test_a_few_events_of_others_now_and_then_are_no_trespass() -> None:
    socket = Socket()
    foreign = frame(*[event(1, subject="player-0002")] * (TRESPASSES_MAX - 1))
    seconds = TRESPASS_WINDOW_NS / NS_PER_S

    for at_s in range(5):
        now = later(at_s * (seconds + 1))
        assert not socket.talk.hear(foreign, now).is_trespassing

    assert not socket.talk.hear(foreign, later(5 * (seconds + 1))).is_trespassing
    assert socket.talk.hear(foreign, later(5 * (seconds + 1) + seconds)).is_trespassing


def test_a_newer_token_counts_from_the_next_frame_on() -> None:
    socket = Socket()
    reader = greet(bearer(player_token(scope="stream:read")), socket.house, NOW)
    socket.hear(event(1))

    socket.talk.renew(reader)
    [verdict] = socket.hear(event(2)).verdicts

    assert verdict.reject is not None
    assert verdict.reject.reason is Reason.SCOPE_MISSING
    commit = socket.spool.next_commit(Lane.GAME)
    [concluded] = socket.talk.settle(commit, None)
    assert concluded.principal == socket.principal


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"sub": "player-0002"}, Reason.SUBJECT_MISMATCH),
        ({"sid": "0192f3c4-7a10-7c3e-8d52-6b1f0a9e4c12"}, Reason.SUBJECT_MISMATCH),
        ({"sub": "player-0002", "brand": "borealis"}, Reason.SUBJECT_MISMATCH),
        ({"brand": "borealis"}, Reason.BRAND_MISMATCH),
        ({"jurisdiction": "MT"}, Reason.BRAND_MISMATCH),
    ],
    ids=["another player", "another session", "a stranger", "brand", "jurisdiction"],
)
def test_a_token_of_another_does_not_renew(claims: dict[str, str], reason: Reason) -> None:
    socket = Socket()
    other = greet(bearer(player_token(**claims)), socket.house, NOW)

    with pytest.raises(Reject) as refused:
        socket.talk.renew(other)

    assert refused.value.reason is reason
    assert socket.talk.principal == socket.principal


def test_a_retry_under_another_jurisdiction_would_be_a_conflict() -> None:
    """Why a renewal may not change it."""
    socket = Socket()
    socket.hear(event(1))
    socket.end(Lane.GAME)
    elsewhere = greet(bearer(player_token(jurisdiction="MT")), socket.house, NOW)

    [verdict] = Conversation(elsewhere, socket.house).hear(frame(event(1)), NOW).verdicts

    assert verdict.reject is not None
    assert verdict.reject.reason is Reason.IDEMPOTENCY_CONFLICT


def _at(unix_s: float) -> Instant:
    """A wall clock that was set, or a machine that slept: the steady clock knows nothing of it."""
    return Instant(round(unix_s * NS_PER_S), NOW.steady_ns + 1)


@pytest.mark.parametrize("text", [frame(event(2)), b"{", b""], ids=["events", "bad", "empty"])
def test_under_a_token_that_is_over_nothing_is_judged_whatever_a_timer_does(
    text: bytes,
) -> None:
    socket = Socket()
    end_s = socket.principal.expires_unix_s + LEEWAY_S

    last = socket.talk.hear(frame(event(1)), _at(end_s - 1))
    first = socket.talk.hear(text, _at(end_s))

    assert len(last.verdicts) == 1
    assert last.distrust is None
    assert first.distrust is not None
    assert first.distrust.reason is Reason.TOKEN_EXPIRED
    assert msgspec.structs.replace(first, distrust=None) == Heard()


def test_a_revocation_acts_on_the_next_frame_whoever_was_told_of_it() -> None:
    socket = Socket()
    socket.house.gate.revocations.learn([revocation(session=SESSION)], NOW)

    heard = socket.hear(event(1))

    assert heard.distrust is not None
    assert heard.distrust.reason is Reason.SESSION_REVOKED
    assert msgspec.structs.replace(heard, distrust=None) == Heard()


def test_a_newer_token_puts_the_end_off() -> None:
    socket = Socket()
    end_s = socket.principal.expires_unix_s + LEEWAY_S
    token = player_token(exp=end_s + 3600)
    socket.talk.renew(greet(bearer(token), socket.house, NOW))

    assert socket.talk.hear(frame(event(1)), _at(end_s)).distrust is None
