"""Memory is what sockets add to a process that has seen some; pushes are heard by listeners."""

import pytest

from loadtests.bench.sockets.contest import STREAM, Plan
from loadtests.bench.sockets.spans import Idle, idle, pushed
from tests.fakes_bench import Stall
from tests.fakes_bench_sockets import SocketBooth, Trunk

PLAN = Plan(1, {STREAM: 1}, 100, idle=30, hold_s=1.5, listeners=9, pushes=2, gap_s=0.5)


@pytest.mark.parametrize(("is_gateway", "asked"), [(True, ["/metrics"]), (False, [])])
def test_idle_sockets_are_held_behind_some_that_went(
    is_gateway: bool,  # noqa: FBT001  # of the table
    asked: list[str],
) -> None:
    booth = SocketBooth()
    trunk = Trunk("it", [1_000, 301_000], is_gateway=is_gateway)

    found = idle(trunk, booth, PLAN)

    assert found == Idle(30, 1_000, 301_000)
    assert found.bytes_each == 10_000
    assert trunk.asked == asked
    assert booth.orders == [
        ("open", "it", 30, False),
        ("hold", 0),
        ("hang up",),
        ("open", "it", 30, False),
        ("hold", 1.5),
        ("hang up",),
    ]


def test_pushes_are_published_once_all_listen() -> None:
    booth = SocketBooth()

    found = pushed(Stall("gateway", 2, 0.0), "log:there", booth, PLAN)

    assert found == [1_000_000, 1_000_000]
    assert booth.orders == [
        ("open", "gateway", 9, False),
        ("hear", "log:there", 2, 0.5),
        ("hang up",),
    ]
