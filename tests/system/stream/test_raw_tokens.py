"""Tokens in raw bytes, at the handshake and on an open socket: threats.md 29-36, 38, 63, 68.

Whatever is wrong with a token, a handshake gets the answer that a request gets, before anything
is upgraded, and an open socket that is told to go on with it ends with 4401; with a good one of somebody
else, or of somewhere else, with 4403.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import pytest

from edge.demo.payloads import Visit
from tests.system.raw import Answer
from tests.system.stream.raw_socket import TARGET, RawSocket, events, handshake, offer, op
from tests.system.stream.sockets import codes
from tests.system.test_door_head import INVALID_TOKENS, TOKEN_IN_URL, Forge
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

LEEWAY_S: Final = 30
OURS: Final = {"sec-websocket-protocol": "edge.v1.json"}
UNKNOWN_KEY: Final = "34 unknown kid"
AGAIN_S: Final = 0.2  # the keys' file is looked at once a second for those who name others

REFUSED: Final[dict[str, tuple[Callable[[World, Visit], str], int, str]]] = {
    "35: expired": (
        lambda here, ada: here.issuer.player(ada, iat=1_700_000_000, exp=1_700_000_060),
        401,
        "token_expired",
    ),
    "38: no scope": (
        lambda here, ada: here.issuer.player(ada, scope="profile"),
        403,
        "scope_missing",
    ),
    "38: a service": (
        lambda here, _: here.issuer.service("games", "bet"),
        403,
        "scope_missing",
    ),
    "no session": (
        lambda here, ada: here.issuer.player(ada, sid=None),
        401,
        "token_invalid",
    ),
}


def knock(here: World, fields: dict[str, str | Sequence[str]], target: str = TARGET) -> Answer:
    """Shake hands and be refused: the answer is the connection's last."""
    with here.line() as line:
        line.send(handshake(fields, target=target) + events())
        answer = line.answer()
        assert line.wait_for_end() == b""
    assert answer.headers["connection"] == "close"
    assert answer.headers["content-type"] == "application/problem+json"
    return answer


def bare(answer: Answer) -> dict[str, object]:
    """The problem without what names this one answer."""
    return answer.json | {"instance": ""}


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(forge, id=name.replace(" ", ": ", 1))
        for name, forge in INVALID_TOKENS.items()
        if name != UNKNOWN_KEY
    ],
)
def test_every_bad_token_gets_the_answer_of_http_and_ends_a_socket_that_is_open(
    door: World, ada: Visit, forge: Forge
) -> None:
    token = forge(door)
    reference = bare(door.say(token))

    by_header = knock(door, {**OURS, "authorization": f"Bearer {token}"})
    by_subprotocol = knock(door, {**offer(door, token)})
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        raw.send(op("token", token=token))
        end = raw.end()

    assert bare(by_header) == bare(by_subprotocol) == reference
    assert by_header.status == by_subprotocol.status == 401
    assert by_header.headers["www-authenticate"] == 'Bearer error="invalid_token"'
    assert end == (4401, "token_invalid")
    assert [frame["op"] for frame in raw.said] == ["welcome", "bye"]


def test_34_an_unknown_key_ends_an_open_socket_once_it_was_looked_for(
    door: World, ada: Visit
) -> None:
    token = INVALID_TOKENS[UNKNOWN_KEY](door)
    reference = bare(door.say(token))

    refused = knock(door, {**offer(door, token)})
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        while (told := raw.ask(op("token", token=token)))["op"] != "bye":
            assert [code for _, _, code in codes(told)] == ["keys_unavailable"]
            time.sleep(AGAIN_S)
        end = raw.end()

    assert (bare(refused), refused.status) == (reference, 401)
    assert end == (4401, "token_invalid")


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [pytest.param(*row, id=name) for name, row in REFUSED.items()],
)
def test_who_may_not_is_told_why_before_anything_is_upgraded(
    door: World, ada: Visit, token: Callable[[World, Visit], str], status: int, code: str
) -> None:
    answer = knock(door, {**offer(door, token(door, ada))})

    assert (answer.status, answer.json["code"]) == (status, code)


def test_29_who_has_no_token_is_told_how_to_bring_one(door: World) -> None:
    answer = knock(door, {**OURS})

    assert (answer.status, answer.json["code"]) == (401, "token_missing")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("name", TOKEN_IN_URL)
def test_68_a_token_in_the_url_is_refused_unread(door: World, ada: Visit, name: str) -> None:
    token = door.issuer.player(ada)

    answer = knock(door, {**OURS}, f"{TARGET}?k=1&{name}={token}")

    assert answer.status == 400
    assert token not in door.gateway.log.read_text("utf-8")


