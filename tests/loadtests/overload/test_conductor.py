"""Orders go out as lines, and what came of them comes back whole."""

import io
import json
from pathlib import Path

from loadtests.overload.conductor import Conductor
from loadtests.overload.crowd import Course, Fate

TOLD = {"elapsed_ns": 9, "due": 2, "fates": [[1, 2, True], [3, 4, False]]}
COURSE = Course(9, 2, [Fate(1, 2, is_accepted=True), Fate(3, 4, is_accepted=False)])


def test_every_order_is_one_line_and_so_is_its_result() -> None:
    results = [{}, {}, TOLD, TOLD, {"events": 7}, {}]
    orders = io.StringIO()
    conductor = Conductor(
        "{}", orders, io.StringIO("".join(json.dumps(each) + "\n" for each in results))
    )

    conductor.stock("single", 5)
    conductor.connect(("127.0.0.1", 80), 3)
    assert conductor.closed(1.5) == COURSE
    assert conductor.open(100.4, 2.0) == COURSE
    assert conductor.list_accepted(Path("/x")) == 7
    conductor.hang_up()

    assert [json.loads(line) for line in orders.getvalue().splitlines()] == [
        {"order": "prepare", "load": "single", "count": 5},
        {"order": "connect", "host": "127.0.0.1", "port": 80, "connections": 3},
        {"order": "closed", "seconds": 1.5},
        {"order": "open", "per_s": 100.4, "seconds": 2.0, "seed": 100},
        {"order": "accepted", "path": "/x"},
        {"order": "hang up"},
    ]
