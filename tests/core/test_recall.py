"""First copy, duplicate, conflict or too old: what was accepted is known, what failed is not."""

import itertools
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from edge.core.event import Event
from edge.core.frame import row_of
from edge.core.key_index import page_of
from edge.core.lane import Lane
from edge.core.reject import Reason
from edge.core.session_window import WINDOW, Standing
from tests.fakes_recall import CONFLICT, NOW, WINDOW_S, Answer, House
from tests.fakes_stages import (
    NOW_MS,
    OBSERVATION,
    PLAYER,
    SESSION_FACT,
    FakeCommit,
    Note,
    at,
    client_event,
    event_id,
    fact,
    with_wire,
)

LAST: Final = 2**31 - 1
OTHER_BRAND: Final = msgspec.structs.replace(PLAYER, brand="other")

DURABLE: Final = ("duplicate", None)


def other_body(event: Event) -> Event:
    """*event* with the same keys and another body."""
    note = event.wire.data
    assert isinstance(note, Note)
    return with_wire(event, data=msgspec.structs.replace(note, body=note.body + 1))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        pytest.param(client_event(), client_event(), DURABLE, id="the same event"),
        pytest.param(
            client_event(),
            other_body(client_event()),
            (CONFLICT, "/id"),
            id="the same id, another body",
        ),
        pytest.param(
            client_event(),
            with_wire(client_event(), id=event_id(9), seq=9),
            DURABLE,
            id="the same transaction under another id",
        ),
        pytest.param(
            client_event(),
            other_body(with_wire(client_event(), id=event_id(9), seq=9)),
            (CONFLICT, "/data/first"),
            id="the same transaction, another body",
        ),
        pytest.param(
            client_event(note=Note("a", "b")),
            with_wire(client_event(note=Note("z", "b")), id=event_id(9), seq=9),
            (CONFLICT, "/subject"),
            id="the second key, another body",
        ),
        pytest.param(
            fact(note=Note("a", "b")),
            fact(number=2, note=Note("z", "b")),
            DURABLE,
            id="the second key, and what it ignores",
        ),
        pytest.param(
            fact(note=Note("a", "b")),
            fact(number=2, note=Note("z", "b", body=1)),
            (CONFLICT, "/data/second"),
            id="the second key, and what it does not ignore",
        ),
        pytest.param(
            fact(SESSION_FACT),
            fact(SESSION_FACT, number=2, note=Note("z")),
            (CONFLICT, "/session"),
            id="a key that is the session",
        ),
        pytest.param(
            client_event(OBSERVATION),
            with_wire(client_event(OBSERVATION), id=event_id(9)),
            (CONFLICT, "/seq"),
            id="the same number, another id",
        ),
        pytest.param(
            client_event(OBSERVATION, seq=WINDOW + 2),
            client_event(OBSERVATION, seq=1),
            (Reason.SEQUENCE_TOO_OLD, "/seq"),
            id="below the window",
        ),
        pytest.param(fact(), client_event(), Standing.IN_ORDER, id="a fact uses up no number"),
        pytest.param(
            client_event(),
            client_event(OBSERVATION, seq=3),
            Standing.SEQ_GAP,
            id="numbers go across lanes",
        ),
    ],
)
def test_a_second_event_is_judged_by_what_it_shares_with_the_first(
    first: Event, second: Event, expected: Answer
) -> None:
    house = House()
    house.accept(first)

    assert house.send(second) == expected


def test_an_id_counts_within_its_sender() -> None:
    house = House()
    house.accept(client_event())

    neighbour = with_wire(
        client_event(), subject="bob-0001", session="0190aaaa-0000-7000-8000-00000000000b"
    )
    assert house.ask(neighbour) is Standing.IN_ORDER
    assert house.ask(fact()) is Standing.IN_ORDER


def test_the_same_event_under_another_brand_is_a_conflict() -> None:
    house = House()
    house.accept(client_event())

    assert house.ask(client_event(), principal=OTHER_BRAND) == (CONFLICT, "/id")


def test_asking_changes_nothing_so_a_refused_event_is_judged_anew() -> None:
    house = House()

    assert [house.ask(client_event(seq=5)) for _ in range(2)] == [Standing.SEQ_GAP] * 2


def old(event: Event) -> Event:
    """*event* as if it had happened just before everything that is known."""
    return msgspec.structs.replace(event, time_ms=NOW_MS - WINDOW_S * 1000 - 1)