def test_63_two_authorization_headers_are_one_too_many(door: World, ada: Visit) -> None:
    value = f"Bearer {door.issuer.player(ada)}"

    twice = knock(door, {**OURS, "authorization": [value, value]})
    elsewhere = knock(door, {**offer(door, ada), "authorization": value})

    assert [answer.json["code"] for answer in (twice, elsewhere)] == ["token_invalid"] * 2


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "bEaReR"])
def test_63_the_scheme_is_read_in_any_case(door: World, ada: Visit, scheme: str) -> None:
    value = f"{scheme} {door.issuer.player(ada)}"
    with RawSocket(door) as raw:
        raw.send(handshake({**OURS, "authorization": value}))

        assert raw.answer()[0] == 101


def test_63_another_scheme_is_no_token(door: World) -> None:
    answer = knock(door, {**OURS, "authorization": "Basic eA=="})

    assert (answer.status, answer.json["code"]) == (401, "token_missing")


Sign = Callable[[World, Visit], str]

NOT_THIS_SOCKETS: Final[Mapping[str, tuple[Sign, tuple[int, str]]]] = {
    "another player's": (
        lambda here, ada: here.issuer.player(ada, sub="player-rich"),
        (4403, "subject_mismatch"),
    ),
    "another session's": (
        lambda here, ada: here.issuer.player(ada, sid=here.visit("late").session),
        (4403, "subject_mismatch"),
    ),
    "another brand's": (
        lambda here, ada: here.issuer.player(ada, brand="south"),
        (4403, "brand_mismatch"),
    ),
    "another jurisdiction's": (
        lambda here, ada: here.issuer.player(ada, jurisdiction="SE"),
        (4403, "brand_mismatch"),
    ),
    "no scope": (
        lambda here, ada: here.issuer.player(ada, scope="profile"),
        (4403, "scope_missing"),
    ),
    "a service's": (
        lambda here, _: here.issuer.service("games", "bet"),
        (4403, "scope_missing"),
    ),
}


@pytest.mark.parametrize(
    ("sign", "end"), [pytest.param(*row, id=name) for name, row in NOT_THIS_SOCKETS.items()]
)
def test_a_good_token_that_is_not_for_this_socket_ends_it_with_its_reason(
    door: World, ada: Visit, sign: Sign, end: tuple[int, str]
) -> None:
    """Planted: no look at the session; the brand; the jurisdiction; the scope; 4401 for 4403."""
    code, reason = end
    with RawSocket(door) as raw:
        raw.shake(door, ada)
        assert codes(raw.ask(events(TABLE.spin(ada, 100)))) == []
        raw.send(op("token", token=sign(door, ada)))
        found = raw.end()

    assert found == end
    assert raw.said[2:] == [
        {"op": "bye", "code": code, "reason": reason, "reconnect_after_ms": 0}
    ]
    with RawSocket(door) as again:
        again.shake(door, ada)
        assert codes(again.ask(events(TABLE.spin(ada, 100)))) == [], "with its own it goes on"


def test_35_a_token_that_is_over_ends_its_socket_after_the_leeway(
    door: World, ada: Visit
) -> None:
    expires_s = time.time_ns() // 1_000_000_000 - LEEWAY_S + 3
    token = door.issuer.player(ada, iat=expires_s - 60, exp=expires_s)
    with RawSocket(door) as raw:
        raw.shake(door, token)
        told = raw.ask(events(TABLE.spin(ada, 100)))
        while told["op"] != "verdicts":  # that it ends is told at once, too
            raw.hear(len(raw.said) + 1)
            told = raw.said[-1]
        end = raw.end()

    assert (told["settled"], told["refused"]) == (1, [])
    assert time.time_ns() // 1_000_000_000 >= expires_s + LEEWAY_S
    assert end == (4401, "token_expired")
    assert [frame["op"] for frame in raw.said if frame["op"] != "verdicts"] == [
        "welcome",
        "expiring",
        "bye",
    ]
    assert raw.said[-1] == {
        "op": "bye",
        "code": 4401,
        "reason": "token_expired",
        "reconnect_after_ms": 0,
    }


def test_38_who_may_only_listen_is_told_so_event_by_event(door: World, ada: Visit) -> None:
    with RawSocket(door) as raw:
        raw.shake(door, door.issuer.player(ada, scope="stream:read"))
        told = raw.ask(events(TABLE.spin(ada, 100), TABLE.spin(ada, 100)))

        assert told["op"] == "verdicts"
        assert [entry["code"] for entry in raw.refused(told)] == ["scope_missing"] * 2
        assert raw.refused(raw.ask(events())) == []
