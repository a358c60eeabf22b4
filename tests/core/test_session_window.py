"""A session's numbers: in order, late, gap, seen, too old; and pending ones leave no trace."""

from collections.abc import Iterable
from itertools import product

import pytest
from hypothesis import given, settings, strategies as st

from edge.core.lane import Lane
from edge.core.session_window import WINDOW, Sessions, Standing
from tests.fakes_stages import FakeCommit

LAST = 2**31 - 1
ADA, BOB = 0xADA, 0xB0B


def sessions(*seen: int) -> Sessions:
    """Sessions of which one, Ada's, has seen these numbers."""
    table = Sessions(4)
    for seq in seen:
        table.mark(ADA, seq)
    return table


@pytest.mark.parametrize(
    ("seen", "seq", "expected"),
    [
        pytest.param((), 1, Standing.IN_ORDER, id="a session begins at 1"),
        pytest.param((), 2, Standing.SEQ_GAP, id="or elsewhere, with a gap"),
        pytest.param((), LAST, Standing.SEQ_GAP, id="even at the end"),
        pytest.param((7,), 8, Standing.IN_ORDER, id="the next one"),
        pytest.param((7,), 9, Standing.SEQ_GAP, id="one was left out"),
        pytest.param((7,), 6, Standing.LATE, id="one from before the beginning"),
        pytest.param((7,), 7, Standing.SEEN, id="the highest again"),
        pytest.param((7, 9), 8, Standing.LATE, id="what was left out"),
        pytest.param((7, 9, 8), 8, Standing.SEEN, id="what was left out, again"),
        pytest.param((7, 9, 8), 7, Standing.SEEN, id="the first, after a gap was filled"),
        pytest.param((1, WINDOW + 1), 1, Standing.SEEN, id="the window's end, seen"),
        pytest.param((WINDOW + 1,), 1, Standing.LATE, id="the window's end, unseen"),
        pytest.param((1, WINDOW + 2), 1, Standing.TOO_OLD, id="below the window, once seen"),
        pytest.param((WINDOW + 2,), 1, Standing.TOO_OLD, id="below the window, never seen"),
        pytest.param((1, WINDOW + 2), 2, Standing.LATE, id="still in the window after a jump"),
        pytest.param((1, LAST), LAST, Standing.SEEN, id="the end, seen"),
        pytest.param((1, LAST), LAST - WINDOW, Standing.LATE, id="the window below the end"),
    ],
)
def test_a_number_stands_to_those_before_it(
    seen: tuple[int, ...], seq: int, expected: Standing
) -> None:
    assert sessions(*seen).stand(ADA, seq) is expected


def expected_standing(seen: set[int], seq: int) -> Standing:
    """The model: a set."""
    highest = max(seen, default=0)
    if seq < highest - WINDOW:
        return Standing.TOO_OLD
    if seq in seen:
        return Standing.SEEN
    if seq < highest:
        return Standing.LATE
    return Standing.IN_ORDER if seq == highest + 1 else Standing.SEQ_GAP


def test_a_window_agrees_with_a_set_in_every_small_history() -> None:
    """Exhaustive: every row of four numbers from about the window's two ends."""
    edges = [1, 2, 3, WINDOW, WINDOW + 1, WINDOW + 2, WINDOW + 3, 2 * WINDOW + 2, LAST]
    for history in product(edges, repeat=4):
        table, seen = Sessions(2), set[int]()
        for seq in history:
            if seq >= max(seen, default=0) - WINDOW:
                seen.add(seq)
            table.mark(ADA, seq)
        for seq in edges:
            assert table.stand(ADA, seq) is expected_standing(seen, seq), (history, seq)


def test_pending_numbers_agree_with_sets_in_every_small_history() -> None:
    """Exhaustive: two commits carry numbers and end well or badly; five steps."""
    carry = [(which, seq) for which in (0, 1) for seq in (1, 3)]
    end = [(which, held) for which in (0, 1) for held in ("held", "failed")]
    for history in product([*carry, *end], repeat=5):
        table, commits = Sessions(2), [FakeCommit(Lane.BET), FakeCommit(Lane.GAME)]
        durable, pending = set[int](), [set[int](), set[int]()]
        for which, step in history:
            if isinstance(step, int):
                is_news = table.mark_pending(ADA, step, commits[which])
                assert is_news == (step not in pending[which])
                pending[which].add(step)
                continue
            for seq in pending[which]:
                table.settle(ADA, seq, commits[which], held=step == "held")
            durable |= pending[which] if step == "held" else set[int]()
            pending[which] = set()
        seen = durable.union(*pending)
        for seq in (1, 2, 3, 4):
            assert table.stand(ADA, seq) is expected_standing(seen, seq), (history, seq)
            if seq in seen:
                carriers = [commits[which] for which in (0, 1) if seq in pending[which]]
                carrier = table.carrier(ADA, seq)
                assert carrier is None if seq in durable else carrier in carriers, history


def test_a_jump_that_fails_was_never_there() -> None:
    table, commit = sessions(1, 2, 3), FakeCommit(Lane.BET)
    table.mark_pending(ADA, LAST, commit)
    assert table.stand(ADA, 4) is Standing.LATE

    table.settle(ADA, LAST, commit, held=False)

    assert [table.stand(ADA, seq) for seq in (3, 4, 5)] == [
        Standing.SEEN,
        Standing.IN_ORDER,
        Standing.SEQ_GAP,
    ]