@pytest.mark.parametrize(
    ("seen", "event", "expected"),
    [
        pytest.param([1], client_event(seq=2), Standing.IN_ORDER, id="unseen, next"),
        pytest.param([1], client_event(seq=3), Standing.SEQ_GAP, id="unseen, above the next"),
        pytest.param(
            [1, 3], client_event(seq=2), Standing.LATE, id="unseen, below the highest"
        ),
        pytest.param([1], client_event(seq=1), DURABLE, id="seen, id known"),
        pytest.param(
            [1], other_body(client_event(seq=1)), (CONFLICT, "/id"), id="seen, id of another"
        ),
        pytest.param(
            [1],
            client_event(OBSERVATION, seq=1),
            (CONFLICT, "/seq"),
            id="seen, id unknown, in reach",
        ),
        pytest.param(
            [1], old(client_event(OBSERVATION, seq=1)), DURABLE, id="seen, id unknown, older"
        ),
        pytest.param(
            [WINDOW + 1], client_event(seq=1), Standing.LATE, id="at the window's lower end"
        ),
        pytest.param(
            [1, WINDOW + 2],
            client_event(OBSERVATION, seq=1),
            (Reason.SEQUENCE_TOO_OLD, "/seq"),
            id="below the window",
        ),
        pytest.param(
            [1, WINDOW + 2], client_event(seq=1), DURABLE, id="below the window, id known"
        ),
    ],
)
def test_the_table_of_numbers(seen: list[int], event: Event, expected: Answer) -> None:
    """design.md §3a rule 4, row by row; ids decide first."""
    house = House()
    for seq in seen:
        house.accept(client_event(seq=seq))

    assert house.send(event) == expected


def test_the_second_copy_of_a_pending_event_joins_its_commit() -> None:
    house = House()
    house.send(client_event())

    assert house.send(client_event()) == ("duplicate", house.commits[Lane.BET])


def test_a_second_copy_joins_its_own_commit_and_not_a_younger_one() -> None:
    house = House()
    house.send(client_event(seq=1))
    elder = house.commits.pop(Lane.BET)
    house.send(client_event(seq=2))
    younger = house.commits[Lane.BET]

    assert house.send(client_event(seq=1)) == ("duplicate", elder)
    assert house.send(client_event(seq=2)) == ("duplicate", younger)


def test_an_old_event_with_a_pending_number_waits_for_that_number() -> None:
    house = House()
    house.send(client_event(seq=1))

    assert house.send(old(client_event(OBSERVATION, seq=1))) == (
        "duplicate",
        house.commits[Lane.BET],
    )


def test_after_a_failed_sync_nothing_tells_that_the_event_was_here() -> None:
    house = House()
    house.accept(client_event(seq=1))
    house.send(client_event(seq=LAST))
    house.send(with_wire(client_event(seq=LAST), id=event_id(9), seq=7))

    house.settle(Lane.BET, held=False)

    assert house.ask(client_event(seq=2)) is Standing.IN_ORDER
    assert house.ask(client_event(seq=7)) is Standing.SEQ_GAP
    assert house.send(client_event(seq=LAST)) is Standing.SEQ_GAP
    house.settle(Lane.BET)
    assert house.send(client_event(seq=LAST)) == DURABLE


def test_a_failed_commit_takes_no_other_with_it() -> None:
    house = House()
    house.send(client_event(seq=1))
    doomed = house.commits.pop(Lane.BET)
    house.send(client_event(seq=2))

    house.recall.settle(doomed, held=False)
    house.settle(Lane.BET)

    assert house.send(client_event(seq=1)) is Standing.LATE
    assert house.send(client_event(seq=2)) == DURABLE


def test_the_number_of_a_duplicate_counts_as_seen() -> None:
    house = House()
    house.accept(client_event(seq=1))
    house.send(with_wire(client_event(seq=1), id=event_id(9), seq=2))

    assert house.ask(client_event(OBSERVATION, seq=2)) == (CONFLICT, "/seq")
    assert house.ask(client_event(seq=3)) is Standing.IN_ORDER


def test_the_number_of_a_duplicate_outlives_the_event_that_had_it_in_vain() -> None:
    """Number 2 is pending twice, as another lane's event and as a duplicate's; one fails."""
    house = House()
    house.send(client_event(seq=1))
    house.send(client_event(OBSERVATION, seq=2))
    house.send(with_wire(client_event(seq=1), id=event_id(9), seq=2))

    house.settle(Lane.TELEMETRY, held=False)
    house.settle(Lane.BET)

    assert house.ask(client_event(OBSERVATION, seq=2)) == (CONFLICT, "/seq")


def test_commits_of_a_lane_that_settle_out_of_order_are_our_mistake() -> None:
    house = House()
    house.send(client_event(seq=1))
    house.commits.pop(Lane.BET)
    house.send(client_event(seq=2))

    with pytest.raises(AssertionError):
        house.settle(Lane.BET)


