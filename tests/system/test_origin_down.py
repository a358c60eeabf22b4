"""The origin fails: events are accepted all the same, operators are told, nothing is lost."""

import pytest

from edge.demo.evening import drain
from edge.demo.payloads import deposit_requested
from tests.system.conftest import Build
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system


def obstruct(world: World, lane: str) -> None:
    """Put a file where the lane's topic needs a directory."""
    world.origin.mkdir(exist_ok=True)
    (world.origin / f"edge.{lane}.v1").write_text("in the way")


def mend(world: World, lane: str) -> None:
    """Take the obstacle away."""
    (world.origin / f"edge.{lane}.v1").unlink()


def test_accepting_goes_on_and_all_is_delivered_in_order_afterwards(build: Build) -> None:
    here = build({})
    obstruct(here, "game")
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    events = [TABLE.spin(ada, n) for n in range(1, 31)]
    for event in events:
        assert here.say(ada, event).counts == (1, 0)
    here.wait(lambda: "edge.game.v1" in str(here.ask("/readyz").json["probes"]), "told")
    readiness = here.ask("/readyz")

    assert (readiness.status, readiness.json["ready"]) == (200, True)
    mend(here, "game")
    here.wait_until_forwarded(*events)
    assert [each["id"] for each in here.forwarded()] == [event["id"] for event in events]
    here.wait(lambda: "edge.game.v1" not in str(here.ask("/readyz").json["probes"]), "mended")
    assert drain(here.gateway) == []


def test_one_stuck_topic_holds_up_no_other_lane(build: Build) -> None:
    here = build({})
    obstruct(here, "game")
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    stuck, free = TABLE.spin(ada, 1), deposit_requested(ada, 100)

    assert here.say(ada, stuck, free).counts == (2, 0)

    here.wait_until_forwarded(free)
    assert [each["id"] for each in here.forwarded()] == [free["id"]]


def test_a_spool_without_room_refuses_with_a_time_and_accepts_again(build: Build) -> None:
    here = build(
        {
            "spool": {
                "bytes_max": 16 << 20,
                "lane_share_max": 0.1,
                "reserve_bytes": 1 << 20,
                "retained_bytes_max": 1 << 20,
                "dead_bytes_max": 4 << 20,
            },
            "limits.player": {"quota": 1_000_000, "window_s": 60, "burst": 100_000},
        }
    )
    obstruct(here, "game")
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    answer = here.say(ada, *(TABLE.spin(ada, 5) for _ in range(200)))
    for _ in range(50):
        if answer.status != 202 or answer.refusals:
            break
        answer = here.say(ada, *(TABLE.spin(ada, 5) for _ in range(200)))
    refused = here.say(ada, TABLE.spin(ada, 5))

    assert refused.status == 503
    assert refused.refusals == [(0, "lane_full", None)]
    assert int(refused.headers["retry-after"]) >= 1
    assert here.say(ada, deposit_requested(ada, 100)).counts == (1, 0)
    assert here.ask("/readyz").status == 200
    mend(here, "game")
    here.wait(lambda: here.say(ada, TABLE.spin(ada, 5)).status == 202, "room again")
    assert drain(here.gateway) == []
