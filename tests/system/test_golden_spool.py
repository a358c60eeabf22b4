"""A gateway takes over the spool of the release before: nothing is lost, renumbered or repeated.

The spool was left by the gateway of commit c30fb19, the last that wrote no key indexes: eight
or nine events in each of its three lives, from a client and a service, in all lanes. The first
life forwarded most of its own and buried one; all ended by SIGKILL, two last segments are torn.
``said.json`` is what was accepted, ``waiting.jsonl`` what that gateway's own ``edge spool
export`` found waiting.
"""

import json
import random
import shutil
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from edge.demo.audit import read_log
from edge.demo.evening import drain
from edge.demo.payloads import Visit
from tests.system.conftest import Build
from tests.system.world import World

pytestmark = pytest.mark.system

GOLDEN: Final = Path(__file__).parents[1] / "golden" / "spool_without_indexes"
SAID: Final[dict[str, Any]] = json.loads((GOLDEN / "said.json").read_bytes())
WAITING: Final[list[dict[str, Any]]] = [
    json.loads(line) for line in (GOLDEN / "waiting.jsonl").read_bytes().splitlines()
]
TEN_YEARS_S: Final = 315_360_000
"""The window in which all of it must be known: it grows old in the repository."""


@pytest.fixture
def heir(build: Build) -> World:
    """A gateway on a copy of that spool; not started."""
    built = build({"spool": {"dedupe_window_s": TEN_YEARS_S}})
    shutil.copytree(GOLDEN / "spool", built.spool)
    return built


def by_key(
    lines: Iterable[tuple[object, str, object]],
) -> dict[tuple[object, str], list[object]]:
    """What came for each key of each topic, in order."""
    found: dict[tuple[object, str], list[object]] = defaultdict(list)
    for topic, key, value in lines:
        found[topic, key].append(value)
    return found


def test_what_the_release_before_accepted_is_forwarded_once_and_known(heir: World) -> None:
    letters = (heir.spool / "0" / "bet" / "dead" / "0000000001.jsonl").read_bytes()
    heir.gateway.start()
    heir.wait_until_ready()

    assert drain(heir.gateway) == []
    arrived = [(line.topic, line.key, line.envelope) for line in read_log(heir.origin)]
    assert by_key(arrived) == by_key([(w["topic"], w["key"], w["value"]) for w in WAITING])
    assert (heir.spool / "0" / "bet" / "dead" / "0000000001.jsonl").read_bytes() == letters

    ada = Visit(SAID["subject"], SAID["brand"], SAID["jurisdiction"], random.Random(0))  # noqa: S311  # no secret
    ada.session = SAID["session"]
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