def test_what_is_on_disk_is_known_after_a_restart() -> None:
    house = House()
    footprint = house.footprint(client_event(seq=5))

    rows = [row_of(footprint, NOW_MS), row_of(house.footprint(fact(number=9)), NOW_MS)]
    house.recall.rebuild(Lane.BET, page_of(b"".join(rows)))

    assert house.send(client_event(seq=5)) == DURABLE
    assert house.send(fact(number=9)) == DURABLE
    assert house.ask(client_event(seq=6)) is Standing.IN_ORDER


POOL: Final = [
    *(client_event(seq=seq) for seq in (1, 2, 4, WINDOW + 3)),
    *(client_event(OBSERVATION, seq=seq) for seq in (1, 3, 5, WINDOW + 9)),
    *(fact(number=number, note=Note(f"a{number}", f"b{number}")) for number in (1, 2, 3)),
    fact(SESSION_FACT),
    fact(SESSION_FACT, number=2, note=Note("z")),
]


@given(
    st.lists(st.sampled_from(POOL), max_size=25),
    st.lists(st.integers(0, 25), max_size=3),
    st.sampled_from([2, 6, 100]),
)
@hypothesis_settings(max_examples=200, deadline=None)
def test_a_restart_knows_what_the_process_before_knew(
    said: list[Event], cuts: list[int], entries_max: int
) -> None:
    """What was remembered one by one is learned page by page; also what a table has dropped."""
    before, after = House(entries_max=entries_max), House(entries_max=entries_max)
    rows: dict[Lane, list[bytes]] = {lane: [] for lane in Lane}
    for number, event in enumerate(said):
        if isinstance(before.send(event, at(NOW_MS + number)), Standing):
            before.settle(event.spec.lane)
            rows[event.spec.lane].append(row_of(before.footprint(event), NOW_MS + number))
    for lane, theirs in rows.items():
        for start, end in itertools.pairwise([0, *sorted(cuts), len(theirs)]):
            after.recall.rebuild(lane, page_of(b"".join(theirs[start:end])))

    end_of_all = at(NOW_MS + 1000)
    assert after.recall.statistics() == before.recall.statistics()
    for lane in Lane:
        reach_s = after.recall.reach_s(lane, end_of_all)
        assert reach_s == before.recall.reach_s(lane, end_of_all)
    for event in POOL:
        assert after.ask(event, end_of_all) == before.ask(event, end_of_all)


def test_what_a_table_would_drop_need_not_be_read() -> None:
    """Its numbers count all the same: sessions have another bound."""
    house = House(entries_max=2)
    pages = [
        page_of(row_of(house.footprint(client_event(OBSERVATION, seq=seq)), NOW_MS + seq))
        for seq in (1, 2, 3)
    ]
    pages[0] = msgspec.structs.replace(pages[0], entries=None)

    for page in pages:
        house.recall.rebuild(Lane.TELEMETRY, page)

    assert house.send(client_event(OBSERVATION, seq=3), at(NOW_MS + 9)) == DURABLE
    assert house.send(client_event(OBSERVATION, seq=1), at(NOW_MS + 9)) == DURABLE
    assert house.ask(client_event(OBSERVATION, seq=4)) is Standing.IN_ORDER
    assert house.recall.reach_s(Lane.TELEMETRY, at(NOW_MS + 9)) == pytest.approx(0.007)


def test_the_window_ends_after_its_seconds_and_not_before() -> None:
    house = House()
    house.accept(fact())

    assert house.ask(fact(), at(NOW_MS + WINDOW_S * 1000)) == DURABLE
    assert house.ask(fact(), at(NOW_MS + WINDOW_S * 1000 + 1)) is Standing.IN_ORDER


def test_a_conflict_ends_where_the_memory_does() -> None:
    """A seen number whose id is unknown: the last ms that is remembered, and the one before."""
    house = House()
    house.accept(client_event(seq=1))
    event = with_wire(client_event(seq=1), id=event_id(9))
    edge_ms = NOW_MS - WINDOW_S * 1000

    in_reach = msgspec.structs.replace(event, spec=OBSERVATION, time_ms=edge_ms)
    older = msgspec.structs.replace(in_reach, time_ms=edge_ms - 1)

    assert house.ask(in_reach) == (CONFLICT, "/seq")
    assert house.ask(older) == DURABLE


def test_what_retention_left_bounds_the_reach_that_is_told_and_nothing_else() -> None:
    house = House()
    house.accept(client_event(seq=1))
    event = with_wire(client_event(seq=1), id=event_id(9))
    house.recall.retain_from(Lane.TELEMETRY, NOW_MS - 5000)

    older = msgspec.structs.replace(event, spec=OBSERVATION, time_ms=NOW_MS - 5001)

    assert house.ask(older) == (CONFLICT, "/seq")
    assert house.recall.reach_s(Lane.TELEMETRY, NOW) == 5.0


