"""What holds for every public route, and the routes that are not hot."""

import pytest
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from edge.core.instant import Instant
from edge.core.limit import Quota, Quotas
from edge.shell.front import EVENTS_PATH, STREAM_PATH, Front, pages
from edge.shell.meters import Meters
from tests.fakes import NOW_S, FakeClock
from tests.fakes_notices import RecordingCourier, refusals

DOCUMENT = b'{"openapi":"3.1.0"}'


async def accept(_: Scope, __: Receive, send: Send) -> None:
    """An ingest that says yes."""
    await send({"type": "http.response.start", "status": 202, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def switch(_: Scope, __: Receive, send: Send) -> None:
    """A door of sockets that says no."""
    await send({"type": "http.response.start", "status": 426, "headers": []})
    await send({"type": "http.response.body", "body": b""})


class BrokenClock(FakeClock):
    """Works once, for the front, then is a bug."""

    readings = 0

    @override
    def now(self) -> Instant:
        self.readings += 1
        if self.readings > 1:
            raise ZeroDivisionError
        return super().now()


def client(
    *quotas: Quota, clock: FakeClock | None = None, told: RecordingCourier | None = None
) -> tuple[TestClient, Meters]:
    clock, meters = clock or FakeClock(), Meters()
    routes = pages(accept, switch, clock, {"/openapi.json": DOCUMENT}, meters)
    front = Front(accept, switch, routes, Quotas(quotas), clock, meters, refusals(told))
    peer = ("127.0.0.1", 50_000)
    return TestClient(front, raise_server_exceptions=False, client=peer), meters


def test_events_go_to_the_door() -> None:
    assert client()[0].post(EVENTS_PATH).status_code == 202


def test_sockets_have_a_door_of_their_own() -> None:
    assert client()[0].get(STREAM_PATH).status_code == 426


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE"])
def test_a_socket_is_asked_for_by_get_alone(method: str) -> None:
    response = client()[0].request(method, STREAM_PATH)

    assert (response.status_code, response.headers["allow"]) == (405, "GET")


def test_a_document_is_served_as_it_was_made() -> None:
    response = client()[0].get("/openapi.json")

    assert response.content == DOCUMENT
    assert response.headers["content-type"] == "application/json"


def test_the_time_is_unix_ms() -> None:
    assert client()[0].get("/v1/time").json() == {"unix_ms": NOW_S * 1000}


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", EVENTS_PATH, 405, "POST"),
        ("HEAD", EVENTS_PATH, 405, "POST"),
        ("POST", "/v1/time", 405, "GET"),
        ("DELETE", "/openapi.json", 405, "GET"),
        ("GET", "/nothing", 404, None),
        ("POST", EVENTS_PATH + "/", 404, None),
        ("GET", "/metrics", 404, None),
    ],
)
def test_anything_else_is_not_there_or_not_allowed(
    method: str, path: str, status: int, allow: str | None
) -> None:
    response = client()[0].request(method, path)

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    allowed = response.headers.get("allow")
    assert allow is None if allowed is None else allow in allowed.split(", ")
    if method != "HEAD":
        assert response.json()["type"] == "about:blank"
        assert path not in response.text


def test_a_token_in_the_url_is_refused_for_every_route() -> None:
    front, meters = client()

    response = front.get("/v1/time?access_token=hush")

    assert response.status_code == 400
    assert response.headers["connection"] == "close"
    assert "hush" not in response.text
    assert meters.requests_refused == {"http_400": 1}


def test_each_request_of_an_address_costs_one() -> None:
    told = RecordingCourier()
    front, meters = client(Quota(name="address", quota=1, window_s=60, burst=1), told=told)
    front.get("/v1/time")

    response = front.get("/v1/time")

    assert (response.status_code, response.json()["code"]) == (429, "rate_exceeded")
    assert [each["data"]["code"] for each in told.told()] == ["rate_exceeded"]
    assert response.headers["retry-after"] == "60"
    assert meters.requests_refused == {"rate_exceeded": 1}


def test_a_bug_behind_a_route_is_counted_and_says_nothing() -> None:
    front, meters = client(clock=BrokenClock())

    response = front.get("/v1/time")

    assert (response.status_code, response.json()["code"]) == (500, "internal_error")
    assert meters.requests_refused == {"internal_error": 1}
