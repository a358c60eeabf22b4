"""A disk that refuses writes, made so from outside by a limit on the size of files."""

import resource

import pytest

from edge.demo.evening import drain
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system


def limit_files(world: World, size: int) -> None:
    """Let no file of the gateway grow beyond *size* from now on."""
    assert world.gateway.process is not None
    hard = resource.RLIM_INFINITY
    resource.prlimit(world.gateway.process.pid, resource.RLIMIT_FSIZE, (size, hard))


def test_42_a_failed_write_is_told_as_such_and_heals(here: World) -> None:
    here.wait_until_ready()
    ada = here.visit()
    before, during, after = (TABLE.spin(ada, n) for n in (1, 2, 3))
    assert here.say(ada, before).counts == (1, 0)
    here.wait_until_forwarded(before)

    limit_files(here, 160)  # a segment's header fits, no record does
    failed = here.say(ada, during)

    assert failed.status == 503
    assert failed.refusals == [(0, "lane_failed", None)]
    assert int(failed.headers["retry-after"]) >= 1
    limit_files(here, resource.RLIM_INFINITY)
    here.wait(lambda: here.say(ada, during).status == 202, "accepted again")
    assert here.say(ada, during).counts == (0, 1)
    assert here.say(ada, after).counts == (1, 0)
    here.wait_until_forwarded(during, after)
    wanted = [event["id"] for event in (before, during, after)]
    assert [each["id"] for each in here.forwarded()] == wanted
    here.wait_until_ready()
    assert drain(here.gateway) == []
