"""Each thing is due at its time, the gravest first, and once."""

import msgspec
import pytest

from edge.core.instant import NS_PER_S, Instant
from edge.core.ops import BURST_S
from edge.core.timetable import TOKEN_LOOK_S, Due, Times, Timetable
from tests.fakes import NOW, NOW_S, later

EVENTS_PER_S = 100
TIMES = Times(
    silent_ns=60 * NS_PER_S,
    ping_ns=20 * NS_PER_S,
    pong_ns=10 * NS_PER_S,
    event_ns=NS_PER_S // EVENTS_PER_S,
)
END_S = 3600


def timetable(
    *, is_to_speak: bool = True, first_ping_s: int = 15, times: Times = TIMES
) -> Timetable:
    """Of a socket that began at ``NOW``, with a token for an hour."""
    return Timetable(
        times,
        NOW_S + END_S,
        NOW,
        first_ping_ns=first_ping_s * NS_PER_S,
        is_to_speak=is_to_speak,
    )


def life(
    table: Timetable, until_s: float, *, hears: bool, pongs: bool
) -> list[tuple[int, Due]]:
    """What is due when, told by whoever comes back exactly after each wait."""
    now, found = NOW, list[tuple[int, Due]]()
    while True:
        now = Instant(now.unix_ns + table.wait_ns(now), now.steady_ns + table.wait_ns(now))
        after_s = (now.steady_ns - NOW.steady_ns) / NS_PER_S
        if after_s > until_s:
            return found
        due = table.take(now)
        found.append((round(after_s), due))
        if due in {Due.END_EXPIRED, Due.END_SILENT, Due.CUT}:
            return found
        if hears:
            table.hear()
        if pongs:
            table.excuse()


def test_a_client_that_answers_is_pinged_again_and_again() -> None:
    found = life(timetable(is_to_speak=False), 60, hears=False, pongs=True)

    assert found == [(15, Due.PING), (35, Due.PING), (55, Due.PING)]


def test_a_client_that_does_not_answer_is_cut() -> None:
    found = life(timetable(is_to_speak=False), 60, hears=False, pongs=False)

    assert found == [(15, Due.PING), (25, Due.CUT)]


def test_whoever_may_write_must_say_something_and_pongs_do_not_count() -> None:
    found = life(timetable(), 90, hears=False, pongs=True)

    assert found[-1] == (60, Due.END_SILENT)


def test_a_frame_is_a_sign_of_life_and_ends_silence_for_good() -> None:
    found = life(timetable(), 90, hears=True, pongs=False)

    assert {due for _, due in found} == {Due.PING}


def test_the_end_of_a_token_is_told_once_a_minute_before_and_comes_after_the_leeway() -> None:
    found = life(timetable(is_to_speak=False), 4000, hears=False, pongs=True)

    ends = [(after_s, due) for after_s, due in found if due is not Due.PING]
    assert ends == [(END_S - 60, Due.TELL_EXPIRY), (END_S + 30, Due.END_EXPIRED)]


def test_a_newer_token_puts_both_off() -> None:
    table = timetable(is_to_speak=False)
    assert table.take(later(END_S - 60)) is Due.TELL_EXPIRY

    table.renew(NOW_S + 2 * END_S)

    assert table.take(later(END_S + 31)) is Due.PING
    table.excuse()
    assert table.take(later(2 * END_S - 60)) is Due.TELL_EXPIRY
    assert table.take(later(2 * END_S + 30)) is Due.END_EXPIRED


@pytest.mark.parametrize("first_ping_s", [5, 20, 45, 60])
def test_a_token_is_looked_at_in_time_however_rare_pings_are(first_ping_s: int) -> None:
    times = msgspec.structs.replace(TIMES, ping_ns=60 * NS_PER_S)
    table = timetable(is_to_speak=False, first_ping_s=first_ping_s, times=times)

    found = life(table, 300, hears=False, pongs=True)

    looks = [after_s for after_s, due in found if due in {Due.PING, Due.LOOK}]
    assert max(map(int.__sub__, looks, [0, *looks])) <= TOKEN_LOOK_S
    pings = [after_s for after_s, due in found if due is Due.PING]
    assert pings == list(range(first_ping_s, 301, 60))


