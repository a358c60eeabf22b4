"""In each round both are told the same in turn, and all that was accepted lies at the origin."""

from pathlib import Path

import pytest

from loadtests.bench.sockets.contest import (
    ECHO,
    FILL_CONNECTIONS,
    FULL,
    GATHERED,
    HTTP,
    MANY,
    QUICK,
    SINGLE,
    SOCKET,
    STREAM,
    Contest,
    Plan,
)
from loadtests.bench.subjects import SubjectError
from tests.fakes_bench import Stall
from tests.fakes_bench_sockets import SocketBooth

MESSAGES = {SINGLE: 3, STREAM: 6, GATHERED: 5}
PLAN = Plan(3, MESSAGES, 100, idle=30, hold_s=1.0, listeners=9, pushes=2, gap_s=1)
ACCEPTED = 100 + 3 * (64 * 3 + 16 * 6 + 2 * 8 * 5 * MANY)


def contest(room: Path, booth: SocketBooth, entries: float = 50.0) -> Contest:
    """Both servers, and as much at the origin as is accepted."""
    lane = room / "edge.game.v1" / "0"
    lane.mkdir(parents=True)
    (lane / "0.jsonl").write_bytes(b"{}\n" * ACCEPTED)
    echo, gateway = Stall(ECHO, 1, None), Stall(SOCKET, 2, entries)
    return Contest(echo, gateway, booth, PLAN, room, tell=lambda _: None)


def test_in_each_round_both_are_told_the_same_in_turn(tmp_path: Path) -> None:
    booth = SocketBooth()

    contest(tmp_path, booth).run()

    said = [
        order
        for load, count in MESSAGES.items()
        for order in (
            ("messages", {"sockets": load.sockets, "count": count, "events": load.events}),
            ("open", ECHO, load.sockets, True),
            ("speak", load.window),
            ("hang up",),
            ("open", SOCKET, load.sockets, True),
            ("speak", load.window),
            ("hang up",),
        )
    ]
    sent = [
        ("batches", {"count": 40, "events": MANY}),
        ("connect", 2, GATHERED.sockets),
        ("send",),
    ]
    warming = [("fillings", {"entries": 100}), ("connect", 2, FILL_CONNECTIONS), ("send",)]
    assert booth.orders == warming + 3 * [*said, *sent]


def test_a_slice_counts_events_and_what_they_cost(tmp_path: Path) -> None:
    slices = contest(tmp_path, SocketBooth()).run()

    assert list(slices) == [
        (SINGLE, ECHO),
        (SINGLE, SOCKET),
        (STREAM, ECHO),
        (STREAM, SOCKET),
        (GATHERED, ECHO),
        (GATHERED, SOCKET),
        (GATHERED, HTTP),
    ]
    assert {len(each) for each in slices.values()} == {3}
    counts = {row: (each[0].requests, each[0].events) for row, each in slices.items()}
    assert counts[STREAM, SOCKET] == counts[STREAM, ECHO] == (96, 96)
    assert counts[GATHERED, SOCKET] == counts[GATHERED, HTTP] == (40, 800)
    assert slices[STREAM, SOCKET][0].cpu_ns == 1_000_000
    assert slices[STREAM, SOCKET][0].elapsed_ns == 10_000_000


def test_a_gateway_whose_tables_are_not_full_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(SubjectError, match="gateway: game remembers 44"):
        contest(tmp_path, SocketBooth(), entries=44.0).run()


@pytest.mark.parametrize("change", [-1, 1])
def test_an_event_too_few_or_too_many_at_the_origin_is_told(
    change: int, tmp_path: Path
) -> None:
    ours = contest(tmp_path, SocketBooth())
    (tmp_path / "edge.game.v1" / "0" / "0.jsonl").write_bytes(b"{}\n" * (ACCEPTED + change))

    with pytest.raises(SubjectError, match=f"accepted, {ACCEPTED + change:,} at the origin"):
        ours.run()


@pytest.mark.parametrize("plan", [FULL, QUICK])
def test_a_plan_has_a_middle_round_and_players_for_all(plan: Plan) -> None:
    assert plan.rounds % 2 == 1
    assert set(plan.messages) == {SINGLE, STREAM, GATHERED}
    assert plan.players >= max(plan.idle, plan.listeners, 4 * SINGLE.sockets)
