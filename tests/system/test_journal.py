"""The log of a real process: JSON, line by line, and nothing of what clients sent in it."""

import json

import pytest

from edge.demo.issuer import Issuer
from edge.demo.payloads import some_uuid
from edge.demo.rounds import slip_submitted
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

CANARY = "canary4711"


def test_whatever_is_sent_nothing_of_it_is_logged(here: World) -> None:
    here.wait_until_ready()
    ada = here.visit(CANARY)
    token, forged = here.issuer.player(ada), Issuer().player(ada)
    good = TABLE.spin(ada, 100)
    answers = [
        here.say(token, good),
        here.say(token, good | {"subject": f"{CANARY}\r\n\x1b[31m\u202e"}),
        here.say(token, good | {CANARY: CANARY}),
        here.say(token, good | {"type": CANARY}),
        here.say(token, good | {"id": CANARY}),
        here.say(token, slip_submitted(ada, some_uuid(ada.rng), f"{CANARY}@mail.example")),
        here.say(forged, good),
        here.say(f"{CANARY}.{CANARY}.{CANARY}", good),
    ]
    for octets in (
        f"GET /v1/events?token={CANARY} HTTP/1.1\r\nhost: x\r\n\r\n",
        f"GET /{CANARY} HTTP/1.1\r\nhost: {CANARY}\r\nuser-agent: {CANARY}\r\n\r\n",
        f"POST /v1/events HTTP/1.1\r\nhost: x\r\n{CANARY}: {CANARY}\r\n\r\n",
        f"{CANARY} / HTTP/1.1\r\nhost: x\r\n\r\n",
        f"{CANARY}\r\n\r\n",
    ):
        with here.line() as line:
            line.send(octets.encode())
            assert line.answer().status >= 400
    with here.line() as line:
        line.post(f'["{CANARY}'.encode(), here.headers(token))
        assert line.answer().status == 400
    here.wait_until_forwarded(good)
    here.gateway.stop()
    words = here.gateway.log.read_text("utf-8")

    assert [answer.status for answer in answers] == [202, 422, 422, 422, 422, 422, 401, 401]
    for line_ in words.splitlines():
        assert {"ts", "level", "logger", "event"} <= set(json.loads(line_))
    secrets = (CANARY, str(good["id"]), ada.session, token.split(".")[2], forged.split(".")[2])
    assert [secret for secret in secrets if secret in words] == []


def test_a_client_that_hangs_up_is_no_news(here: World) -> None:
    here.wait_until_ready()
    ada = here.visit()
    before = here.gateway.log.read_text("utf-8")
    events = [TABLE.spin(ada, 5) for _ in range(5)]
    for event in events:
        with here.line() as line:
            line.post(json.dumps([event]).encode(), here.headers(ada))
    with here.line() as line:
        line.send(b"POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 99\r\n\r\nhalf a b")
    here.wait_until_forwarded(*events)

    assert here.gateway.log.read_text("utf-8") == before
