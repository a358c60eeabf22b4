"""The short form of the upgrade: one heir of the golden spool; and what its judge says."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults.row import Scale
from tests.faults.upgrade import WAITING, Line, compare, once, returned, upgrade
from tests.system.world import TABLE


@pytest.mark.system
@pytest.mark.timeout(300)  # 2 s on two idle cores; each of its waits may take 20 s
def test_an_heir_keeps_what_the_release_before_it_has_promised(tmp_path: Path) -> None:
    rows = list(upgrade(Scale.SHORT, tmp_path, lambda _: None))

    assert [(row.is_reached, row.faults) for row in rows] == [(True, ())]


def waited() -> list[Line]:
    """What waits in the golden spool, as the origin is to show it."""
    return [(each["topic"], each["key"], each["value"]) for each in WAITING]


def shown(event: dict[str, Any], number: int, run: str = "new") -> Line:
    """A new event as the origin is to show it."""
    numbers = {"edgespool": run, "edgeseq": str(number)}
    return "edge.game.v1", str(event["subject"]), event | numbers


def test_what_waited_and_what_is_new_behind_it_is_as_it_must_be() -> None:
    ada = returned()
    new = [TABLE.spin(ada, 1), TABLE.spin(ada, 2)]
    came = [*waited(), *(shown(event, n) for n, event in enumerate(new, 1))]

    assert list(compare(once([*waited(), *came]), new)) == []


def test_what_is_lost_changed_overtaken_or_renumbered_is_told() -> None:
    ada = returned()
    first, second = new = [TABLE.spin(ada, 1), TABLE.spin(ada, 2)]
    old, sound = waited(), [shown(first, 1), shown(second, 2)]
    (topic, key, value), *others = old
    changed = topic, key, value | {"edgenode": "another"}
    renumbered = topic, key, value | {"edgespool": "another"}
    run = next(each["edgespool"] for _, _, each in old)

    for came in (
        [*others, *sound],
        [changed, *others, *sound],
        [renumbered, *old, *sound],
        [*old, changed, *sound],
        [*sound, *old],
        [*old, sound[0]],
        [*old, *reversed(sound)],
        [*old, shown(first, 1), shown(second, 3)],
        [*old, shown(first, 1), shown(second, 2, "another")],
        [*old, shown(first, 6, run), shown(second, 7, run)],
        [*old, shown(first | {"data": {}}, 1), sound[1]],
    ):
        assert list(compare(once(came), new)) != [], came


def test_only_what_is_the_same_to_the_letter_came_again() -> None:
    old = waited()
    topic, key, value = old[-1]
    changed = topic, key, value | {"edgenode": "another"}

    assert list(once([*old, old[0], old[-1]])) == old
    assert list(once([*old, changed])) == [*old, changed]
