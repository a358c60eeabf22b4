"""Ends that are the gateway's fault, with a real process: 1011, 1012 and 1013; threats.md 42, 55.

What must go wrong first is planted by :mod:`tests.faults.launcher`, or is an issuer that is gone.
"""

import contextlib
import json
from typing import Final

import pytest

from edge.demo.issuer import Issuer
from edge.demo.payloads import deposit_requested
from tests.fakes_frames import PONG, client_frame
from tests.faults.faults import frozen
from tests.faults.launcher import launcher
from tests.system.conftest import Build
from tests.system.stream.raw_socket import TARGET, RawSocket, events, handshake, offer
from tests.system.stream.sockets import codes
from tests.system.test_leaving import ask_to_leave
from tests.system.test_origin_down import obstruct
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

SPREAD_MS: Final = 1000  # even a few clients do not come back in one instant
PONGS: Final = client_frame(b"", PONG)


def counted(here: World, line: str) -> bool:
    """Whether the metrics have this line, as soon as they may."""
    return line in here.gateway.metrics().splitlines()


def after_ms(raw: RawSocket, code: int, reason: str) -> int:
    """See that its last words are these; return when it is to come back."""
    bye = dict(raw.said[-1])
    waits_ms = bye.pop("reconnect_after_ms")
    assert isinstance(waits_ms, int)
    assert bye == {"op": "bye", "code": code, "reason": reason}
    return waits_ms


def test_55_a_bug_ends_the_one_socket_that_met_it_with_1011_and_what_was_durable_stays(
    build: Build,
) -> None:
    here = build({})
    here.gateway.command = launcher(bug_in="wallet.deposit.requested")
    here.gateway.start()
    here.wait_until_ready()
    ada, bob = here.visit("ada"), here.visit("bob")
    good, beside, behind = (TABLE.spin(ada, 100) for _ in range(3))
    with RawSocket(here) as raw, RawSocket(here) as other:
        raw.shake(here, ada)
        other.shake(here, bob)
        assert codes(raw.ask(events(good))) == []
        raw.send(events(beside, deposit_requested(ada, 100), behind) + events() * 3)
        end = raw.end()

        assert end == (1011, "internal_error")
        assert after_ms(raw, 1011, "internal_error") == 0
        assert [frame["op"] for frame in raw.said[1:]] == ["verdicts", "bye"], "none of the bug"
        assert codes(other.ask(events(TABLE.spin(bob, 100)))) == []

    problem = here.say(bob, deposit_requested(bob, 100))
    assert (problem.status, problem.json["code"]) == (500, "internal_error")
    here.wait(lambda: counted(here, 'edge_stream_closed_total{code="1011"} 1.0'), "counted")
    faults = [line for line in here.log_lines() if line["level"] == "error"]
    assert [line["logger"] for line in faults].count("edge.stream") == 1
    assert "planted by the launcher" in json.dumps(faults)
    with RawSocket(here) as again:  # the client that comes back finds all that had a verdict
        again.shake(here, ada)
        told = again.ask(events(good, beside, behind))
        assert codes(told) == []
    here.wait_until_forwarded(good, beside, behind)
    assert len({each["id"] for each in here.forwarded()}) == len(here.forwarded()) == 4


def test_42_who_finds_no_turn_and_no_room_to_wait_is_told_to_find_another_node(
    build: Build,
) -> None:
    here = build({})
    here.gateway.command = launcher(is_crowded=True)
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    event = TABLE.spin(ada, 100)
    with RawSocket(here) as raw:
        raw.shake(here, ada)
        raw.send(events(event) * 3)
        end = raw.end()

    assert end == (1013, "overloaded")
    assert 0 <= after_ms(raw, 1013, "overloaded") < SPREAD_MS
    assert [frame["op"] for frame in raw.said] == ["welcome", "bye"]
    here.wait(lambda: counted(here, 'edge_stream_closed_total{code="1013"} 1.0'), "counted")
    assert counted(here, 'edge_requests_refused_total{reason="overloaded"} 1.0')
    assert here.say(ada, event).counts == (1, 0), "nothing of it was taken"


def test_42_a_process_that_leaves_ends_its_sockets_with_1012_and_lets_nobody_in(
    build: Build,
) -> None:
    """Planted: 1001 for 1012; the handshake asks nobody whether the process leaves."""
    here = build({})
    obstruct(here, "push")  # a handshake that asks for pushes waits for them
    here.gateway.start()
    here.wait_until_ready()
    process = here.gateway.process
    assert process is not None
    with here.line() as line, RawSocket(here) as raw:
        raw.shake(here, here.visit("ada"))
        assert codes(raw.ask(events())) == []
        with frozen(process.pid):  # so that it meets both at once
            fields = offer(here, here.visit("late"))
            line.send(handshake(fields, target=f"{TARGET}?topics=jackpots"))
            ask_to_leave(here)
        end = raw.end()
        answer = line.answer()
        line.wait_for_end()

    assert end == (1012, "draining")
    assert 0 <= after_ms(raw, 1012, "draining") < SPREAD_MS
    assert (answer.status, answer.json["code"]) == (503, "draining")
    assert answer.headers["connection"] == "close"
    assert here.gateway.stop() == 0


def test_42_a_token_that_nobody_can_check_any_more_ends_its_socket_with_1013(
    build: Build,
) -> None:
    """And no sooner: a socket whose keys are still believed goes on without their server."""
    with contextlib.ExitStack() as keys:
        gone = keys.enter_context(Issuer())
        here = build(
            {
                "auth": {"jwks_refresh_s": 1, "jwks_stale_max_s": 2},
                "auth.issuers": {"jwks_path": None, "jwks_url": gone.jwks_url},
                "stream": {"ping_s": 1, "pong_s": 1},
            }
        )
        here.gateway.start()
        here.wait_until_ready()
        ada = here.visit()
        with RawSocket(here) as raw:
            raw.shake(here, gone.player(ada))
            while raw.answered < 3:  # longer than keys are believed that nobody confirms
                raw.read_and_answer(PONGS)
            keys.close()
            told = raw.ask(events(TABLE.spin(ada, 100)))
            while raw.frames.close is None:
                raw.read_and_answer(PONGS)
            end = raw.end()

        assert codes(told) == []
        assert end == (1013, "keys_unavailable")
        assert 0 <= after_ms(raw, 1013, "keys_unavailable") < SPREAD_MS
        with here.line() as line:
            line.send(handshake({**offer(here, gone.player(ada))}))
            answer = line.answer()
        assert (answer.status, answer.json["code"]) == (503, "keys_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
