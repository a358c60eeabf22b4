"""Both processes run, and what one got accepted is found in the other's log."""

from pathlib import Path

import pytest

from loadtests.overload.stage import stage


@pytest.mark.system
def test_what_was_accepted_arrives(tmp_path: Path) -> None:
    with stage(tmp_path) as on_stage:
        on_stage.conductor.stock("single", 10_000)
        on_stage.conductor.connect(on_stage.gateway.public, 4)
        course = on_stage.conductor.closed(0.2)
        on_stage.conductor.hang_up()
        events, faults = on_stage.settle()

    assert events == sum(fate.is_accepted for fate in course.fates) > 0
    assert faults == []
