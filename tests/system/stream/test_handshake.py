"""Who may open a socket, as a real client does it; in raw bytes: :mod:`test_raw_tokens`."""

import pytest
from websockets.sync.client import connect

from edge.demo.payloads import Visit
from tests.system.conftest import Build
from tests.system.raw import Line
from tests.system.stream.sockets import BOTH, OURS, hear, now_s, refusal, socket, welcomed
from tests.system.world import World

pytestmark = pytest.mark.system


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
        "events_per_s": 2000,
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


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS"])
def test_a_socket_is_asked_for_by_get(door: World, method: str) -> None:
    """Planted: HEAD answered as GET, 426."""
    with Line(door.gateway.public) as line:
        line.send(
            f"{method} /v1/stream HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
            "content-length: 0\r\n\r\n".encode()
        )
        head, _, body = line.wait_for_end().partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nallow: get\r\n" in head.lower() + b"\r\n"
    assert bool(body) == (method != "HEAD"), "to HEAD there is no body"
