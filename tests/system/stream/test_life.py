"""From welcome to bye: silence, tokens that end and are renewed, replacement, the end of a node."""

import contextlib
import signal
import time

import pytest

from edge.core.instant import NS_PER_S
from edge.demo.payloads import Visit
from tests.faults.launcher import launcher
from tests.system.conftest import Build
from tests.system.raw import Line, NoAnswerError
from tests.system.stream.raw_socket import TARGET, handshake, offer
from tests.system.stream.sockets import (
    BOTH,
    ask,
    end_of,
    hear,
    hear_until,
    now_s,
    renew,
    say,
    welcomed,
)
from tests.system.test_leaving import ask_to_leave
from tests.system.test_origin_down import obstruct
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system


def bye(code: int, reason: str) -> dict[str, object]:
    """What is said last."""
    return {"op": "bye", "code": code, "reason": reason, "reconnect_after_ms": 0}


def test_a_token_is_renewed_on_the_open_socket(door: World, ada: Visit) -> None:
    with welcomed(door, ada) as found:
        newer = now_s() + 7200
        renew(found, door.issuer.player(ada, scope=BOTH, exp=newer))

        assert hear(found) == {"op": "renewed", "expires_at_ms": newer * 1000}
        assert ask(found, TABLE.spin(ada, 100))["refused"] == []


def test_a_token_of_somebody_else_ends_the_socket(door: World, ada: Visit) -> None:
    with welcomed(door, ada) as found:
        say(found, TABLE.spin(ada, 100))
        renew(found, door.issuer.player(door.visit("eve")))
        frames, code = end_of(found)

    assert frames[-1] == bye(4403, "subject_mismatch")
    assert frames[-2]["settled"] == 1, "what was said before is told first"
    assert code == 4403


def test_a_token_nobody_signed_ends_the_socket(door: World, ada: Visit) -> None:
    with welcomed(door, ada) as found:
        renew(found, "a.b.c")

        assert end_of(found) == ([bye(4401, "token_invalid")], 4401)


