"""A gateway takes over the spool of the release before, and leaves it as its own would be.

What that spool is, and what becomes of its events, :mod:`tests.faults.upgrade` says.
"""

import pytest

from tests.faults import faults
from tests.faults.upgrade import GOLDEN, TEN_YEARS_S
from tests.system.conftest import Build
from tests.system.world import World

pytestmark = pytest.mark.system


@pytest.fixture
def heir(build: Build) -> World:
    """A gateway on a copy of that spool; not started."""
    built = build({"spool": {"dedupe_window_s": TEN_YEARS_S}})
    faults.upgrade(GOLDEN / "spool", built.spool)
    return built


def test_its_next_start_finds_an_index_beside_every_full_segment(heir: World) -> None:
    heir.gateway.start()
    heir.gateway.kill()

    for lane in (heir.spool / "0").iterdir():
        segments = sorted(lane.glob("*.seg"))[:-1]
        filled = [path.stem for path in segments if path.stat().st_size > 128]
        assert sorted(path.stem for path in lane.glob("*.idx")) == filled, lane
