"""The wall clock jumps by an hour, a day, ten years: nothing is lost, and limits do not notice."""

import json
from pathlib import Path

import pytest
from typing_extensions import override

from edge.demo.ledger import Event
from tests.faults import preload
from tests.faults.clock_jumps import Clock, Player, account, clock_jumps
from tests.faults.row import Scale
from tests.system.world import world


@pytest.mark.system
@pytest.mark.timeout(600)  # a few starts: 4 s on two idle cores; many waits of up to 20 s
@pytest.mark.skipif(preload.missing() != "", reason=f"SKIPPED: {preload.missing()}")
def test_a_clock_that_jumps_loses_nothing_and_turns_nothing_round(tmp_path: Path) -> None:
    rows = list(clock_jumps(Scale.SHORT, tmp_path, lambda _: None))

    assert [fault for row in rows for fault in row.faults] == []
    assert all(row.is_reached for row in rows)


class Broken(Clock):
    """Shows no time."""

    @override
    def stamp(self, event: Event) -> None:
        """Fail."""
        raise ValueError("no hands")


def test_a_player_who_ends_by_an_error_of_any_kind_says_so(tmp_path: Path) -> None:
    with world(tmp_path) as here:
        player = Player(here, Broken(), "ada")
        player.run()

    assert player.fault == "ada: ValueError('no hands')"


def record(number: int, **more: object) -> bytes:
    """What the origin has of the event of that number."""
    own = {"id": f"e{number}", "subject": "ada", "data": {"stake": number}}
    edge = {"edgespool": "run", "edgeseq": str(number), "edgetime": f"T{number}"}
    return json.dumps(own | edge | more).encode()


SAID: dict[str, list[Event]] = {
    "ada": [{"id": f"e{n}", "subject": "ada", "data": {"stake": n}} for n in (1, 2)]
}


@pytest.mark.parametrize(
    ("records", "faults"),
    [
        ([record(1), record(2)], []),
        ([record(1), record(2), record(1)], []),
        ([record(1), record(2), record(1, data={})], ["run: two records under number 1"]),
        ([record(1), record(2, data={"stake": 1})], ["e2: data not as it was said"]),
        ([record(2), record(1)], ["['e1', 'e2'] were accepted, ['e2', 'e1'] came"]),
        ([record(1)], ["ada: from event 2 on ['e2'] were accepted, [] came"]),
        (
            [record(1), record(2), record(3, subject="eve")],
            ["eve: from event 1 on [] were accepted"],
        ),
        ([record(1), record(2, edgetime="T0")], ["run: edgetime runs backwards"]),
    ],
    ids=[
        "as said",
        "again, the same",
        "again, another",
        "another stake",
        "inverted",
        "lost",
        "of a stranger",
        "a clock that ran back",
    ],
)
def test_what_came_is_compared_byte_for_byte(records: list[bytes], faults: list[str]) -> None:
    found = list(account(SAID, records))

    assert len(found) == len(faults)
    assert all(part in fault for part, fault in zip(faults, found, strict=True))