def test_the_end_of_a_token_is_announced_a_minute_before(door: World, ada: Visit) -> None:
    """And no sooner. Planted: 61 s before, and with the welcome."""
    rounded_s = (time.time_ns() + NS_PER_S // 2) // NS_PER_S
    expires_s = rounded_s + 61  # it is due in half a second to one and a half
    with welcomed(door, door.issuer.player(ada, exp=expires_s)) as found:
        said = hear(found)

        assert now_s() >= expires_s - 60
        assert said == {"op": "expiring", "expires_at_ms": expires_s * 1000}
        renew(found, door.issuer.player(ada, exp=now_s() + 600))
        assert hear(found)["op"] == "renewed"


def test_a_newer_socket_of_a_session_replaces_the_older(door: World, ada: Visit) -> None:
    with welcomed(door, ada) as older, welcomed(door, ada) as newer:
        assert end_of(older) == ([bye(4409, "replaced")], 4409)
        assert ask(newer, TABLE.spin(ada, 100))["refused"] == []


def test_as_many_sockets_of_a_session_as_the_settings_say(build: Build) -> None:
    here = build({"stream": {"sockets_per_session": 2}})
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    with welcomed(here, ada) as first, welcomed(here, ada) as second:
        assert ask(first, TABLE.spin(ada, 100))["settled"] == 1
        assert ask(second, TABLE.spin(ada, 100))["settled"] == 2
        with welcomed(here, ada):
            assert end_of(first)[1] == 4409
            assert ask(second)["settled"] == 2


def test_a_silent_socket_ends_unless_it_may_only_listen(build: Build) -> None:
    here = build({"stream": {"silent_s": 1, "ping_s": 1, "pong_s": 1}})
    here.gateway.start()
    here.wait_until_ready()
    ada, bob, cleo = here.visit("ada"), here.visit("bob"), here.visit("cleo")
    reader = here.issuer.player(bob, scope="stream:read")
    with (
        welcomed(here, ada) as silent,
        welcomed(here, reader) as listening,
        welcomed(here, cleo) as speaking,
    ):
        ask(speaking)
        assert end_of(silent) == ([bye(4408, "silent")], 4408)
        assert ask(speaking, TABLE.spin(cleo, 100))["refused"] == []
        assert ask(listening)["refused"] == []


def test_a_process_that_leaves_takes_leave_of_its_sockets(build: Build) -> None:
    here = build({"node": {"settle_s": 1}})
    here.gateway.start()
    here.wait_until_ready()
    ada, bob = here.visit("ada"), here.visit("bob")
    with welcomed(here, ada) as found, welcomed(here, bob) as other:
        event = TABLE.spin(ada, 100)
        ask(found, event)
        ask_to_leave(here)
        here.wait(lambda: here.ask("/readyz").status == 503, "not ready")
        later = TABLE.spin(ada, 100)
        assert ask(found, later)["settled"] == 2, "until it is settled, all goes on"
        ends = [end_of(each) for each in (found, other)]

    assert here.gateway.stop() == 0
    for frames, code in ends:
        (said,) = frames
        after_ms = said.pop("reconnect_after_ms")
        assert said == {"op": "bye", "code": 1012, "reason": "draining"}
        assert 0 <= int(str(after_ms)) < 1000
        assert code == 1012
    assert {each["id"] for each in here.forwarded()} == {event["id"], later["id"]}


def test_what_is_said_while_the_node_leaves_has_its_verdict_or_is_not_there(
    build: Build,
) -> None:
    here = build({})
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    events = [TABLE.spin(ada, 100) for _ in range(40)]
    settled = 0
    with welcomed(here, ada) as found:
        for number, event in enumerate(events):
            say(found, event)
            if number == 20:
                ask_to_leave(here)
        for frame in end_of(found)[0]:
            settled = int(str(frame.get("settled", settled)))

    assert here.gateway.stop() == 0
    assert [each["id"] for each in here.forwarded()] == [
        each["id"] for each in events[:settled]
    ]


def test_a_session_goes_on_after_the_gateway_was_killed(here: World) -> None:
    here.wait_until_ready()
    ada = here.visit()
    events = [TABLE.spin(ada, 100) for _ in range(3)]
    with welcomed(here, ada) as found:
        ask(found, *events[:2])
        here.gateway.kill()
        assert end_of(found)[1] in {1006, None}
    here.gateway.start()
    here.wait_until_ready()

    with welcomed(here, ada) as found:
        verdicts = ask(found, *events)

    assert (verdicts["settled"], verdicts["refused"]) == (3, [])
    here.wait_until_forwarded(*events)
    assert len({str(each["id"]) for each in here.forwarded()}) == 3


def test_a_client_that_is_cut_off_costs_nothing_it_was_promised(
    door: World, ada: Visit
) -> None:
    event = TABLE.spin(ada, 100)
    with welcomed(door, ada) as found:
        say(found, event)
        found.socket.shutdown(2)
    door.wait_until_forwarded(event)

    with welcomed(door, ada) as found:
        assert ask(found, event)["settled"] == 1
    loud = [line for line in door.log_lines() if line["level"] in {"error", "critical"}]
    assert loud == []


def test_a_process_that_has_taken_leave_lets_nobody_in(build: Build) -> None:
    """Nobody new, nobody who has begun to ask, and nobody who is being looked at just then.

    Planted: the handshake asks nobody whether the process leaves.
    """
    here = build({"node": {"drain_s": 3}})
    obstruct(here, "game")
    obstruct(here, "push")
    here.gateway.start()
    here.wait_until_ready()
    ada, late = here.visit(), here.visit("late")
    with welcomed(here, ada) as found, contextlib.ExitStack() as lines:
        ask(found, TABLE.spin(ada, 100))  # which cannot be forwarded: the process stays
        slow, *halves = (lines.enter_context(here.line()) for _ in range(5))
        for line in halves:
            line.send(handshake(offer(here, late))[:-2])
        ask(found)  # by now they have been read
        assert here.gateway.process is not None
        here.gateway.process.send_signal(signal.SIGSTOP)  # so that it meets both at once
        slow.send(handshake(offer(here, late), target=f"{TARGET}?topics=jackpots"))
        ask_to_leave(here)
        here.gateway.process.send_signal(signal.SIGCONT)
        assert end_of(found)[1] == 1012
        told = [last_word(line) for line in (slow, *halves)]
        assert here.gateway.process.poll() is None, "it is still there, and forwards"
        with pytest.raises(OSError, match="refused"):
            here.line()

    assert set(told) <= {"draining", "hung up"}
    assert told[0] == "draining", "it waited for pushes that do not come when it was too late"
    assert here.gateway.stop() == 0


def last_word(line: Line) -> str:
    """Finish a handshake; return what became of it."""
    try:
        line.send(b"\r\n")
        answer = line.answer()
    except (NoAnswerError, OSError):
        return "hung up"
    return str(answer.json["code"]) if answer.status == 503 else f"{answer.status}"


def test_hear_until_drops_nothing_that_matters(door: World, ada: Visit) -> None:
    with welcomed(door, ada) as found:
        renew(found, door.issuer.player(ada))
        say(found)
        assert hear_until(found, "verdicts")["refused"] == []


def test_a_node_that_may_not_wait_still_tells_what_waits_for_its_sync(build: Build) -> None:
    """Planted: ``GOODBYE_S`` of 0."""
    here = build({"node": {"drain_s": 0}})
    here.gateway.command = launcher(write_ms=300)  # far more than a server looks around for
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit("ada")
    with welcomed(here, ada) as found:
        assert ask(found)["refused"] == [], "it is heard"
        say(found, TABLE.spin(ada, 100))
        ask(found, {})  # heard behind it, and told before its sync
        ask_to_leave(here)
        frames, code = end_of(found)

    assert [frame["op"] for frame in frames] == ["verdicts", "bye"]
    assert frames[0]["settled"] == 1
    assert (frames[1]["code"], code) == (1012, 1012)
    assert here.gateway.stop() == 0