def test_where_pings_are_frequent_nothing_else_wakes_a_socket() -> None:
    found = life(timetable(is_to_speak=False), 600, hears=False, pongs=True)

    assert {due for _, due in found} == {Due.PING}


@pytest.mark.parametrize("frame", [1, 7, 200])
def test_a_burst_passes_and_then_so_much_as_the_rate_allows(frame: int) -> None:
    table, now, spent = timetable(), NOW, 0
    while not table.rest_ns(now):
        table.spend(frame, now)
        spent += frame
    assert 0 < spent - BURST_S * EVENTS_PER_S <= frame

    begun = spent
    while (now := _rested(table, now)).steady_ns < later(60).steady_ns:
        table.spend(frame, now)
        spent += frame

    assert abs(spent - begun - 60 * EVENTS_PER_S) <= 2 * frame


def test_a_rest_is_never_longer_than_the_burst() -> None:
    times = msgspec.structs.replace(TIMES, event_ns=NS_PER_S * BURST_S // 200)
    table = timetable(times=times)
    table.spend(200, NOW)
    assert table.rest_ns(NOW) == 0

    table.spend(200, NOW)

    assert table.rest_ns(NOW) == BURST_S * NS_PER_S


def test_whoever_keeps_to_the_rate_never_rests() -> None:
    table = timetable()

    for second in range(600):
        table.spend(EVENTS_PER_S * 5 if second % 5 == 0 else 0, later(second))
        assert table.rest_ns(later(second)) == 0


def test_nobody_saves_up_for_a_longer_burst() -> None:
    table = timetable()
    table.spend(1, NOW)

    table.spend(BURST_S * EVENTS_PER_S + EVENTS_PER_S, later(600))

    assert table.rest_ns(later(600)) == NS_PER_S


def test_who_comes_back_after_each_wait_comes_when_the_rest_is_over() -> None:
    table = timetable()
    table.spend(BURST_S * EVENTS_PER_S + 50, NOW)

    assert table.wait_ns(NOW) == table.rest_ns(NOW) == NS_PER_S // 2
    assert table.take(later(0.5)) is Due.NOTHING
    assert table.rest_ns(later(0.5)) == 0
    assert table.wait_ns(later(0.5)) == 14.5 * NS_PER_S


def test_what_is_due_before_the_rest_is_over_is_due_in_its_time() -> None:
    table = timetable(first_ping_s=1)
    table.spend(BURST_S * EVENTS_PER_S + 200, NOW)

    assert table.wait_ns(NOW) == NS_PER_S
    assert table.take(later(1)) is Due.PING


def _rested(table: Timetable, now: Instant) -> Instant:
    """The first instant from *now* on at which it may be read."""
    return later((now.steady_ns + table.rest_ns(now) - NOW.steady_ns) / NS_PER_S)


def test_a_wall_clock_that_was_set_is_noticed_with_the_next_ping() -> None:
    table = timetable(is_to_speak=False)
    assert table.wait_ns(NOW) == 15 * NS_PER_S
    woken = Instant(NOW.unix_ns + 2 * END_S * NS_PER_S, NOW.steady_ns + 15 * NS_PER_S)

    assert table.take(woken) is Due.END_EXPIRED


def test_nothing_is_due_before_its_time() -> None:
    table = timetable()

    assert table.take(later(14.999)) is Due.NOTHING
    assert table.wait_ns(later(14)) == NS_PER_S


@pytest.mark.parametrize("after_s", [60, 61, 600])
def test_what_is_overdue_is_due_at_once(after_s: int) -> None:
    assert timetable().wait_ns(later(after_s)) == 0
