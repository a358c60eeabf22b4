"""A lane whose sync hangs is told event by event, and its sockets stay: threats.md row 42.

What hangs is ordered of :mod:`tests.faults.preload`, which needs a C compiler.
"""

from pathlib import Path
from typing import Final

import pytest

from edge.demo.metrics import Counters
from edge.demo.payloads import deposit_requested
from tests.faults import faults, preload
from tests.faults.preload import Preload
from tests.system.conftest import Build
from tests.system.stream.raw_socket import RawSocket, events
from tests.system.stream.sockets import codes
from tests.system.stream.test_verdicts import progress
from tests.system.world import TABLE, World

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(preload.missing() != "", reason=f"SKIPPED: {preload.missing()}"),
]

SETTINGS: Final = {"sync_timeout_s": 3}  # what a busy disk certainly keeps for the other lane
FAILED: Final = "lane_failed"


def late_durable(here: World) -> int:
    """How many events the gateway refused, and then made durable after all."""
    return Counters(here.gateway.metrics()).of("edge_late_durable_total", "game")


@pytest.mark.timeout(120)  # 6 s on two idle cores; each of its waits may take 20 s
def test_42_a_lane_whose_sync_hangs_is_told_event_by_event_and_the_socket_stays(
    build: Build, tmp_path: Path
) -> None:
    """Planted: the socket ends; no time to come back; an overdue commit is not told, or forgot."""
    here = build({"spool": SETTINGS})
    orders = Preload(preload.build(tmp_path), tmp_path / "control", here.spool)
    here.gateway.command = (*orders.launcher, *here.gateway.command)
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    waiting, behind = TABLE.spin(ada, 100), TABLE.spin(ada, 200)
    elsewhere = deposit_requested(ada, 500)
    with RawSocket(here) as raw:
        raw.shake(here, ada)
        faults.hang_write(orders, "/game/")
        told = [raw.ask(events(each)) for each in (waiting, behind, elsewhere)]
        assert orders.hurt == 1, "nothing hung: it proves nothing"
        orders.spare()
        here.wait(lambda: late_durable(here) == 1, "the lane has come back")
        again = raw.ask(events(waiting, behind))

        assert [codes(each) for each in told] == [[(1, 0, FAILED)], [(2, 0, FAILED)], []]
        assert [isinstance(each["retry_after_ms"], int) for each in told] == [True, True, False]
        assert progress(told[2]) == (0, 3, [[1, 2]]), "and what was refused is not settled"
        assert (codes(again), progress(again)) == ([], (3, 3, []))
        assert [frame["op"] for frame in raw.said] == ["welcome", *["verdicts"] * 4]
        assert raw.frames.close is None
    here.wait_until_forwarded(waiting, behind, elsewhere)
    assert len(here.forwarded()) == 3
    lines = here.gateway.metrics().splitlines()
    assert 'edge_events_total{lane="game",outcome="duplicate",reason="none"} 1.0' in lines
