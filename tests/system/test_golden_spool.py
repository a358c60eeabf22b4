"""A gateway takes over the spool of the release before: nothing is lost, renumbered or repeated.

What that spool is, :mod:`tests.faults.upgrade` says.
"""

import pytest

from edge.demo.audit import read_log
from edge.demo.evening import drain
from tests.faults import faults
from tests.faults.upgrade import (
    GOLDEN,
    LETTERS,
    SAID,
    TEN_YEARS_S,
    WAITING,
    by_key,
    returned,
)
from tests.system.conftest import Build
from tests.system.world import World

pytestmark = pytest.mark.system


@pytest.fixture
def heir(build: Build) -> World:
    """A gateway on a copy of that spool; not started."""
    built = build({"spool": {"dedupe_window_s": TEN_YEARS_S}})
    faults.upgrade(GOLDEN / "spool", built.spool)
    return built


def test_what_the_release_before_accepted_is_forwarded_once_and_known(heir: World) -> None:
    letters = (heir.spool / LETTERS).read_bytes()
    heir.gateway.start()
    heir.wait_until_ready()

    assert drain(heir.gateway) == []
    arrived = [(line.topic, line.key, line.envelope) for line in read_log(heir.origin)]
    assert by_key(arrived) == by_key([(w["topic"], w["key"], w["value"]) for w in WAITING])
    assert (heir.spool / LETTERS).read_bytes() == letters

    ada = returned()
    service = heir.issuer.service("svc-1", "player", "wallet", "bet", "game", "bonus")
    for by, speaker in (("player", ada), ("service", service)):
        events = [each["event"] for each in SAID["said"] if each["by"] == by]
        assert heir.say(speaker, *events).counts == (0, len(events))


def test_its_next_start_finds_an_index_beside_every_full_segment(heir: World) -> None:
    heir.gateway.start()
    heir.gateway.kill()

    for lane in (heir.spool / "0").iterdir():
        segments = sorted(lane.glob("*.seg"))[:-1]
        filled = [path.stem for path in segments if path.stat().st_size > 128]
        assert sorted(path.stem for path in lane.glob("*.idx")) == filled, lane
