"""SIGTERM: what runs is finished, what comes is sent elsewhere, what is accepted is kept."""

import json
import signal

import pytest

from edge.demo.audit import read_log
from tests.system.conftest import Build
from tests.system.raw import Line, NoAnswerError
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system


def ask_to_leave(world: World) -> None:
    """Send SIGTERM, and return at once."""
    assert world.gateway.process is not None
    world.gateway.process.send_signal(signal.SIGTERM)


def test_a_request_that_runs_is_finished_and_readiness_goes_at_once(build: Build) -> None:
    here = build({"node": {"settle_s": 2}})
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    body = json.dumps([TABLE.spin(ada, 100)]).encode()
    fields = "".join(f"{name}: {value}\r\n" for name, value in here.headers(ada).items())
    with here.line() as line:
        head = f"POST /v1/events HTTP/1.1\r\nhost: x\r\n{fields}content-length: {len(body)}\r\n"
        line.send(f"{head}\r\n".encode() + body[:40])
        ask_to_leave(here)
        here.wait(lambda: here.ask("/readyz").status == 503, "not ready")
        line.send(body[40:])
        answer = line.answer()

        assert (answer.status, answer.counts) == (202, (1, 0))
        assert answer.headers["connection"] == "close"
        assert line.wait_for_end() == b""
    assert here.gateway.stop() == 0
    assert len(list(read_log(here.origin))) == 1


def test_who_goes_on_asking_is_told_to_go_elsewhere(here: World) -> None:
    here.wait_until_ready()
    ada = here.visit()
    event = TABLE.spin(ada, 100)
    body = json.dumps([event]).encode()
    lines = [here.line() for _ in range(20)]
    for line in lines:
        line.post(body, here.headers(ada))
        assert line.answer().status == 202
    ask_to_leave(here)
    told = [last_word(line, body, here.headers(ada)) for line in lines]
    for line in lines:
        line.close()

    assert here.gateway.stop() == 0
    # Served before it noticed, turned away while it closes, or hung up on: nothing else.
    assert set(told) <= {"duplicate", "draining", "hung up"}


def last_word(line: Line, body: bytes, headers: dict[str, str]) -> str:
    """Send one more request on *line*; return what became of it."""
    try:
        line.post(body, headers)
        answer = line.answer()
    except (NoAnswerError, OSError):
        return "hung up"
    if answer.status == 503:
        assert answer.headers["connection"] == "close"
        assert int(answer.headers["retry-after"]) >= 1
        return str(answer.json["code"])
    return "duplicate" if answer.counts == (0, 1) else f"{answer.status}"


def test_what_cannot_be_forwarded_in_time_waits_on_disk(build: Build) -> None:
    here = build({"node": {"drain_s": 1}})
    here.origin.mkdir()
    obstacle = here.origin / "edge.game.v1"
    obstacle.write_text("a file where a directory should be")
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()
    event = TABLE.spin(ada, 100)
    assert here.say(ada, event).counts == (1, 0)

    assert here.gateway.stop() == 0
    (left,) = [line for line in here.log_lines() if line["event"] == "left"]
    assert left["records_waiting"] == 1
    obstacle.unlink()
    here.gateway.start()

    here.wait_until_forwarded(event)
    assert [each["id"] for each in here.forwarded()] == [event["id"]]
