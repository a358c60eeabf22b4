"""Each event of a socket has one verdict, after its sync, and HTTP's events count with them."""

from typing import Final

import pytest

from edge.demo.metrics import Counters
from edge.demo.payloads import Visit, interactions, some_uuid
from edge.demo.rounds import slip_submitted
from tests.faults.launcher import launcher
from tests.system.conftest import Build
from tests.system.stream.raw_socket import RawSocket, events
from tests.system.stream.sockets import ask, codes, hear_until, say, welcomed
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

PATIENCE_S: Final = 60
"""Of a sync on a busy machine: one that is overdue is told of twice."""


def progress(frame: dict[str, object]) -> tuple[object, object, object]:
    """How far the session is."""
    return frame["settled"], frame["highest"], frame["missing"]


def test_one_event_is_durable_when_its_verdict_comes(door: World, ada: Visit) -> None:
    event = TABLE.spin(ada, 100)
    with welcomed(door, ada) as found:
        verdicts = ask(found, event)

    assert progress(verdicts) == (1, 1, [])
    assert (verdicts["refused"], verdicts["retry_after_ms"]) == ([], None)
    door.wait_until_forwarded(event)


def test_many_events_of_many_lanes_are_one_answer(door: World, ada: Visit) -> None:
    events = [
        event
        for _ in range(20)
        for event in (
            TABLE.spin(ada, 100),
            slip_submitted(ada, some_uuid(ada.rng)),
            interactions(ada),
        )
    ]
    with welcomed(door, ada) as found:
        say(found, *events)
        told = [hear_until(found, "verdicts")]

        assert (progress(told[-1]), told[-1]["refused"]) == ((60, 60, []), [])
        assert ask(found)["refused"] == []
    door.wait_until_forwarded(*events)


def test_frames_sent_at_once_are_answered_by_no_more_frames_than_there_are_commits(
    build: Build,
) -> None:
    """Planted: a frame of verdicts for each frame of events."""
    here = build({"spool": {"sync_timeout_s": PATIENCE_S}})
    here.gateway.command = launcher(write_ms=100)  # so that many frames share a commit
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    said = [
        event
        for _ in range(20)
        for event in (TABLE.spin(ada, 100), slip_submitted(ada, some_uuid(ada.rng)))
    ]
    with RawSocket(here) as raw:
        raw.shake(here, ada)
        raw.send(b"".join(map(events, said)))
        while raw.said[-1].get("settled") != len(said):
            raw.hear(len(raw.said) + 1)
        raw.send(events({}))
        while not raw.said[-1].get("refused"):  # before it comes whatever is still to be told
            raw.hear(len(raw.said) + 1)
        told = raw.frames.texts[1:-1]
    books = Counters(here.gateway.metrics())
    commits = sum(books.of("edge_sync_seconds_count", lane) for lane in ("game", "bet"))

    assert commits < len(said) // 2, "else they shared too few, and it proves nothing"
    assert len(told) <= commits
    assert len(set(told)) == len(told), "each tells something new"


def test_a_bad_event_costs_its_neighbours_nothing_and_the_socket_lives(
    door: World, ada: Visit
) -> None:
    good, other = TABLE.spin(ada, 100), TABLE.spin(ada, 100)
    bad = TABLE.spin(ada, 100) | {"subject": "player-0009"}
    with welcomed(door, ada) as found:
        verdicts = ask(found, good, bad, other | {"seq": other["seq"]})

        assert codes(verdicts) == [(1, 1, "subject_mismatch")]
        assert progress(verdicts) == (3, 3, []), "a final verdict counts as settled"
        assert progress(ask(found, TABLE.spin(ada, 100))) == (4, 4, [])


def test_a_duplicate_is_no_refusal_and_a_conflict_is(door: World, ada: Visit) -> None:
    event = TABLE.spin(ada, 100)
    with welcomed(door, ada) as found:
        ask(found, event)
        again = ask(found, event, event)
        other = ask(found, TABLE.spin(ada, 100) | {"seq": event["seq"]})

    assert (again["refused"], progress(again)) == ([], (1, 1, []))
    assert codes(other) == [(3, 0, "idempotency_conflict")]


def test_a_gap_is_told_as_missing_until_it_is_filled_by_whatever_door(
    door: World, ada: Visit
) -> None:
    events = [TABLE.spin(ada, 100) for _ in range(6)]
    with welcomed(door, ada) as found:
        first = ask(found, events[0], events[3], events[5])
        assert door.say(ada, events[1], events[2]).status == 202
        second = ask(found)
        door.say(ada, events[4])
        third = ask(found)

    assert progress(first) == (1, 6, [[2, 3], [5, 5]])
    assert progress(second) == (4, 6, [[5, 5]])
    assert progress(third) == (6, 6, [])


def test_what_http_refused_for_good_is_settled_too(door: World, ada: Visit) -> None:
    good, bad = TABLE.spin(ada, 100), TABLE.spin(ada, 100) | {"type": "no.such.type"}
    assert door.say(ada, good, bad).status == 202
    with welcomed(door, ada) as found:
        verdicts = ask(found)

    assert progress(verdicts) == (2, 2, [])


def test_a_session_is_known_again_to_its_next_socket(door: World, ada: Visit) -> None:
    with welcomed(door, ada) as found:
        ask(found, TABLE.spin(ada, 100), TABLE.spin(ada, 100))
    with welcomed(door, ada) as found:
        verdicts = ask(found)

    assert progress(verdicts) == (2, 2, [])


def test_both_doors_count_alike(door: World, ada: Visit) -> None:
    def figures() -> dict[str, float]:
        lines = [line.rsplit(" ", 1) for line in door.gateway.metrics().splitlines()]
        return {name: float(value) for name, value in lines if name.startswith("edge_")}

    before = figures()
    with welcomed(door, ada) as found:
        ask(found, TABLE.spin(ada, 100), TABLE.spin(ada, 100) | {"seq": 0})
    door.wait(lambda: figures()["edge_stream_sockets"] == 0, "no socket is left")
    after = figures()

    names = {
        'edge_events_received_total{lane="game"}': 2,
        'edge_events_total{lane="game",outcome="accepted",reason="none"}': 1,
        'edge_events_total{lane="game",outcome="refused",reason="schema_violation"}': 1,
        'edge_stream_frames_total{direction="in"}': 1,
        'edge_stream_frames_total{direction="out"}': 2,
        'edge_stream_closed_total{code="1000"}': 1,
        "edge_verdict_seconds_count": 1,
    }
    assert {name: after[name] - before.get(name, 0) for name in names} == names