def test_nothing_is_too_old_because_of_a_jump_that_may_fail() -> None:
    table, commit = sessions(1), FakeCommit(Lane.BET)

    table.mark_pending(ADA, LAST, commit)
    assert table.stand(ADA, 2) is Standing.LATE

    table.settle(ADA, LAST, commit, held=True)
    assert table.stand(ADA, 2) is Standing.TOO_OLD


def test_the_highest_pending_number_is_found_again_after_one_fails() -> None:
    table, doomed, other = sessions(1), FakeCommit(Lane.BET), FakeCommit(Lane.GAME)
    table.mark_pending(ADA, 9, doomed)
    table.mark_pending(ADA, 5, other)
    assert table.stand(ADA, 10) is Standing.IN_ORDER
    table.settle(ADA, 9, doomed, held=False)

    assert table.stand(ADA, 6) is Standing.IN_ORDER
    table.mark_pending(ADA, 6, other)
    assert table.stand(ADA, 7) is Standing.IN_ORDER


def known(table: Sessions, names: Iterable[int]) -> list[int]:
    """Which of the sessions still know that they began."""
    return [name for name in names if table.stand(name, 1) is Standing.SEEN]


def test_the_sessions_longest_unused_are_forgotten_first() -> None:
    table = Sessions(4)
    for name in (1, 2, 3, 4):
        table.mark(name, 1)
    table.mark(1, 2)

    table.mark(5, 1)
    assert known(table, range(1, 6)) == [1, 3, 4, 5]

    table.mark(6, 1)
    assert known(table, range(1, 7)) == [1, 5, 6]


@pytest.mark.parametrize("sessions_max", [1, 2, 5, 50_000])
def test_a_table_of_sessions_never_outgrows_its_bound(sessions_max: int) -> None:
    table = Sessions(sessions_max)

    for name in range(1, 2 * sessions_max + 2):
        table.mark(name, 1)

    assert sessions_max // 2 <= len(table) <= max(sessions_max, 2)
    assert known(table, [2 * sessions_max + 1])


def test_a_session_evicted_while_a_number_is_pending_begins_anew_at_it() -> None:
    table, commit = Sessions(2), FakeCommit(Lane.BET)
    table.mark(ADA, 1)
    table.mark_pending(ADA, 2, commit)
    for other in (BOB, BOB + 1):
        table.mark(other, 1)
    assert table.stand(ADA, 1) is Standing.LATE

    table.settle(ADA, 2, commit, held=True)

    assert [table.stand(ADA, seq) for seq in (1, 2, 3)] == [
        Standing.LATE,
        Standing.SEEN,
        Standing.IN_ORDER,
    ]


def test_sessions_do_not_share_numbers() -> None:
    table, commit = sessions(1, 2, 3), FakeCommit(Lane.BET)

    table.mark_pending(BOB, 1, commit)

    assert table.stand(BOB, 2) is Standing.IN_ORDER
    assert table.stand(ADA, 4) is Standing.IN_ORDER


def test_a_number_with_two_carriers_waits_for_the_first() -> None:
    """The younger may be a lane that is stuck; the older was there before it."""
    table, elder, younger = sessions(), FakeCommit(Lane.BET), FakeCommit(Lane.GAME)
    table.mark_pending(ADA, 1, elder)
    table.mark_pending(ADA, 1, younger)

    assert table.carrier(ADA, 1) is elder


def test_a_session_that_was_used_again_counts_once() -> None:
    table = Sessions(4)
    for name in (1, 2, 3):
        table.mark(name, 1)

    table.mark(1, 2)

    assert len(table) == 3


def standings(table: Sessions, sessions: Iterable[int], seqs: Iterable[int]) -> object:
    """How every number of every session stands, now and as sessions that come push others out."""
    told: list[object] = []
    pairs = list(product(sessions, seqs))
    for stranger in range(1000, 1004):
        told.append((len(table), [table.stand(session, seq) for session, seq in pairs]))
        table.mark(stranger, 1)
    return told


def test_many_numbers_at_once_are_as_one_after_the_other() -> None:
    """Exhaustive: every row of three numbers of two sessions, from about the window's ends."""
    edges = [0, 1, 2, WINDOW, WINDOW + 1, WINDOW + 2, LAST]
    for history in product(product([ADA, BOB], edges), repeat=3):
        one_by_one, at_once = Sessions(2), Sessions(2)
        for session, seq in history:
            if seq:
                one_by_one.mark(session, seq)
        at_once.mark_many(*zip(*history, strict=True))

        told = [standings(each, [ADA, BOB], edges[1:]) for each in (at_once, one_by_one)]
        assert told[0] == told[1], history


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 12)), max_size=60))
@settings(max_examples=200, deadline=None)
def test_many_sessions_at_once_are_evicted_as_one_after_the_other(
    history: list[tuple[int, int]],
) -> None:
    one_by_one, at_once = Sessions(6), Sessions(6)
    for session, seq in history:
        if seq:
            one_by_one.mark(session, seq)

    at_once.mark_many([session for session, _ in history], [seq for _, seq in history])

    told = [standings(each, range(1, 10), range(1, 13)) for each in (at_once, one_by_one)]
    assert told[0] == told[1]
