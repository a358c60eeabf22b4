"""Who may open a socket, and what everybody else is answered: threats.md 29-31, 38, 46, 63, 67."""

from collections.abc import Callable

import pytest
from websockets.sync.client import connect

from edge.demo.payloads import Visit
from tests.system.conftest import Build
from tests.system.raw import Answer, Line
from tests.system.stream.sockets import (
    BOTH,
    OURS,
    ask,
    codes,
    hear,
    now_s,
    refusal,
    socket,
    welcomed,
)
from tests.system.world import TABLE, World

pytestmark = pytest.mark.system

HANDSHAKE = {
    "upgrade": "websocket",
    "connection": "Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def test_whoever_is_let_in_is_welcomed_by_name(door: World, ada: Visit) -> None:
    token = door.issuer.player(ada, scope=BOTH, exp=now_s() + 600)
    with socket(door, token) as found:
        welcome = hear(found)

        assert found.subprotocol == "edge.v1.json"
        assert found.response is not None
        assert "sec-websocket-extensions" not in found.response.headers
    assert welcome["session"] == ada.session
    assert (welcome["known"], welcome["next_seq"]) == (False, 1)
    assert abs(int(str(welcome["server_time_ms"])) // 1000 - now_s()) <= 5
    assert int(str(welcome["expires_at_ms"])) // 1000 - now_s() <= 600
    assert welcome["limits"] == {
        "frame_bytes": 65_536,
        "events": 200,
        "frames_per_s": 50,
        "in_flight_bytes": 262_144,
    }
    lanes = ("player", "wallet", "bet", "game", "bonus", "telemetry")
    assert welcome["lanes"] == dict.fromkeys(lanes, "open")


def test_the_token_may_travel_in_the_header(door: World, ada: Visit) -> None:
    host, port = door.gateway.public
    with connect(
        f"ws://{host}:{port}/v1/stream",
        subprotocols=[OURS],
        additional_headers={"authorization": f"Bearer {door.issuer.player(ada)}"},
        compression=None,
    ) as found:
        assert hear(found)["op"] == "welcome"
        assert found.subprotocol == OURS


Token = Callable[[World, Visit], str]

REFUSED: list[tuple[Token, int, str]] = [
    (lambda _, __: "x.y.z", 401, "token_invalid"),
    (lambda here, ada: here.issuer.player(ada, exp=now_s() - 60), 401, "token_expired"),
    (lambda here, ada: here.issuer.player(ada, sid=None), 401, "token_invalid"),
    (lambda here, ada: here.issuer.player(ada, {"kid": "nobody"}), 401, "token_invalid"),
    (lambda here, ada: here.issuer.player(ada, scope="profile"), 403, "scope_missing"),
    (lambda here, _: here.issuer.service("games", "bet"), 403, "scope_missing"),
]


@pytest.mark.parametrize(
    ("token", "status", "code"),
    REFUSED,
    ids=["forged", "expired", "no sid", "unknown key", "no scope", "service"],
)
def test_who_may_not_is_told_why_before_anything_is_upgraded(
    door: World, ada: Visit, token: Token, status: int, code: str
) -> None:
    problem = refusal(door, token(door, ada))

    assert (problem["status"], problem["code"]) == (status, code)


def handshake(here: World, headers: dict[str, str], method: str = "GET") -> Answer:
    """Shake hands by hand; the answer's head, and its body if it has a length."""
    lines = [f"{method} /v1/stream HTTP/1.1", "host: localhost"]
    lines += [f"{name}: {value}" for name, value in (HANDSHAKE | headers).items() if value]
    with Line(here.gateway.public) as line:
        line.send("\r\n".join([*lines, "", ""]).encode())
        answer = line.answer()
        assert "close" in answer.headers["connection"]
        assert line.wait_for_end() == b""
        return answer


BEARER = "edge.v1.json, bearer.{}"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({"sec-websocket-protocol": "edge.v1.json"}, 401, id="no token"),
        pytest.param({"sec-websocket-protocol": "bearer.{}"}, 400, id="no subprotocol of ours"),
        pytest.param({}, 400, id="no subprotocol"),
        pytest.param({"sec-websocket-protocol": BEARER + ", bearer.{}"}, 400, id="two tokens"),
        pytest.param(
            {"sec-websocket-protocol": BEARER, "authorization": "Bearer {}"},
            401,
            id="two places",
        ),
        pytest.param(
            {"sec-websocket-protocol": BEARER, "sec-websocket-key": "x"}, 400, id="bad key"
        ),
        pytest.param(
            {"sec-websocket-protocol": BEARER, "sec-websocket-version": "8"}, 426, id="version"
        ),
        pytest.param({"sec-websocket-protocol": BEARER, "upgrade": ""}, 426, id="no upgrade"),
        pytest.param(
            {"sec-websocket-protocol": BEARER, "origin": "https://evil.example"}, 403, id="page"
        ),
    ],
)
def test_a_handshake_that_is_not_right_is_answered_and_closed(
    door: World, ada: Visit, headers: dict[str, str], status: int
) -> None:
    token = door.issuer.player(ada)

    answer = handshake(
        door, {name: each.format(token, token) for name, each in headers.items()}
    )

    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    if status == 426:
        assert answer.headers["sec-websocket-version"] == "13"


def test_a_page_is_let_in_if_it_is_listed_and_a_native_client_always(build: Build) -> None:
    here = build({"http": {"allowed_origins": ["https://play.example"]}})
    here.gateway.start()
    here.wait_until_ready()
    ada = here.visit()

    with socket(here, ada, headers={"origin": "https://play.example"}) as found:
        assert hear(found)["op"] == "welcome"
    with welcomed(here, ada):
        pass
    assert (
        refusal(here, ada, {"origin": "https://play.example.evil"})["code"] == "origin_denied"
    )
    assert 'edge_requests_refused_total{reason="origin_denied"} 1.0' in here.gateway.metrics()


def test_who_may_only_listen_is_told_so_event_by_event(door: World, ada: Visit) -> None:
    with welcomed(door, door.issuer.player(ada, scope="stream:read")) as found:
        verdicts = ask(found, TABLE.spin(ada, 100))

    assert codes(verdicts) == [(1, 0, "scope_missing")]


def test_a_token_in_the_url_is_refused_unread(door: World, ada: Visit) -> None:
    token = door.issuer.player(ada)
    with Line(door.gateway.public) as line:
        line.send(f"GET /v1/stream?token={token} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
        assert line.answer().status == 400
    assert token not in door.gateway.log.read_text("utf-8")


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS"])
def test_a_socket_is_asked_for_by_get(door: World, method: str) -> None:
    with Line(door.gateway.public) as line:
        line.send(
            f"{method} /v1/stream HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode()
        )
        head = line.answer() if method != "HEAD" else None
    if head is not None:
        assert (head.status, head.headers["allow"]) == (405, "GET")