def test_a_full_table_forgets_the_oldest_and_says_how_far_it_reaches() -> None:
    """Each fact here has an id and two keys, so six entries are two facts."""
    house = House(entries_max=6)
    facts = [fact(number=number, note=Note(f"a{number}", f"b{number}")) for number in range(4)]
    for number, event in enumerate(facts):
        house.accept(event, at(NOW_MS + number * 1000))
    end = at(NOW_MS + 4000)

    assert [house.ask(event, end) for event in facts] == [Standing.IN_ORDER] * 2 + [DURABLE] * 2
    assert house.recall.reach_s(Lane.BET, end) == pytest.approx(2.999)
    assert house.recall.reach_s(Lane.WALLET, end) == WINDOW_S


def test_a_flood_in_one_lane_makes_no_other_forget() -> None:
    house = House(entries_max=6)
    house.accept(client_event(seq=1))
    for seq in range(2, 50):
        house.accept(client_event(OBSERVATION, seq=seq))

    assert house.ask(client_event(seq=1)) == DURABLE


def test_the_reach_of_a_future_floor_is_nothing() -> None:
    house = House()
    house.recall.retain_from(Lane.BET, NOW_MS + 1)
    house.recall.retain_from(Lane.BET, NOW_MS)

    assert house.recall.reach_s(Lane.BET, NOW) == 0.0


def test_what_is_remembered_is_counted() -> None:
    house = House()
    house.accept(client_event(OBSERVATION, seq=1))
    house.send(client_event(seq=2))

    counted = house.recall.statistics()

    assert (counted.entries[Lane.TELEMETRY], counted.pending[Lane.TELEMETRY]) == (1, 0)
    assert (counted.entries[Lane.BET], counted.pending[Lane.BET]) == (3, 3)
    assert counted.bytes_held[Lane.BET] > 0
    assert counted.sessions == 1


def test_a_commit_for_which_nothing_was_remembered_takes_nobodys_turn() -> None:
    house, forgotten = House(), FakeCommit(Lane.BET)
    house.recall.settle(forgotten, held=True)
    house.send(client_event(seq=1))

    house.recall.settle(forgotten, held=False)

    assert house.send(client_event(seq=1)) == ("duplicate", house.commits[Lane.BET])
    house.settle(Lane.BET)
    assert house.send(client_event(seq=1)) == DURABLE


def test_what_cannot_be_remembered_leaves_nothing_half_remembered() -> None:
    """A time that is no u64 stands for any bug between spool and memory."""
    house, commit = House(), FakeCommit(Lane.BET)
    house.accept(client_event(seq=1))

    with pytest.raises(ValueError, match="format 'Q'"):
        house.recall.remember(Lane.BET, house.footprint(client_event(seq=2)), -1, commit)
    house.recall.settle(commit, held=True)

    assert house.recall.statistics().pending[Lane.BET] == 0
    assert house.send(client_event(seq=3)) is Standing.SEQ_GAP
    assert house.send(client_event(seq=2)) is Standing.LATE
    house.settle(Lane.BET)
    assert [house.send(client_event(seq=seq)) for seq in (1, 2, 3)] == [DURABLE] * 3


def test_a_failed_sync_takes_no_durable_neighbour_with_it() -> None:
    """Each observation is one entry: the last durable one is next to the first that failed."""
    house = House()
    house.accept(client_event(OBSERVATION, seq=1))
    house.send(client_event(OBSERVATION, seq=2))

    house.settle(Lane.TELEMETRY, held=False)

    assert house.send(client_event(OBSERVATION, seq=1)) == DURABLE
    assert house.ask(client_event(OBSERVATION, seq=2)) is Standing.IN_ORDER


def test_a_number_whose_id_was_evicted_is_a_duplicate_within_the_window() -> None:
    """Below the table's floor nobody knows whose the number was: no conflict is claimed."""
    house = House(entries_max=2)
    for seq in (1, 2, 3):
        house.accept(client_event(OBSERVATION, seq=seq))

    assert house.send(client_event(OBSERVATION, seq=1)) == DURABLE
    just_above = client_event(OBSERVATION, seq=1, time_ms=NOW_MS + 1)
    assert house.send(just_above) == (CONFLICT, "/seq")


@pytest.mark.parametrize("now_ms", [1, WINDOW_S * 1000 - 1, WINDOW_S * 1000])
def test_what_failed_is_unknown_however_early_the_clock(now_ms: int) -> None:
    """A window that reaches back to before 1970 does not reach what was struck out."""
    house = House()
    house.send(client_event(seq=1), at(now_ms))

    house.settle(Lane.BET, held=False)

    assert house.ask(client_event(seq=1), at(now_ms)) is Standing.IN_ORDER
