"""What was answered before a restart holds after it: verdicts, conflicts, numbers, counters."""

import pytest

from edge.demo.evening import drain
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system


@pytest.mark.parametrize("ending", ["SIGKILL", "SIGTERM"])
def test_after_a_restart_everything_is_known_again(here: World, ending: str) -> None:
    ada = here.visit()
    first, second = TABLE.spin(ada, 100), TABLE.spin(ada, 200)
    assert here.say(ada, first).counts == (1, 0)
    if ending == "SIGKILL":
        here.gateway.kill()
    else:
        assert here.gateway.stop() == 0
    here.gateway.start()
    here.wait_until_ready()

    other = TABLE.spin(ada, 900) | {"id": first["id"]}
    same_number = TABLE.spin(ada, 900) | {"seq": first["seq"]}
    answer = here.say(ada, first, second, other, same_number)

    assert answer.counts == (1, 1)
    assert answer.refusals == [
        (2, "idempotency_conflict", "/id"),
        (3, "idempotency_conflict", "/seq"),
    ]
    assert drain(here.gateway) == []
    assert [each["id"] for each in here.forwarded()] == [first["id"], second["id"]]


def test_each_life_numbers_anew_and_without_a_gap(here: World) -> None:
    ada = here.visit()
    here.say(ada, TABLE.spin(ada, 1), TABLE.spin(ada, 2))
    here.gateway.kill()
    here.gateway.start()
    here.wait_until_ready()
    last = TABLE.spin(ada, 3)
    here.say(ada, last)
    here.wait_until_forwarded(last)

    numbers = {(each["edgespool"], each["edgeseq"]) for each in here.forwarded()}

    assert len(numbers) == 3
    assert sorted(str(seq) for _, seq in numbers) == ["1", "1", "2"]


def test_the_counters_of_a_life_add_up_whatever_was_sent(here: World) -> None:
    ada = here.visit()
    good = TABLE.spin(ada, 100)
    here.say(ada, good, good, TABLE.spin(ada, 100) | {"subject": "player-rich"})
    here.say(ada, TABLE.spin(ada, 100) | {"type": "game.spin.dreamt"})
    here.say("no token", good)
    here.wait_until_forwarded(good)

    assert drain(here.gateway) == []


def test_a_trace_passes_through(here: World) -> None:
    ada = here.visit()
    trace = {
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "congo=t61rcWkgMzE",
    }
    event = TABLE.spin(ada, 100) | trace
    here.say(ada, event)
    here.wait_until_forwarded(event)

    (envelope,) = here.forwarded()

    assert {name: envelope[name] for name in trace} == trace
