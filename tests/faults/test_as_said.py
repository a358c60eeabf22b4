"""What came is what was said: each event once, in its order, every attribute of it."""

import pytest

from edge.demo.ledger import Event
from tests.faults.as_said import unlike

FIRST: Event = {"id": "a", "time": "T1", "data": {"stake": 1}}
SECOND: Event = {"id": "b", "time": "T2", "data": {"stake": 2}}
EDGE: Event = {"edgeseq": "1"}


@pytest.mark.parametrize(
    ("came", "faults"),
    [
        ([FIRST | EDGE, SECOND | EDGE], []),
        ([FIRST | {"data": {"stake": 9}}, SECOND], ["ada: event a: data not as it was said"]),
        ([FIRST, {"id": "b"}], ["ada: event b: time, data not as it was said"]),
        (
            [SECOND, FIRST],
            ["ada: from event 1 on ['a', 'b'] were accepted, ['b', 'a'] came"],
        ),
        ([FIRST], ["ada: from event 2 on ['b'] were accepted, [] came"]),
        ([FIRST, SECOND, SECOND], ["ada: from event 3 on [] were accepted, ['b'] came"]),
    ],
    ids=["as said", "another stake", "cut off", "inverted", "lost", "again"],
)
def test_only_what_came_as_it_was_said_is_no_fault(
    came: list[Event], faults: list[str]
) -> None:
    assert list(unlike("ada", [FIRST, SECOND], came)) == faults


def test_of_thousands_that_differ_the_first_few_are_shown() -> None:
    said: list[Event] = [{"id": n} for n in range(5000)]

    (told,) = unlike("ada", said, said[:2000] + said[2001:])

    assert told == (
        "ada: from event 2001 on [2000, 2001, 2002, 2003, 2004] were accepted, "
        "[2001, 2002, 2003, 2004, 2005] came"
    )
