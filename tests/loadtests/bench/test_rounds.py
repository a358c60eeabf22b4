"""Everybody gets the same requests in turn, in old age, and a share of what they can do."""

from dataclasses import replace
from pathlib import Path

import pytest

from loadtests.bench.rounds import Contest, Plan
from loadtests.bench.scenario import LOADS
from loadtests.bench.subjects import SubjectError
from tests.fakes_bench import Booth, Stall

PLAN = Plan(
    3,
    {load.name: 20 for load in LOADS},
    paced_rounds=1,
    paced_s=2.0,
    entries=100,
    syncs=2,
    players=1,
)


def contest(room: Path, booth: Booth, entries: float = 50.0) -> Contest:
    """The empty application and one gateway."""
    subjects = [Stall("empty", 1, None), Stall("gateway", 2, entries)]
    return Contest(subjects, booth, PLAN, room, tell=lambda _: None)


def test_in_each_round_everybody_gets_the_same_requests_in_turn(tmp_path: Path) -> None:
    booth = Booth()

    contest(tmp_path, booth).run()

    a_round = [
        order
        for load in LOADS
        for order in (
            (load.name, {"count": 20}),
            ("connect", 1, load.connections),
            ("send", False, None),
            ("connect", 2, load.connections),
            ("send", True, None),
        )
    ]
    warming = 10
    assert booth.orders[warming : warming + 3 * len(a_round)] == a_round * 3


def test_no_load_has_more_connections_than_the_plan(tmp_path: Path) -> None:
    booth = Booth()
    few = replace(contest(tmp_path, booth), plan=replace(PLAN, connections_max=8))

    few.run()

    assert {order[2] for order in booth.orders if order[0] == "connect"} == {8}


def test_tables_are_filled_and_tokens_shown_before(tmp_path: Path) -> None:
    booth = Booth()

    contest(tmp_path, booth).run()

    assert booth.orders[:10] == [
        ("fillings", {"entries": 100}),
        ("connect", 1, 16),
        ("send", False, None),
        ("connect", 2, 16),
        ("send", True, None),
        ("greetings", {}),
        ("connect", 1, 16),
        ("send", False, None),
        ("connect", 2, 16),
        ("send", True, None),
    ]


def test_a_gateway_whose_tables_are_not_full_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match="gateway: game remembers 44"):
        contest(tmp_path, Booth(), entries=44.0).run()


def test_only_gateways_are_paced_at_a_share_of_what_they_just_reached(tmp_path: Path) -> None:
    booth = Booth()

    course = contest(tmp_path, booth).run()

    assert list(course.paced) == [(load.name, "gateway") for load in LOADS]
    # 20 requests in 0.2 s are 100 per second.
    assert booth.orders[-3:] == [
        ("batch", {"count": 140}),
        ("connect", 2, 16),
        ("send", True, pytest.approx(70.0)),
    ]
    assert course.paced["batch", "gateway"].p99_ms == 10.0


def test_a_slice_counts_events_and_what_they_cost(tmp_path: Path) -> None:
    course = contest(tmp_path, Booth()).run()

    first, *_ = course.slices["batch", "gateway"]
    assert (first.requests, first.events, first.cpu_ns) == (20, 1_000, 1_000_000)
    assert {len(slices) for slices in course.slices.values()} == {len(course.syncs_ns)} == {3}
